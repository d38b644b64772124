"""What is behind the cut, as a small ONNX of its own: the chip stops, the CPU goes on.

Its inputs are the tensors at the end nodes (NCHW, float32), and the network's own inputs where
what is cut off reads them too, as a residual around the whole network does. Its outputs are those
of the whole network. What is constant for the network's input size is folded in, so that it runs
alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple, Union

import onnx
from onnx import TensorProto, helper, numpy_helper

from hefsmith_worker.graph.model import Graph, GraphError
from hefsmith_worker.graph.values import Values


def cut_tail(
    source: Union[str, Path, onnx.ModelProto],
    end_nodes: Sequence[str],
    *,
    alone: bool = False,
    outputs: Optional[Sequence[str]] = None,
) -> Optional[onnx.ModelProto]:
    """Return the part of a network behind its end nodes, ``None`` when nothing is there.

    ``end_nodes`` are names of nodes, or of a tensor where a node has no name. ``alone`` lets it
    read nothing but the end nodes; ``outputs`` are those of the network that are wanted, all of
    them where none are named. Raises :class:`GraphError` when a name is not in the graph, or
    when the rest needs something from before the cut that the end nodes do not give.
    """
    model = source if isinstance(source, onnx.ModelProto) else onnx.load(str(source))
    graph = Graph(model)
    values = Values(graph)
    starts = _tensors(graph, end_nodes)
    wanted = list(graph.outputs) if outputs is None else list(outputs)
    nodes, constants, read = _behind(graph, values, starts, wanted)
    if not nodes:
        return None
    if read:
        _refuse_recomputed(graph, starts, nodes, read, alone=alone)
    elements = _types(model)
    inputs = []
    for name in [*starts, *read]:
        shape = values.shape(name)
        if shape is None:
            msg = f"the shape of {name} is not known"
            raise GraphError(msg)
        inputs.append(
            helper.make_tensor_value_info(name, elements.get(name, TensorProto.FLOAT), shape)
        )
    by_output = {out: proto for proto in model.graph.node for out in proto.output if out}
    protos: List[onnx.NodeProto] = []
    for index in nodes:
        outputs = [name for name in graph.nodes[index].outputs if name]
        protos.append(by_output.get(outputs[0]) or _rebuilt(graph, index))
    tail = helper.make_graph(
        protos,
        "tail",
        inputs,
        [value for value in model.graph.output if value.name in wanted],
        initializer=constants,
    )
    result = helper.make_model(tail, opset_imports=list(model.opset_import))
    result.ir_version = model.ir_version
    result.functions.extend(model.functions)
    return result


def _tensors(graph: Graph, end_nodes: Sequence[str]) -> List[str]:
    by_name = {node.name: node.outputs[0] for node in graph.nodes if node.name}
    found = []
    for name in end_nodes:
        if name not in by_name and name not in graph.producer:
            msg = f"the graph has no node {name}"
            raise GraphError(msg)
        found.append(by_name.get(name, name))
    return found


def _behind(
    graph: Graph, values: Values, starts: Sequence[str], outputs: Sequence[str]
) -> Tuple[List[int], List[onnx.TensorProto], List[str]]:
    """Return the positions of the nodes behind ``starts``, their constants, the inputs read."""
    position = {node.index: rank for rank, node in enumerate(graph.nodes)}
    wanted: Set[int] = set()
    constants: Dict[str, onnx.TensorProto] = {}
    read: List[str] = []
    waiting = [name for name in outputs if name not in starts]
    seen: Set[str] = set(starts)
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        constant = values.constant(name)
        if constant is not None and name not in graph.outputs:
            constants[name] = numpy_helper.from_array(constant, name)
            continue
        node = graph.producer.get(name)
        if node is None:
            if name not in graph.inputs:
                raise _needs(name)
            read.append(name)
            continue
        wanted.add(position[node.index])
        waiting += [*node.inputs, *node.captured]
    return sorted(wanted), list(constants.values()), sorted(read)


def _refuse_recomputed(
    graph: Graph, starts: Sequence[str], nodes: Sequence[int], read: Sequence[str], *, alone: bool
) -> None:
    """Raise where the rest would compute again what the chip does: a part of it is lost."""
    before: Set[int] = set()
    waiting = list(starts)
    while waiting:
        node = graph.producer.get(waiting.pop())
        if node is not None and node.index not in before:
            before.add(node.index)
            waiting += [*node.inputs, *node.captured]
    again = [graph.nodes[rank] for rank in nodes if graph.nodes[rank].index in before]
    if again or alone:
        raise _needs(again[-1].outputs[0] if again else read[0])


def _needs(name: str) -> GraphError:
    return GraphError(f"what is behind the end nodes needs {name}, which is not one of them")


def _types(model: onnx.ModelProto) -> Dict[str, int]:
    return {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}


def _rebuilt(graph: Graph, index: int) -> onnx.NodeProto:
    """Write a node that only exists after functions were put in place of their calls."""
    node = graph.nodes[index]
    return helper.make_node(
        node.op, list(node.inputs), list(node.outputs), node.name, **dict(node.attributes)
    )
