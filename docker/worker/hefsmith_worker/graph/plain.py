"""Networks with one answer per picture or per pixel: classification, semantic segmentation."""

from __future__ import annotations

from typing import Optional, Sequence, Set, Tuple

from hefsmith_worker.graph.ends import Ends
from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.report import HeadReport
from hefsmith_worker.graph.values import Values

#: What only re-arranges or re-scales an answer; the logits are before it.
_VIEWS = frozenset(
    ["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout"]
)
_SCALES = frozenset(["Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "ArgMax"])
_RESIZES = frozenset(["Resize", "Upsample"])
_JOINS = frozenset(["Add", "Sum", "Mean", "Div", "Mul"])
_POOLS = frozenset(["GlobalAveragePool", "AveragePool", "ReduceMean"])
#: Layers between a decoder's joint and its answer.
_DECODER_DEPTH = 8
#: Kinds of these layers.
_BETWEEN = frozenset(
    ["Conv", "BatchNormalization", "Relu", "Identity", "Dropout", "Mul", "Sigmoid"]
)
_NORMS = frozenset(["LpNormalization", "ReduceL2", "Sqrt", "Norm"])


def read_plain(graph: Graph, values: Values, ends: Ends) -> Optional[HeadReport]:
    """Recognise classification and semantic segmentation; ``None`` when it is neither."""
    pictures = [shape for shape in graph.inputs.values() if len(shape) == 4]
    if len(pictures) != 1 or len(graph.inputs) != 1 or ends.opaque or ends.from_input:
        return None
    answers = [_logits(graph, output) for output in graph.outputs]
    if any(answer is None for answer in answers):
        return None
    found = [answer for answer in answers if answer is not None]
    nodes = [node for node, _ in found]
    size = _picture_size(pictures[0])
    if len(nodes) == 1:
        node, passed = found[0]
        shape = values.shape(node.outputs[0])
        if shape is not None and _is_flat(shape) and _is_vector(values, graph.outputs[0]):
            return _classification(values, ends, node, passed, shape)
    shapes = [values.shape(node.outputs[0]) for node in nodes]
    if all(shape is not None and len(shape) == 4 for shape in shapes):
        maps = [shape for shape in shapes if shape is not None]
        passed = {op for _, ops in found for op in ops}
        return _segmentation(graph, values, ends, nodes, maps, passed, size)
    return None


def _picture_size(shape: Sequence[int]) -> Tuple[int, int]:
    if shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        return shape[1], shape[2]
    return shape[2], shape[3]


def _is_flat(shape: Sequence[int]) -> bool:
    return len(shape) >= 2 and shape[0] == 1 and sum(side > 1 for side in shape) <= 1


def _is_vector(values: Values, output: str) -> bool:
    """Say whether an output has one side at most: the numbers are not laid out any further."""
    return sum(side > 1 for side in values.shape(output) or ()) <= 1


def _logits(graph: Graph, output: str) -> Optional[Tuple[Node, Set[str]]]:
    """Walk back over views and scalings to the node that computes an answer."""
    passed: Set[str] = set()
    name = output
    for _ in range(24):
        node = graph.producer.get(name)
        if node is None:
            return None
        if node.op not in _VIEWS | _SCALES | _RESIZES:
            return node, passed
        passed.add(node.op)
        name = node.inputs[0]
    return None


def _classification(
    values: Values,
    ends: Ends,
    node: Node,
    passed: Set[str],
    shape: Tuple[int, ...],
) -> Optional[HeadReport]:
    classes = max(shape)
    learned = ends.learned
    spatial = [n for n in learned if len(values.shape(n.outputs[0]) or ()) == 4]
    pooled = node.op in _POOLS
    if any(_channels(values, n) != classes for n in learned):
        return None
    if pooled and (len(learned) > 1 or not _is_pointwise(learned[0], values)):
        # A pooled body without a classifier: features, not classes.
        return None
    if not pooled and node.op not in ("Gemm", "MatMul", "Conv") and node.op not in _JOINS:
        return None
    tail = {n.op for n in ends.tail}
    if tail & _NORMS or len(learned) > 2:
        return None
    scaled = bool(passed & {"Softmax", "LogSoftmax", "ArgMax"})
    if classes < 2 and "Sigmoid" not in passed:
        return None
    sure = 0.95 if scaled else (0.6 if classes == 1 else 0.85)
    if pooled or spatial:
        sure -= 0.1
    why = [f"one vector of {classes} per picture"]
    why.append("behind it a softmax" if scaled else "nothing behind it tells logits from features")
    return HeadReport(
        "classification",
        "classifier",
        (node.label,),
        ("logits",),
        (shape,),
        classes,
        confidence=sure,
        reasons=tuple(why),
    )


def _channels(values: Values, node: Node) -> int:
    shape = values.shape(node.outputs[0]) or (0,)
    return shape[1] if node.op in ("Conv", "ConvTranspose") and len(shape) > 1 else shape[-1]


def _is_pointwise(node: Node, values: Values) -> bool:
    weight = values.shape(node.inputs[1]) if len(node.inputs) > 1 else None
    return node.op == "Conv" and weight is not None and set(weight[2:]) == {1}


def _segmentation(
    graph: Graph,
    values: Values,
    ends: Ends,
    nodes: Sequence[Node],
    maps: Sequence[Tuple[int, ...]],
    passed: Set[str],
    size: Tuple[int, int],
) -> Optional[HeadReport]:
    classes = {shape[1] for shape in maps}
    if len(classes) != 1 or any(node.op not in ("Conv", "ConvTranspose", "Add") for node in nodes):
        return None
    number = classes.pop()
    if min(size) > 1 and any(1 in shape[2:] for shape in maps):
        # A row of cells reads a line: characters of a plate or a word, one after the other.
        return None
    if any(_channels(values, node) != number for node in ends.learned):
        return None
    decided = bool(passed & {"Softmax", "LogSoftmax", "ArgMax"}) and not _picks_cells(graph)
    resized = bool(passed & _RESIZES)
    stride = max(round(size[0] / shape[2]) for shape in maps)
    larger = any(shape[2] > size[0] for shape in maps)
    # One channel may be a mask, a depth or a grey picture; three may be a picture.
    if larger or number == 1 or (number == 3 and not decided and not resized):
        return None
    alone = len(nodes) == 1
    if not (decided or resized or stride == 1 or (alone and _joins_scales(graph, nodes[0]))):
        # Key point heat maps and other dense answers look the same.
        return None
    if not decided and not resized and stride > 4:
        return None
    if not decided and number > 256:
        return None
    sure = 0.95 if decided else (0.8 if resized or number >= 4 else 0.6)
    why = [f"a map of {number} channels per picture, of 1/{stride} of its size"]
    if decided and "ArgMax" in passed:
        why.append("the largest channel of each pixel is taken")
    elif decided:
        why.append("behind it a softmax over the channels of each pixel")
    elif resized:
        why.append("enlarged to the picture, and nothing else behind it")
    if len(nodes) > 1:
        why.append(f"{len(nodes)} such maps: the first is the answer, the others help training")
    return HeadReport(
        "segmentation",
        "semantic",
        tuple(node.label for node in nodes),
        ("logits",) * len(nodes),
        tuple(maps),
        number,
        strides=(stride,),
        confidence=sure,
        reasons=tuple(why),
    )


def _picks_cells(graph: Graph) -> bool:
    """Say whether an output is the largest cell of a map, and not the largest channel of a cell."""
    makers = [graph.producer[output] for output in graph.outputs if output in graph.producer]
    return any(
        maker.op == "ArgMax" and int(maker.get("axis", 0)) not in (1, -3) for maker in makers
    )


def _joins_scales(graph: Graph, last: Node) -> bool:
    """Say whether a decoder before the last layer joins maps that it enlarged to one size."""
    waiting, seen = [(last.inputs[0], 0)], set()
    while waiting:
        name, depth = waiting.pop()
        node = graph.producer.get(name)
        if node is None or node.index in seen or depth > _DECODER_DEPTH:
            continue
        seen.add(node.index)
        if node.op == "Concat":
            makers = [graph.producer.get(source) for source in node.inputs]
            return sum(maker is not None and maker.op in _RESIZES for maker in makers) >= 1
        if node.op in _BETWEEN:
            waiting.append((node.inputs[0], depth + 1))
    return False
