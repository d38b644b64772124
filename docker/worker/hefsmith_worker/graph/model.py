"""An ONNX file as a plain graph: nodes, who makes and who uses each tensor, constants on demand.

Weights are not read: only their sizes matter, and the few small constants that decode boxes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hefsmith_worker.contract.trials import OPEN_SIDE
from hefsmith_worker.regular import check_regular

#: Constants above this many elements keep only their size.
LARGEST = 1 << 23


class GraphError(ValueError):
    """The file is no ONNX graph that can be analysed; the message says why."""


@dataclass(frozen=True)
class Node:
    """One node; ``label`` is its name, or its first output where the file names nothing."""

    index: int
    op: str
    name: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    attributes: Mapping[str, Any] = field(compare=False)
    captured: Tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What a person calls this node, and the parser once :mod:`.naming` named the rest."""
        return self.name or (self.outputs[0] if self.outputs else "")

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)


class Graph:
    """The nodes of a model in order, with their neighbours."""

    def __init__(self, model: onnx.ModelProto, folder: Optional[Path] = None) -> None:
        model = _inline(model)
        graph = model.graph
        self.folder = folder
        self.opset = max(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
            default=0,
        )
        self._tensors: Dict[str, onnx.TensorProto] = {t.name: t for t in graph.initializer}
        self._loaded: Dict[str, Optional[np.ndarray]] = {}
        self.nodes: List[Node] = _sorted(_without_shared_names(graph.node))
        self.producer: Dict[str, Node] = {}
        self.consumers: Dict[str, List[Node]] = {}
        for node in self.nodes:
            for name in node.outputs:
                self.producer[name] = node
            for name in (*node.inputs, *node.captured):
                self.consumers.setdefault(name, []).append(node)
        self.inputs: Dict[str, Tuple[int, ...]] = {
            value.name: self._with_channels(value)
            for value in graph.input
            if value.name not in self._tensors
        }
        self.open_inputs = [
            value.name
            for value in graph.input
            if value.name not in self._tensors and _is_open(value)
        ]
        self.outputs: List[str] = [value.name for value in graph.output]
        self.declared: Dict[str, Tuple[int, ...]] = {}
        for value in (*graph.value_info, *graph.output):
            shape = _declared_shape(value, 0, 0)
            if shape and all(shape):
                self.declared[value.name] = shape

    def _with_channels(self, value: onnx.ValueInfoProto) -> Tuple[int, ...]:
        """Return an input's shape; channels that are left open are those of the first weights."""
        shape = _declared_shape(value, 1, OPEN_SIDE)
        if len(shape) != 4 or _dims(value)[1].dim_value > 0:
            return shape
        for node in self.consumers.get(value.name, []):
            weights = self.size(node.inputs[1]) if node.op == "Conv" else None
            if weights is not None and len(weights) == 4:
                return (shape[0], weights[1] * int(node.get("group", 1)), *shape[2:])
        return shape

    def size(self, name: str) -> Optional[Tuple[int, ...]]:
        """Return the dimensions of a constant, ``None`` when the tensor is none."""
        tensor = self._tensors.get(name)
        if tensor is not None:
            return tuple(int(side) for side in tensor.dims)
        array = self.array(name)
        return None if array is None else array.shape

    def array(self, name: str) -> Optional[np.ndarray]:
        """Return a constant's values, ``None`` when it is none or too large to matter."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Optional[np.ndarray]:
        tensor = self._tensors.get(name)
        if tensor is None:
            node = self.producer.get(name)
            return _constant(node) if node is not None and node.op == "Constant" else None
        if int(np.prod(tensor.dims, dtype=np.int64)) > LARGEST:
            return None
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            if self.folder is None:
                return None
            if _longest(tensor, self.folder) > LARGEST * 16:
                return None
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            try:
                from onnx.external_data_helper import load_external_data_for_tensor

                load_external_data_for_tensor(copy, str(self.folder))
            except (OSError, ValueError, onnx.checker.ValidationError):
                return None
            tensor = copy
        try:
            return np.asarray(numpy_helper.to_array(tensor))
        except (TypeError, ValueError):
            return None


def _longest(tensor: onnx.TensorProto, folder: Path) -> int:
    """Return how many bytes would be read for a tensor; its sides need not agree with them."""
    said: Dict[str, str] = {entry.key: entry.value for entry in tensor.external_data}
    try:
        if said.get("length"):
            return int(said["length"])
        size: int = (folder / said.get("location", "")).stat().st_size
        return size - int(said.get("offset", 0))
    except (OSError, ValueError):
        return 0


#: Bytes of an ONNX file; protobuf reads no larger one, the rest lies in files beside it.
LARGEST_FILE = (1 << 31) - 1


def read_graph(source: Union[str, Path, onnx.ModelProto]) -> Graph:
    """Read a model from a file or from memory; raises :class:`GraphError`."""
    if isinstance(source, onnx.ModelProto):
        return Graph(source)
    path = Path(source)
    try:
        check_regular(path, LARGEST_FILE)
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise GraphError(msg) from None
    except Exception as error:  # protobuf's own class differs between its versions
        msg = f"{path} is not an ONNX file: {error}"
        raise GraphError(msg) from None
    if not model.graph.node:
        msg = f"{path} has no nodes"
        raise GraphError(msg)
    return Graph(model, path.parent)


def _inline(model: onnx.ModelProto) -> onnx.ModelProto:
    if not len(model.functions):
        return model
    try:
        from onnx import inliner
    except ImportError:
        return model
    inlined: onnx.ModelProto = inliner.inline_local_functions(model)
    return inlined


def _without_shared_names(protos: Sequence[onnx.NodeProto]) -> List[Node]:
    """Return the nodes; a name that several have tells none of them, and counts as missing."""
    times = Counter(proto.name for proto in protos)
    nodes = [_node(index, proto) for index, proto in enumerate(protos)]
    return [replace(node, name="") if times[node.name] > 1 else node for node in nodes]


def _node(index: int, proto: onnx.NodeProto) -> Node:
    attributes: Dict[str, Any] = {}
    captured: List[str] = []
    for attribute in proto.attribute:
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            graphs = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
            for graph in graphs:
                captured += _captures(graph)
            continue
        value = helper.get_attribute_value(attribute)
        attributes[attribute.name] = (
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        )
    return Node(
        index,
        proto.op_type,
        proto.name,
        tuple(proto.input),
        tuple(proto.output),
        attributes,
        tuple(captured),
    )


def _captures(graph: onnx.GraphProto) -> List[str]:
    """List what a body (``If``, ``Loop``) takes from outside it."""
    own: Set[str] = {t.name for t in graph.initializer} | {v.name for v in graph.input}
    found: List[str] = []
    for proto in graph.node:
        node = _node(0, proto)
        found += [name for name in (*node.inputs, *node.captured) if name and name not in own]
        own.update(node.outputs)
    found += [value.name for value in graph.output if value.name not in own]
    return found


def _sorted(nodes: Sequence[Node]) -> List[Node]:
    """Order nodes so that each comes after what it uses (files should be, some are not)."""
    made = {name for node in nodes for name in node.outputs}
    ready: Set[str] = set()
    waiting = list(nodes)
    ordered: List[Node] = []
    while waiting:
        rest: List[Node] = []
        for node in waiting:
            needs = [n for n in (*node.inputs, *node.captured) if n in made and n not in ready]
            if needs:
                rest.append(node)
            else:
                ordered.append(node)
                ready.update(node.outputs)
        if len(rest) == len(waiting):
            msg = "the graph has a cycle"
            raise GraphError(msg)
        waiting = rest
    return ordered


def _dims(value: onnx.ValueInfoProto) -> List[Any]:
    return list(value.type.tensor_type.shape.dim)


def _is_open(value: onnx.ValueInfoProto) -> bool:
    return any(dim.dim_value < 1 for dim in _dims(value)[1:])


def _declared_shape(value: onnx.ValueInfoProto, batch: int, side: int) -> Tuple[int, ...]:
    dims = _dims(value)
    return tuple(
        int(dim.dim_value) if dim.dim_value > 0 else (batch if index == 0 else side)
        for index, dim in enumerate(dims)
    )


def _constant(node: Node) -> Optional[np.ndarray]:
    for key, value in node.attributes.items():
        if key == "value" and isinstance(value, onnx.TensorProto):
            return np.asarray(numpy_helper.to_array(value))
        if key in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
        if key in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
    return None
