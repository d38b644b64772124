"""The network as the chip's layers: names, types and order as the vendor's compiler gives them.

Layers are numbered per kind (``conv1``, ``conv2``, ``maxpool1``) in breadth-first order from
the inputs, where of several readers the one nearest to an output comes first. With the usual
exports of YOLOv8 this gives the numbers in the vendor's published model scripts (``conv41``,
``conv42``, ``conv52``, ...); other exports may be numbered otherwise, as with the vendor.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hailo_emulator.fusion import Fuser
from hailo_emulator.support import ACTIVATIONS, RESHAPES, find_shuffles

if TYPE_CHECKING:
    from hailo_emulator.graph import Graph, Node

_PREFIX = {
    "ConvTranspose": "deconv", "MaxPool": "maxpool", "GlobalMaxPool": "maxpool",
    "AveragePool": "avgpool", "GlobalAveragePool": "avgpool", "LpPool": "avgpool",
    "Add": "ew_add", "Sub": "ew_sub", "Mul": "ew_mult", "Div": "ew_div", "Max": "ew_max",
    "Min": "ew_min", "Pow": "pow", "Concat": "concat", "Split": "feature_splitter",
    "Slice": "slice", "Gather": "slice", "Softmax": "softmax", "LogSoftmax": "softmax",
    "Resize": "resize", "Upsample": "resize", "DepthToSpace": "depth_to_space",
    "SpaceToDepth": "space_to_depth", "Pad": "external_pad", "ReduceMean": "reduce_mean",
    "ReduceMax": "reduce_max", "ReduceMin": "reduce_min", "ReduceSum": "reduce_sum",
    "ReduceL2": "reduce_l2", "ArgMax": "argmax", "MatMul": "matmul",
    "BatchNormalization": "batch_norm", "InstanceNormalization": "instance_normalization",
    "LayerNormalization": "layer_normalization", "GroupNormalization": "group_normalization",
    "LRN": "lrn", "LpNormalization": "l2_normalization",
    "Transpose": "format_conversion", "Reshape": "format_conversion",
    "Flatten": "format_conversion", "Squeeze": "format_conversion",
    "Unsqueeze": "format_conversion",
}  # fmt: skip
_TYPE = {"fc": "dense", "pow": "activation"}
_GLUE = RESHAPES | {"Transpose"}
#: Kinds whose output values are among their input's: the integers pass through unchanged.
PASSING = frozenset(
    [
        "maxpool",
        "slice",
        "feature_splitter",
        "format_conversion",
        "feature_shuffle",
        "depth_to_space",
        "space_to_depth",
        "reduce_max",
        "reduce_min",
        "external_pad",
        "argmax",
    ]
)


@dataclass(frozen=True)
class Layer:
    """One layer. ``name`` has no scope; ``tensors`` are its outputs in the ONNX graph."""

    name: str
    kind: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    tensors: tuple[str, ...]
    activation: str = "linear"
    anchor: Node | None = None
    original_names: tuple[str, ...] = ()

    @property
    def passes_values(self) -> bool:
        """Whether the output keeps the input's quantisation."""
        if self.kind == "resize" and self.anchor is not None:
            return bool(self.anchor.attribute("mode", "nearest") == "nearest")
        return self.kind in PASSING


@dataclass(frozen=True)
class LayerGraph:
    """Layers in the vendor's order; ``producer`` maps a tensor to its layer's name."""

    layers: tuple[Layer, ...]
    producer: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Layer | None:
        """The layer of that name (without scope)."""
        return next((layer for layer in self.layers if layer.name == name), None)


def build_layers(graph: Graph) -> LayerGraph:
    """Group the graph's nodes into layers and name them."""
    drafts = _Drafter(graph).draft()
    drafts = _number(graph, drafts)
    return LayerGraph(tuple(drafts), {t: layer.name for layer in drafts for t in layer.tensors})


