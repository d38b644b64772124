"""Shapes and multiplications of an ONNX graph, as far as they can be told without running it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.inspect.onnx_file import Node, OnnxModel, Weight

    Inputs = Sequence[tuple[int, ...] | None]
    Constants = Mapping[str, Weight]
    Outputs = list[tuple[int, ...] | None]
    Rule = Callable[[Node, Inputs, Constants], Outputs]

Shape = tuple[int, ...]

_SAME: Final = frozenset((
    "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish",
    "Tanh", "Softmax", "LogSoftmax", "Clip", "Softplus", "Softsign", "Mish", "Gelu", "Erf",
    "Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Ceil", "Round", "Reciprocal", "Identity",
    "Cast", "Dropout", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
    "LpNormalization", "LRN", "QuantizeLinear", "DequantizeLinear", "Not", "Sin", "Cos", "Sign",
))  # fmt: skip
_BROADCAST: Final = frozenset((
    "Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mean", "Sum", "Equal", "Less", "Greater",
    "And", "Or", "Where", "Mod",
))  # fmt: skip
_COUNTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Cost:
    """``macs`` for one run with batch 1; ``unknown`` names nodes whose shapes could not be told."""

    macs: int
    unknown: tuple[str, ...]
    shapes: Mapping[str, Shape]


def estimate_cost(model: OnnxModel) -> Cost:
    """Count multiply-accumulate operations; a dimension that is open counts as 1."""
    shapes: dict[str, Shape] = {}
    for name, value in model.known.items():
        if value.shape is not None and all(side is not None for side in value.shape):
            shapes[name] = tuple(
                side if isinstance(side, int) and side > 0 else 1 for side in value.shape
            )
    constants: dict[str, Weight] = dict(model.weights)
    shapes |= {name: weight.shape for name, weight in model.weights.items()}
    macs = 0
    unknown: list[str] = []
    for node in model.nodes:
        if node.op == "Constant" and node.constant is not None and node.outputs:
            constants[node.outputs[0]] = node.constant
            shapes[node.outputs[0]] = node.constant.shape
            continue
        inputs = [shapes.get(name) for name in node.inputs]
        for name, shape in zip(node.outputs, _outputs(node, inputs, constants), strict=False):
            if shape is not None and _sane(shape):
                shapes.setdefault(name, shape)
        if node.op in _COUNTED:
            count = _macs(node, inputs, shapes.get(node.outputs[0]) if node.outputs else None)
            if count is None:
                unknown.append(node.name or node.op)
            else:
                macs += count
    return Cost(macs, tuple(unknown), shapes)


def _sane(shape: Shape) -> bool:
    return len(shape) <= 16 and all(0 <= side < 1 << 40 for side in shape)


def _macs(node: Node, inputs: Inputs, output: Shape | None) -> int | None:
    if len(inputs) < 2 or inputs[0] is None or inputs[1] is None or output is None:
        return None
    data, weight = inputs[0], inputs[1]
    if node.op == "Conv" and len(weight) > 2:
        return math.prod(output) * math.prod(weight[1:])
    if node.op == "ConvTranspose" and len(weight) > 2:
        return math.prod(data) * math.prod(weight[1:])
    if node.op == "Gemm" and len(data) == 2:
        return math.prod(output) * data[0 if _int(node, "transA", 0) else 1]
    if node.op == "MatMul" and data:
        return math.prod(output) * data[-1]
    return None


def _int(node: Node, name: str, default: int) -> int:
    values = node.ints.get(name)
    return values[0] if values else default


def _outputs(node: Node, inputs: Inputs, constants: Constants) -> Outputs:
    rule = _RULES.get(node.op)
    try:
        if node.op in _SAME:
            return [inputs[0]]
        if node.op in _BROADCAST:
            return [
                _broadcast([shape for shape, name in zip(inputs, node.inputs, strict=True) if name])
            ]
        return rule(node, inputs, constants) if rule else []
    except (IndexError, ValueError, ZeroDivisionError, OverflowError):
        return []


def _broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    if not shapes or any(shape is None for shape in shapes):
        return None
    rank = max(len(shape or ()) for shape in shapes)
    sides = [1] * rank
    for shape in shapes:
        for place, side in enumerate(reversed(shape or ())):
            sides[rank - 1 - place] = max(sides[rank - 1 - place], side)
    return tuple(sides)


def _window(node: Node, sides: Shape, kernel: Shape) -> list[int]:
    count = len(sides)
    strides = node.ints.get("strides") or (1,) * count
    dilations = node.ints.get("dilations") or (1,) * count
    pads = node.ints.get("pads") or (0,) * (2 * count)
    if node.texts.get("auto_pad", "").startswith("SAME"):
        return [-(-side // stride) for side, stride in zip(sides, strides, strict=True)]
    found = []
    for axis, side in enumerate(sides):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        space = side + pads[axis] + pads[axis + count] - reach
        steps = -(-space // strides[axis]) if _int(node, "ceil_mode", 0) else space // strides[axis]
        found.append(steps + 1)
    return found


def _conv(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    data, weight = inputs[0], inputs[1]
    if data is None or weight is None:
        return []
    return [(data[0], weight[0], *_window(node, data[2:], weight[2:]))]


def _conv_transpose(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    data, weight = inputs[0], inputs[1]
    if data is None or weight is None:
        return []
    count = len(data) - 2
    if sizes := node.ints.get("output_shape"):
        return [(data[0], weight[1] * _int(node, "group", 1), *sizes[-count:])]
    strides = node.ints.get("strides") or (1,) * count
    pads = node.ints.get("pads") or (0,) * (2 * count)
    extra = node.ints.get("output_padding") or (0,) * count
    dilations = node.ints.get("dilations") or (1,) * count
    sides = [
        strides[i] * (data[i + 2] - 1)
        + extra[i]
        + dilations[i] * (weight[i + 2] - 1)
        + 1
        - pads[i]
        - pads[i + count]
        for i in range(count)
    ]
    return [(data[0], weight[1] * _int(node, "group", 1), *sides)]


def _pool(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    data = inputs[0]
    if data is None:
        return []
    return (
        [(*data[:2], *_window(node, data[2:], node.ints["kernel_shape"]))]
        if "kernel_shape" in node.ints
        else []
    )


def _global_pool(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    del node
    data = inputs[0]
    return [] if data is None else [(*data[:2], *(1 for _ in data[2:]))]


def _gemm(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    left, right = inputs[0], inputs[1]
    if left is None or right is None:
        return []
    return [
        (
            left[1 if _int(node, "transA", 0) else 0],
            right[0 if _int(node, "transB", 0) else 1],
        )
    ]


def _matmul(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    del node
    left, right = inputs[0], inputs[1]
    if left is None or right is None or len(left) < 2 or len(right) < 2:
        return []
    batch = _broadcast([left[:-2], right[:-2]])
    return [(*(batch or ()), left[-2], right[-1])]


def _flatten(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    data = inputs[0]
    if data is None:
        return []
    axis = _int(node, "axis", 1) % (len(data) + 1)
    return [(math.prod(data[:axis]), math.prod(data[axis:]))]


def _reshape(node: Node, inputs: Inputs, constants: Constants) -> Outputs:
    data = inputs[0]
    target = _values(node, 1, constants)
    if data is None or target is None:
        return []
    sides = [data[i] if side == 0 else int(side) for i, side in enumerate(target)]
    if -1 in sides:
        rest = math.prod(side for side in sides if side != -1)
        sides[sides.index(-1)] = math.prod(data) // rest
    return [tuple(sides)]


def _values(node: Node, position: int, constants: Constants) -> tuple[float, ...] | None:
    if position >= len(node.inputs) or node.inputs[position] not in constants:
        return None
    return constants[node.inputs[position]].values


def _concat(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    known = [shape for shape in inputs if shape is not None]
    if len(known) != len(inputs):
        return []
    sides = list(known[0])
    axis = _int(node, "axis", 0) % len(sides)
    sides[axis] = sum(shape[axis] for shape in known)
    return [tuple(sides)]


def _transpose(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    data = inputs[0]
    if data is None:
        return []
    order = node.ints.get("perm") or tuple(reversed(range(len(data))))
    return [tuple(data[axis] for axis in order)]


def _resize(node: Node, inputs: Inputs, constants: Constants) -> Outputs:
    data = inputs[0]
    if data is None:
        return []
    sizes = _values(node, 3, constants)
    if sizes:
        return [tuple(int(side) for side in sizes)]
    scales = _values(node, 2, constants) or _values(node, 1, constants)
    if not scales or len(scales) != len(data):
        return []
    return [tuple(int(side * scale) for side, scale in zip(data, scales, strict=True))]


def _split(node: Node, inputs: Inputs, constants: Constants) -> Outputs:
    data = inputs[0]
    if data is None:
        return []
    axis = _int(node, "axis", 0) % len(data)
    parts = node.ints.get("split") or _values(node, 1, constants)
    count = len(node.outputs)
    sizes = parts or [-(-data[axis] // count)] * count
    return [(*data[:axis], int(size), *data[axis + 1 :]) for size in sizes]


def _space_to_depth(node: Node, inputs: Inputs, _: Constants) -> Outputs:
    data, block = inputs[0], _int(node, "blocksize", 1)
    if data is None or len(data) != 4:
        return []
    if node.op == "SpaceToDepth":
        return [(data[0], data[1] * block * block, data[2] // block, data[3] // block)]
    return [(data[0], data[1] // (block * block), data[2] * block, data[3] * block)]


_RULES: Final[Mapping[str, Rule]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Concat": _concat,
    "Transpose": _transpose,
    "Resize": _resize,
    "Upsample": _resize,
    "Split": _split,
    "SpaceToDepth": _space_to_depth,
    "DepthToSpace": _space_to_depth,
}
