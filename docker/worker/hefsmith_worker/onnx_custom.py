"""Operators that are somebody's own, at the end of a network: an NMS for another runtime, say.

Neither ONNX's runtime nor the compiler has them, and behind the last learned layer nothing is
lost that the chip could do: the network ends before them.
"""

from __future__ import annotations

from typing import Any, List, Optional, Set

from hefsmith_worker.onnx_files import is_custom

_LEARNED = frozenset(["Conv", "ConvTranspose", "Gemm", "MatMul"])


def leave_out(model: Any) -> Optional[str]:
    """End a network before operators of its own; return what was done, as a sentence.

    ``None`` where there is none, or where the network goes on behind it: nothing is changed then.
    """
    graph = model.graph
    own = {(function.domain, function.name) for function in model.functions}
    first = next((node for node in graph.node if is_custom(node, own)), None)
    if first is None:
        return None
    lost: Set[str] = set()
    kept: List[Any] = []
    dropped: List[Any] = []
    # The nodes of a file are in the order in which they are computed.
    for node in graph.node:
        out = is_custom(node, own) or any(name in lost for name in node.input)
        (dropped if out else kept).append(node)
        if out:
            lost.update(name for name in node.output if name)
    weights = {tensor.name for tensor in graph.initializer}
    weights.update(name for node in kept if node.op_type == "Constant" for name in node.output)
    if any(_is_learned(node, weights) for node in dropped):
        return None
    if not any(_is_learned(node, weights) for node in kept):
        return None
    ends = _ends(graph, kept, dropped, lost)
    if not ends:
        return None
    del graph.node[:]
    graph.node.extend(kept)
    del graph.output[:]
    graph.output.extend(ends)
    return "the network is cut before %s of %s (%s)" % (
        first.op_type,
        first.domain,
        first.name or first.output[0],
    )


def _is_learned(node: Any, weights: Set[str]) -> bool:
    return node.op_type in _LEARNED and any(name in weights for name in list(node.input)[1:2])


def _ends(graph: Any, kept: List[Any], dropped: List[Any], lost: Set[str]) -> List[Any]:
    """Return the outputs that are left, and the tensors that the lost part read."""
    from onnx import ModelProto, TensorProto, helper, shape_inference

    made = {name for node in kept if node.op_type != "Constant" for name in node.output if name}
    read = [name for node in dropped for name in node.input if name in made]
    part = ModelProto()
    part.ir_version = 8
    part.opset_import.append(helper.make_opsetid("", 17))
    part.graph.CopyFrom(graph)
    del part.graph.node[:]
    part.graph.node.extend(kept)
    del part.graph.output[:]
    inferred = shape_inference.infer_shapes(part, strict_mode=False).graph.value_info
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred}
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    ends = [value for value in graph.output if value.name not in lost]
    names = {value.name for value in ends}
    for name in dict.fromkeys(read):
        kind = kinds.get(name, TensorProto.FLOAT)
        if name not in names and kind in floats:
            ends.append(helper.make_tensor_value_info(name, kind, None))
    return ends