class _Drafter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.fuser = Fuser(graph)
        self.taken: set[str] = set()
        self.shuffles = find_shuffles(graph)

    def draft(self) -> list[Layer]:
        leading: dict[str, list[Node]] = {}
        drafts: list[Layer] = []
        for node in self.graph.nodes:
            if node.name in self.taken:
                continue
            target = self._dense_after(node)
            if target is not None:
                before = [*leading.pop(node.outputs[0], []), node]
                before = leading.pop(node.name, []) + before
                leading.setdefault(target.name, []).extend(before)
                self.taken.add(node.name)
                continue
            drafts.append(self._draft_one(node, leading.pop(node.name, [])))
        return self._join_tails(drafts)

    def _dense_after(self, node: Node) -> Node | None:
        """The dense layer that a Flatten feeds: the chip reads pixels in order anyway."""
        if node.op not in RESHAPES or len(self.graph.shapes.get(node.outputs[0], ())) != 2:
            return None
        reader = self.fuser.sole_reader(node.outputs[0])
        if reader is not None and reader.op in ("Gemm", "MatMul"):
            return reader
        return None

    def _draft_one(self, node: Node, leading: list[Node]) -> Layer:
        nodes, kind = [*leading, node], self._kind(node)
        if kind in ("feature_shuffle", "group_normalization") and node.op == "Reshape":
            second = self.fuser.sole_reader(node.outputs[0])
            assert second is not None
            third = self.fuser.sole_reader(second.outputs[0])
            assert third is not None
            nodes += [second, third]
            if kind == "group_normalization":
                nodes += self.fuser.find_affine(third)
        tensors = tuple(name for name in nodes[-1].outputs if name)
        if kind in ("conv", "fc") and node.op == "MatMul":
            bias = self.fuser.find_bias(node)
            if bias is not None:
                nodes.append(bias)
                tensors = bias.outputs[:1]
        activation = "linear"
        alone = self._standalone(node)
        norm = self.fuser.find_layer_norm(node)
        if norm and not any(n.name in self.taken for n in norm):
            kind, nodes = "layer_normalization", list(norm)
            tensors = nodes[-1].outputs[:1]
        elif alone is not None:
            kind, (activation, nodes) = "activation", alone
            tensors = nodes[-1].outputs[:1]
        elif kind == "activation":
            activation = self.fuser.single_activation(node) or node.op.lower()
        elif kind not in PASSING and len(tensors) == 1:
            activation, extra = self.fuser.find_activation(tensors[0])
            if extra:
                nodes += extra
                tensors = extra[-1].outputs[:1]
        self.taken.update(n.name for n in nodes)
        made = {name for n in nodes for name in n.outputs}
        inputs = tuple(
            dict.fromkeys(t for n in nodes for t in self.graph.data_inputs(n) if t not in made)
        )
        return Layer("", kind, tuple(nodes), inputs, tensors, activation, node)

    def _standalone(self, node: Node) -> tuple[str, list[Node]] | None:
        """A forked activation (SiLU, GELU, ...) after something that cannot swallow it."""
        data = self.graph.data_inputs(node)
        if len(data) != 1 or node.op not in (ACTIVATIONS | {"Add", "Mul", "Div"}):
            return None
        name, nodes = self.fuser.find_activation(data[0])
        if len(nodes) < 2 or node not in nodes or any(n.name in self.taken for n in nodes):
            return None
        return name, list(nodes)

    def _kind(self, node: Node) -> str:
        if self.shuffles.get(node.name) == "heads" and node.op == "Reshape":
            second = self.fuser.sole_reader(node.outputs[0])
            grouped = second is not None and second.op == "InstanceNormalization"
            return "group_normalization" if grouped else "feature_shuffle"
        if node.op == "Conv":
            features = self.graph.shapes[node.inputs[0]][1]
            return "dw" if 1 < features == int(node.attribute("group", 1)) else "conv"
        if node.op == "Gemm":
            return "fc"
        if node.op == "MatMul" and node.inputs[1] in self.graph.constants:
            return "fc" if len(self.graph.shapes[node.outputs[0]]) == 2 else "conv"
        if node.op in ACTIVATIONS:
            return "activation"
        return _PREFIX.get(node.op, "activation")

    def _join_tails(self, drafts: list[Layer]) -> list[Layer]:
        """A Flatten or layout change before an output belongs to the layer that feeds it."""
        made_by = {t: index for index, layer in enumerate(drafts) for t in layer.tensors}
        result: list[Layer | None] = list(drafts)
        for index, layer in enumerate(drafts):
            if layer.kind != "format_conversion" or layer.tensors[0] not in self.graph.outputs:
                continue
            if self.graph.consumers().get(layer.tensors[0]) or len(layer.inputs) != 1:
                continue
            source = made_by.get(layer.inputs[0])
            if source is None or self.fuser.sole_reader(layer.inputs[0]) is None:
                continue
            before = result[source]
            if before is None or len(before.tensors) != 1:
                continue
            result[source] = replace(
                before, nodes=(*before.nodes, *layer.nodes), tensors=layer.tensors
            )
            result[index] = None
        return [layer for layer in result if layer is not None]


def _number(graph: Graph, drafts: list[Layer]) -> list[Layer]:
    """Order the layers breadth-first and give them their names."""
    made_by = {t: index for index, layer in enumerate(drafts) for t in layer.tensors}
    needs = [{made_by[t] for t in layer.inputs if t in made_by} for layer in drafts]
    readers: list[list[int]] = [[] for _ in drafts]
    for index, sources in enumerate(needs):
        for source in sources:
            readers[source].append(index)
    height = [0] * len(drafts)
    for index in range(len(drafts) - 1, -1, -1):
        height[index] = 1 + max((height[r] for r in readers[index]), default=0)
    first = {name: number for number, name in enumerate(graph.inputs)}
    roots = sorted(
        (i for i, sources in enumerate(needs) if not sources),
        key=lambda i: (min((first.get(t, 0) for t in drafts[i].inputs), default=0), i),
    )
    queue, left = deque(roots), [len(sources) for sources in needs]
    counts: dict[str, int] = {}
    ordered: list[Layer] = []
    while queue:
        index = queue.popleft()
        layer = drafts[index]
        counts[layer.kind] = counts.get(layer.kind, 0) + 1
        names = tuple(dict.fromkeys(n for node in layer.nodes for n in node.original_names))
        ordered.append(
            replace(
                layer,
                name=f"{layer.kind}{counts[layer.kind]}",
                kind=_TYPE.get(layer.kind, layer.kind),
                original_names=names,
            )
        )
        for reader in sorted(readers[index], key=lambda r: (height[r], r)):
            left[reader] -= 1
            if left[reader] == 0:
                queue.append(reader)
    return ordered


def count_macs(graph: Graph, layer: Layer) -> int:
    """Multiply-accumulates of one frame; one per output value where no kernel is involved."""
    total = 0
    for node in layer.nodes:
        out = int(np.prod(graph.shapes.get(node.outputs[0], (0,)), dtype=np.int64))
        if node.op in ("Conv", "ConvTranspose"):
            weight = graph.shapes[node.inputs[1]]
            if node.op == "Conv":
                total += out * int(np.prod(weight[1:], dtype=np.int64))
            else:
                pixels = int(np.prod(graph.shapes[node.inputs[0]], dtype=np.int64))
                total += pixels * int(np.prod(weight[1:], dtype=np.int64))
        elif node.op in ("Gemm", "MatMul"):
            total += out * int(graph.shapes[node.inputs[0]][-1])
        elif node is layer.anchor:
            total += out
    return total
