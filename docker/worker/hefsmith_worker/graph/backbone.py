"""What the body of a network is built of: the traits that tell one family from another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Set, Tuple

from hefsmith_worker.graph.heads import End
from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.values import Values

_ACTIVATIONS = frozenset((
    "Relu", "LeakyRelu", "Sigmoid", "HardSwish", "HardSigmoid", "Mul", "Add", "Clip", "PRelu",
    "Elu", "Mish", "Softplus", "Tanh", "Swish", "Gelu", "Erf", "Div", "Identity",
    "BatchNormalization", "InstanceNormalization", "GroupNormalization", "Cast", "Reshape",
))  # fmt: skip


@dataclass(frozen=True)
class Tower:
    """The layers between a scale's feature map and one end: hidden convolutions, nearest first."""

    convolutions: Tuple[Node, ...]
    source: str

    def depthwise(self, values: Values) -> int:
        """Count the depthwise convolutions."""
        return sum(is_depthwise(node, values) for node in self.convolutions)


@dataclass(frozen=True)
class Body:
    """Counts over all that the head depends on.

    ``residuals`` are sums of two feature maps, ``wide_concats`` join four maps or more,
    ``halves`` cut a map into channel groups, ``attentions`` are products of two computed
    matrices, ``blurs`` are 2x2 average pools of step 1, ``reductions`` depthwise convolutions of
    step 2, ``shuffles`` swaps of channel groups, ``ghosts`` depthwise 5x5 convolutions joined to
    what they read.
    """

    convolutions: int
    activations: Dict[str, int]
    residuals: int
    concats: int
    wide_concats: int
    halves: int
    attentions: int
    blurs: int
    max_pools: Tuple[int, ...]
    transposed: int
    reductions: int
    shuffles: int
    stem: int
    focus: bool
    ghosts: int


def is_depthwise(node: Node, values: Values) -> bool:
    """Say whether a convolution works on each channel by itself."""
    weight = values.shape(node.inputs[1]) if len(node.inputs) > 1 else None
    group = int(node.get("group", 1))
    return weight is not None and group > 1 and weight[1] == 1 and group == weight[0]


def describe_body(graph: Graph, values: Values, ends: Sequence[End]) -> Body:
    """Count the traits of what lies before the ends."""
    nodes = ancestors(graph, [end.data for end in ends])
    ops = Counter(node.op for node in nodes)
    convolutions = [node for node in nodes if node.op == "Conv"]
    stem = convolutions[0] if convolutions else None
    stem_shape = values.shape(stem.inputs[1]) if stem is not None else None
    picture = next((shape for shape in graph.inputs.values() if len(shape) == 4), None)
    return Body(
        len(convolutions),
        {name: ops[name] for name in ("Sigmoid", "Relu", "LeakyRelu", "HardSwish", "Clip", "Mish")},
        sum(_is_residual(node, values) for node in nodes),
        sum(_is_map(node, values) for node in nodes if node.op == "Concat"),
        sum(_is_map(n, values) and len(n.inputs) >= 4 for n in nodes if n.op == "Concat"),
        _halves(graph, values, nodes),
        sum(_is_attention(node, graph, values) for node in nodes),
        sum(_pool(node) == (2, 1) for node in nodes if node.op == "AveragePool"),
        tuple(_pool(node)[0] for node in nodes if node.op == "MaxPool"),
        ops["ConvTranspose"],
        sum(is_depthwise(n, values) and max(n.get("strides", [1])) == 2 for n in convolutions),
        _shuffles(nodes),
        stem_shape[2] if stem_shape is not None and len(stem_shape) == 4 else 0,
        bool(picture and stem_shape and stem_shape[1] == 4 * picture[1]),
        sum(
            is_depthwise(n, values) and list(n.get("kernel_shape", [])) == [5, 5]
            for n in convolutions
        ),
    )


