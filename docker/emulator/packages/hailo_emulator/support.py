"""What the chip can do: one judgement per node, and where to cut when one fails.

The rules follow what users report of the vendor's parser (facts: hailo.md 5.2, user_pains.md
P01-P08); the vendor's full list is not public, so README.md calls this approximate.

Every tensor has a *form*, which says what its axes mean:
``image`` (N, C, H, W), ``image_last`` (N, H, W, C), ``flat`` (N, C), ``sequence`` (N, C, L:
an image whose height and width were merged), ``tokens`` (N, L, C), ``heads`` (anything that
attention makes of these), ``stacked`` (query, key and value along the first axis, as timm's
attention leaves them for one node more).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from hailo_emulator.graph import Graph, Node, Shape

ACTIVATIONS = frozenset(
    [
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "Tanh",
        "HardSigmoid",
        "HardSwish",
        "Softplus",
        "Softsign",
        "Mish",
        "Gelu",
        "Clip",
        "Exp",
        "Log",
        "Erf",
        "ThresholdedRelu",
    ]
)
ELEMENTWISE = frozenset(["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"])
UNARY = frozenset(["Abs", "Neg", "Sqrt", "Reciprocal", "Floor", "Sign"])
NORMS = frozenset(
    [
        "BatchNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "GroupNormalization",
        "LRN",
        "LpNormalization",
    ]
)
RECURRENT = frozenset(("LSTM", "GRU", "RNN"))
UNEXPECTED = frozenset(("Expand", "ConstantOfShape", "Where", "Tile", "Range", "Shape"))
POOLS = frozenset(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"])
RESHAPES = frozenset(["Reshape", "Flatten", "Squeeze", "Unsqueeze"])

#: Names of the vendor's exception classes.
_UNEXPECTED_NODE = "UnexpectedNodeError"
_CONCAT = "UnsupportedConcatLayerError"
_CONV = "UnsupportedConvLayerError"
_GATHER = "UnsupportedGatherLayerError"
_LSTM = "UnsupportedLSTMLayerError"
_MODEL = "UnsupportedModelError"
_OPERATION = "UnsupportedOperationError"
_PADDING = "UnsupportedPaddingError"
_POOL = "UnsupportedPoolLayerError"
_RESIZE = "UnsupportedResizeLayerError"
_SHUFFLE = "UnsupportedShuffleLayerError"
_SLICE = "UnsupportedSliceLayerError"
_SOFTMAX = "UnsupportedSoftmaxLayerError"


@dataclass(frozen=True)
class Problem:
    """Why a node cannot be translated: the vendor's class name, the node, the reason."""

    kind: str
    node: str
    reason: str

    @property
    def line(self) -> str:
        """The line of the vendor's report."""
        return f"{self.kind} in op {self.node}: {self.reason}"


@dataclass(frozen=True)
class Judgement:
    """The forms of all tensors that can be computed, and what stands in the way."""

    forms: dict[str, str]
    problems: tuple[Problem, ...]


class _Refused(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def judge_graph(graph: Graph) -> Judgement:
    """Judge every node whose inputs can be computed."""
    forms = {name: form_of_input(shape) for name, shape in graph.inputs.items()}
    problems: list[Problem] = []
    shuffles = find_shuffles(graph)
    for node in graph.nodes:
        data = graph.data_inputs(node)
        if any(name not in forms for name in data):
            continue  # downstream of something refused
        try:
            form = _judge(graph, node, [forms[name] for name in data], shuffles)
        except _Refused as refused:
            problems.append(Problem(refused.kind, node.name, refused.reason))
            continue
        forms.update((name, form) for name in node.outputs if name)
    return Judgement(forms, tuple(problems))


def form_of_input(shape: Shape) -> str:
    """The form of a network input by its rank."""
    return {4: "image", 3: "sequence", 2: "flat"}.get(len(shape), "heads")


def _judge(graph: Graph, node: Node, forms: list[str], shuffles: dict[str, str]) -> str:
    if node.name in shuffles:
        return shuffles[node.name]
    if node.domain not in ("", "ai.onnx"):
        raise _Refused(_OPERATION, f"{node.op} operation is unsupported")
    if node.op in RECURRENT:
        raise _Refused(_LSTM, f"{node.op} operation is unsupported")
    if node.op in UNEXPECTED:
        raise _Refused(_UNEXPECTED_NODE, f"Unexpected node {node.name} ({node.op})")
    rule = _RULES.get(node.op)
    if rule is None:
        raise _Refused(_OPERATION, f"{node.op} operation is unsupported")
    for name in node.outputs[:1]:
        if name not in graph.shapes:
            raise _Refused(_MODEL, "dynamic shape is unsupported")
    if not forms:
        raise _Refused(_UNEXPECTED_NODE, f"Unexpected node {node.name} ({node.op})")
    return rule(graph, node, forms)


def _same(graph: Graph, node: Node, forms: list[str]) -> str:
    return forms[0]


def _conv(graph: Graph, node: Node, forms: list[str]) -> str:
    kind = _CONV
    if any(name and name not in graph.constants for name in node.inputs[1:]):
        raise _Refused(kind, "the weights are not constant")
    weight = graph.shapes[node.inputs[1]]
    if len(weight) != 4:
        raise _Refused(kind, f"kernel of rank {len(weight)} is unsupported, 4 is needed")
    if forms[0] not in ("image", "heads"):
        raise _Refused(kind, f"the input is {forms[0]}, an image is needed")
    features = graph.shapes[node.inputs[0]][1]
    groups = int(node.attribute("group", 1))
    wanted = weight[0] if node.op == "ConvTranspose" else weight[1] * groups
    if features != wanted:
        reason = f"Kernel features: {wanted} Input features: {features} Groups: {groups}"
        raise _Refused(_CONV, reason)
    if node.op == "ConvTranspose" and any(d != 1 for d in node.attribute("dilations", [1])):
        raise _Refused(kind, "a dilated deconvolution is unsupported")
    return "image"


def _pool(graph: Graph, node: Node, forms: list[str]) -> str:
    kind = _POOL
    if forms[0] != "image":
        raise _Refused(kind, f"pooling of rank {len(graph.shapes[node.inputs[0]])} is unsupported")
    if any(node.outputs[1:]):
        raise _Refused(kind, "the indices of a pooling are unsupported")
    return "image"


def _dense(graph: Graph, node: Node, forms: list[str]) -> str:
    if node.op == "Gemm" and node.inputs[1] not in graph.constants:
        raise _Refused(_OPERATION, "Gemm with computed weights is unsupported")
    if len(forms) == 2:
        return "heads" if "heads" in forms else forms[0]
    shape = graph.shapes[node.outputs[0]]
    if node.inputs[0] in graph.constants:
        raise _Refused(_OPERATION, "MatMul with constant left side is unsupported")
    if forms[0] == "image":
        raise _Refused(_OPERATION, "MatMul over the width is unsupported")
    if forms[0] == "sequence":
        raise _Refused(_OPERATION, "MatMul over merged pixels is unsupported")
    return "flat" if len(shape) == 2 else forms[0]


def _elementwise(graph: Graph, node: Node, forms: list[str]) -> str:
    shape = graph.shapes[node.outputs[0]]
    for name in node.inputs:
        if name in graph.constants:
            _check_constant(graph.constants[name].shape, shape, forms[0])
    if node.op == "Pow":
        exponent = graph.constants.get(node.inputs[1])
        if (
            exponent is None
            or exponent.size != 1
            or float(exponent.reshape(()))
            not in (
                0.5,
                1.0,
                2.0,
                3.0,
            )
        ):
            raise _Refused(_OPERATION, "Pow with this exponent is unsupported")
    if len(forms) == 2 and forms[0] != forms[1]:
        ranks = [len(graph.shapes[n]) for n in graph.data_inputs(node)]
        if ranks[0] != ranks[1]:
            raise _Refused(
                _MODEL,
                f"operands could not be broadcast together with shapes "
                f"{graph.shapes[node.inputs[0]]} {graph.shapes[node.inputs[1]]}",
            )
        return "heads" if "heads" in forms else forms[0]
    return forms[0]


def _check_constant(constant: Shape, shape: Shape, form: str) -> None:
    """A constant must broadcast over the batch: anchors laid out for the decode tail do not."""
    if len(constant) > len(shape):
        raise _Refused(
            _MODEL,
            f"constant shape {tuple(constant)} not broadcastable to {list(shape)}",
        )
    padded = (1,) * (len(shape) - len(constant)) + tuple(constant)
    if form == "sequence" and padded[2:] != (1,) and int(np.prod(padded)) > padded[1]:
        swapped = [shape[0], shape[2], shape[1]]
        raise _Refused(
            _MODEL,
            f"constant shape ({','.join(map(str, padded))}) not broadcastable to {swapped}",
        )


def _softmax(graph: Graph, node: Node, forms: list[str]) -> str:
    rank = len(graph.shapes[node.inputs[0]])
    axis = int(node.attribute("axis", -1)) % rank
    allowed = {"image": {1, 3}, "image_last": {2, 3}, "sequence": {1, 2}}.get(
        forms[0], set(range(1, rank))
    )
    if axis not in allowed:
        raise _Refused(_SOFTMAX, f"Softmax over axis {axis} is unsupported")
    return forms[0]


def _norm(graph: Graph, node: Node, forms: list[str]) -> str:
    if any(name and name not in graph.constants for name in node.inputs[1:]):
        raise _Refused(_OPERATION, f"{node.op} with computed scale is unsupported")
    return forms[0]


def _concat(graph: Graph, node: Node, forms: list[str]) -> str:
    rank = len(graph.shapes[node.outputs[0]])
    if int(node.attribute("axis", 1)) % rank == 0:
        raise _Refused(_CONCAT, "Concat over the batch is unsupported")
    return forms[0]


def _split(graph: Graph, node: Node, forms: list[str]) -> str:
    rank = len(graph.shapes[node.inputs[0]])
    if int(node.attribute("axis", 0)) % rank == 0 and forms[0] != "stacked":
        raise _Refused(_SLICE, "Split over the batch is unsupported")
    return forms[0]


def _slice(graph: Graph, node: Node, forms: list[str]) -> str:
    kind = _SLICE
    if any(name and name not in graph.constants for name in node.inputs[1:]):
        raise _Refused(kind, "the borders of the slice are not constant")
    shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    if out[0] != shape[0]:
        raise _Refused(kind, "Slice over the batch is unsupported")
    steps = graph.constants[node.inputs[4]] if len(node.inputs) > 4 and node.inputs[4] else None
    if steps is not None and np.any(steps < 1):
        raise _Refused(kind, "Slice with a negative step is unsupported")
    return forms[0]


def _gather(graph: Graph, node: Node, forms: list[str]) -> str:
    kind = _GATHER
    index = graph.constants.get(node.inputs[1])
    if index is None:
        raise _Refused(kind, "Can't find index")
    rank = len(graph.shapes[node.inputs[0]])
    if int(node.attribute("axis", 0)) % rank == 0:
        if forms[0] == "stacked" and index.ndim == 0:
            return "heads"
        raise _Refused(kind, "Gather over the batch is unsupported")
    out = len(graph.shapes[node.outputs[0]])
    if out == rank:
        return forms[0]
    return {1: "heads", 2: "flat", 3: "tokens"}.get(out, "heads")


def _resize(graph: Graph, node: Node, forms: list[str]) -> str:
    kind = _RESIZE
    mode = node.attribute("mode", "nearest")
    if mode not in ("nearest", "linear", "bilinear"):
        raise _Refused(kind, f"{mode} mode is unsupported")
    shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    if forms[0] != "image" or shape[:2] != out[:2]:
        raise _Refused(kind, "only height and width of an image can be resized")
    return forms[0]


def _pad(graph: Graph, node: Node, forms: list[str]) -> str:
    shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    if any(name and name not in graph.constants for name in node.inputs[1:]):
        raise _Refused(_PADDING, "the padding is not constant")
    if shape[0] != out[0] or node.attribute("mode", "constant") not in ("constant", "reflect"):
        raise _Refused(_PADDING, "this padding is unsupported")
    return forms[0]


def _reduce(graph: Graph, node: Node, forms: list[str]) -> str:
    kind = f"Unsupported{node.op}LayerError"
    shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    axes = node.attribute("axes", None)
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        found = graph.constants.get(node.inputs[1])
        if found is None:
            raise _Refused(kind, "the axes are not constant")
        axes = found.tolist()
    reduced = {int(a) % len(shape) for a in (axes or range(len(shape)))}
    if 0 in reduced:
        raise _Refused(kind, "reduction over the batch is unsupported")
    if forms[0] == "image" and reduced not in ({1}, {2}, {3}, {2, 3}, {1, 2, 3}):
        raise _Refused(kind, f"reduction over axes {sorted(reduced)} is unsupported")
    if forms[0] == "sequence" and node.op != "ReduceMean":
        raise _Refused(kind, f"reduction over axes {sorted(reduced)} is unsupported")
    if len(out) == len(shape):
        return forms[0]
    return {2: "flat", 3: "sequence" if 1 not in reduced else "heads"}.get(len(out), "heads")


def _argmax(graph: Graph, node: Node, forms: list[str]) -> str:
    if int(node.attribute("axis", 0)) % len(graph.shapes[node.inputs[0]]) != 1 or (
        node.outputs[0] not in graph.outputs
    ):
        raise _Refused(_OPERATION, "ArgMax is supported over the features of an output only")
    return forms[0]


def _depth(graph: Graph, node: Node, forms: list[str]) -> str:
    if forms[0] != "image":
        raise _Refused(_OPERATION, f"{node.op} needs an image")
    return "image"


def _cast(graph: Graph, node: Node, forms: list[str]) -> str:
    if int(node.attribute("to", 1)) not in (1, 10, 11):
        raise _Refused(_OPERATION, "Cast to a type without fractions is unsupported")
    return forms[0]


def _refuse_shuffle(node: Node) -> _Refused:
    return _Refused(
        _SHUFFLE,
        f"Failed to determine type of layer to create in node {node.name}",
    )


def _reshape(graph: Graph, node: Node, forms: list[str]) -> str:
    """Judge a Reshape, Flatten, Squeeze or Unsqueeze by what becomes of the axes."""
    shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    form = forms[0]
    if len(shape) == 0 or len(out) < 2 or shape[0] != out[0]:
        raise _refuse_shuffle(node)
    if len(out) == 2:
        return "flat"
    found = _reshape_image(shape, out) if form == "image" else _reshape_other(form, shape, out)
    if found is None:
        raise _refuse_shuffle(node)
    return found


def _reshape_image(shape: Shape, out: Shape) -> str | None:
    channels, pixels = shape[1], shape[2] * shape[3]
    if len(out) == 3 and out[1] == channels and out[2] == pixels:
        return "sequence"
    if len(out) == 4 and out[3] == pixels and out[1] * out[2] == channels and shape[3] != out[3]:
        return "heads"  # attention over pixels
    if len(out) == 4 and out[1] == channels and 1 in (*shape[2:], *out[2:]):
        return "image"
    if len(out) == 4 and channels == 1 == out[1]:
        return "image"
    if len(out) == 4 and pixels == 1 and out[3] == channels:
        return "image_last"  # one pixel: exporters write a transpose so
    return None


def _reshape_other(form: str, shape: Shape, out: Shape) -> str | None:
    if form == "flat":
        return {3: "tokens", 4: "image"}.get(len(out))
    if form == "image_last":
        if len(out) == 3 and out[2] == shape[3]:
            return "tokens"
        if len(out) == 4 and shape[1] * shape[2] == 1 and out[1] == shape[3]:
            return "image"
        return "image_last" if len(out) == 4 and out[3] == shape[3] else None
    if form == "sequence":
        if len(out) == 4 and out[1] == shape[1]:
            return "image"
        return "sequence" if len(out) == 3 and out[1] == shape[1] else None
    if form == "tokens":
        if out[1] == shape[1] and len(out) in (4, 5):
            return "heads"
        if len(out) == 4 and out[3] == shape[2]:
            return "image_last"
        return "tokens" if len(out) == 3 and out[2] == shape[2] else None
    if form == "stacked":
        return "heads" if shape[0] == 1 and out == shape[1:] else None
    if form == "heads":
        return {3: "tokens", 4: "image" if len(shape) == 4 else "heads", 5: "heads"}.get(len(out))
    return None


#: Transposes that put query, key and value first: (N, L, 3, heads, D) and back to heads first.
_STACKS = ((2, 0, 3, 1, 4), (2, 0, 3, 4, 1))
_IMAGE_TRANSPOSES = {(0, 2, 3, 1): "image_last", (0, 1, 3, 2): "image", (0, 1, 2, 3): "image"}


def _transpose(graph: Graph, node: Node, forms: list[str]) -> str:
    rank = len(graph.shapes[node.inputs[0]])
    perm = tuple(int(p) for p in node.attribute("perm", list(range(rank))[::-1]))
    form = forms[0]
    if form == "heads" and perm in _STACKS:
        return "stacked"
    if perm[0] != 0 or form == "stacked":
        raise _refuse_shuffle(node)
    if form == "image" and perm in _IMAGE_TRANSPOSES:
        return _IMAGE_TRANSPOSES[perm]
    if form == "image_last" and perm == (0, 3, 1, 2):
        return "image"
    if perm == (0, 2, 1):
        return {"sequence": "tokens", "tokens": "sequence"}.get(form, "heads")
    if form in ("heads", "flat"):
        return form
    raise _refuse_shuffle(node)


_RULES: dict[str, Callable[[Graph, Node, list[str]], str]] = {
    **dict.fromkeys(ACTIVATIONS | UNARY, _same),
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(RESHAPES, _reshape),
    **dict.fromkeys(("Conv", "ConvTranspose"), _conv),
    **dict.fromkeys(("Gemm", "MatMul"), _dense),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2", "ReduceMin"), _reduce),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("Identity", "Dropout"), _same),
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "ArgMax": _argmax,
    "Cast": _cast,
    "Transpose": _transpose,
}


def find_shuffles(graph: Graph) -> dict[str, str]:
    """Find Reshape-Transpose-Reshape triples that move pixels and channels about.

    Channel shuffle, pixel shuffle and their inverses are written so by PyTorch; each of their
    three nodes is accepted. Returns the form that each node's output shall have.
    """
    consumers, producers = graph.consumers(), graph.producers()
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.op == "InstanceNormalization":
            found.update(_group_norm(graph, node, producers, consumers))
        if node.op != "Transpose":
            continue
        before = producers.get(node.inputs[0])
        after = consumers.get(node.outputs[0], [])
        if before is None or before.op != "Reshape" or len(after) != 1 or after[0].op != "Reshape":
            continue
        ends = [graph.shapes.get(n, ()) for n in (before.inputs[0], after[0].outputs[0])]
        inner = graph.shapes.get(node.inputs[0], ())
        if [len(end) for end in ends] != [4, 4] or len(inner) not in (5, 6):
            continue
        perm = tuple(int(p) for p in node.attribute("perm", []))
        if perm in _SHUFFLES.get(len(inner), ()) and ends[0][0] == ends[1][0] == inner[0]:
            found.update({before.name: "heads", node.name: "heads", after[0].name: "image"})
    return found


def _group_norm(
    graph: Graph, node: Node, producers: dict[str, Node], consumers: dict[str, list[Node]]
) -> dict[str, str]:
    """A group norm as PyTorch writes it: merge each group's pixels, normalise, undo."""
    before = producers.get(node.inputs[0])
    after = consumers.get(node.outputs[0], [])
    if before is None or before.op != "Reshape" or len(after) != 1 or after[0].op != "Reshape":
        return {}
    outer = [graph.shapes.get(name, ()) for name in (before.inputs[0], after[0].outputs[0])]
    inner = graph.shapes.get(node.inputs[0], ())
    if outer[0] != outer[1] or len(outer[0]) != 4 or len(inner) != 3 or outer[0][1] % inner[1]:
        return {}
    return {before.name: "heads", node.name: "heads", after[0].name: "image"}


_SHUFFLES = {
    5: ((0, 2, 1, 3, 4),),
    6: ((0, 1, 4, 2, 5, 3), (0, 3, 4, 1, 5, 2), (0, 1, 3, 5, 2, 4), (0, 3, 5, 1, 2, 4)),
}