def ancestors(graph: Graph, names: Sequence[str]) -> List[Node]:
    """Return all nodes that the tensors depend on, in graph order."""
    seen: Set[int] = set()
    waiting = list(names)
    while waiting:
        node = graph.producer.get(waiting.pop())
        if node is None or node.index in seen:
            continue
        seen.add(node.index)
        waiting += [*node.inputs, *node.captured]
    return [node for node in graph.nodes if node.index in seen]


def tower_of(graph: Graph, end: End) -> Tower:
    """Walk back from an end to the feature map that other towers use too."""
    found: List[Node] = []
    name = end.data
    for _ in range(12):
        conv, activated = _before(graph, name)
        if conv is None or _readers(graph, activated) > 1:
            break
        found.append(conv)
        name = conv.inputs[0]
    return Tower(tuple(found), name)


def _before(graph: Graph, name: str) -> Tuple[Optional[Node], Set[str]]:
    """Return the convolution whose activated output ``name`` is, and the names it passes."""
    passed = {name}
    waiting = [name]
    conv: Optional[Node] = None
    while waiting:
        node = graph.producer.get(waiting.pop())
        if node is None:
            return None, passed
        if node.op == "Conv":
            if conv is not None and conv.index != node.index:
                return None, passed
            conv = node
            passed.add(node.outputs[0])
        elif node.op in _ACTIVATIONS:
            for source in node.inputs:
                if source and graph.size(source) is None and source not in passed:
                    passed.add(source)
                    waiting.append(source)
        else:
            return None, passed
    return conv, passed


def _readers(graph: Graph, names: Set[str]) -> int:
    """Count what reads these tensors, other than the activation between them."""
    own = set(names)
    return sum(
        not any(output in own for output in node.outputs)
        for name in names
        for node in graph.consumers.get(name, [])
    )


def _is_map(node: Node, values: Values) -> bool:
    shape = values.shape(node.outputs[0])
    return shape is not None and len(shape) == 4 and shape[2] * shape[3] > 1


def _is_residual(node: Node, values: Values) -> bool:
    if node.op != "Add" or not _is_map(node, values):
        return False
    shapes = [values.shape(name) for name in node.inputs]
    return shapes[0] == shapes[1] and not any(
        values.constant(name) is not None for name in node.inputs
    )


def _is_attention(node: Node, graph: Graph, values: Values) -> bool:
    if node.op != "MatMul":
        return False
    return all(graph.size(n) is None and values[n].constant is None for n in node.inputs)


def kinds_of_layers(graph: Graph, values: Values) -> Tuple[str, ...]:
    """Return kinds of layers that settings are known for, by the compiler's words for them.

    ``matmul`` multiplies two computed tensors (attention), ``ew_add`` adds two.
    """
    found = set()
    for node in graph.nodes:
        if _is_attention(node, graph, values):
            found.add("matmul")
        elif node.op == "Add" and all(
            graph.size(name) is None and values[name].constant is None for name in node.inputs
        ):
            found.add("ew_add")
    return tuple(sorted(found))


def _pool(node: Node) -> Tuple[int, int]:
    kernel = node.get("kernel_shape") or [0]
    return max(kernel), max(node.get("strides") or [1])


def _halves(graph: Graph, values: Values, nodes: Sequence[Node]) -> int:
    """Count feature maps that are cut into channel groups (``Split``, or ``Slice`` twice)."""
    sliced: Dict[str, int] = {}
    count = 0
    for node in nodes:
        source = values.shape(node.inputs[0]) if node.inputs else None
        result = values.shape(node.outputs[0])
        if source is None or result is None or len(source) != 4 or source[2:] != result[2:]:
            continue
        if source[1] == result[1] or graph.producer.get(node.inputs[0]) is None:
            continue
        if node.op == "Split":
            count += 1
        elif node.op in ("Slice", "Gather"):
            sliced[node.inputs[0]] = sliced.get(node.inputs[0], 0) + 1
    return count + sum(number >= 2 for number in sliced.values())


def _shuffles(nodes: Sequence[Node]) -> int:
    count = 0
    for node in nodes:
        if node.op == "Transpose" and len(node.get("perm") or []) == 5:
            count += list(node.get("perm")) == [0, 2, 1, 3, 4]
    return count
