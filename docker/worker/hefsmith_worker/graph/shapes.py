"""Shapes of the operators that compute: ONNX's rules, for the operators of vision networks."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from hefsmith_worker.graph.model import Node

Shape = Tuple[int, ...]
Shapes = Sequence[Optional[Shape]]
Params = Sequence[Optional[np.ndarray]]

_UNARY = frozenset((
    "Abs", "Acos", "Asin", "Atan", "BatchNormalization", "BitShift", "CastLike", "Ceil", "Celu",
    "Clip", "Cos", "CumSum", "DequantizeLinear", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "InstanceNormalization",
    "IsInf", "IsNaN", "LRN", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax",
    "LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Not", "QuantizeLinear",
    "RMSNormalization", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign",
    "Sin", "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
    "Trilu", "SimplifiedLayerNormalization", "FastGelu", "QuickGelu",
))  # fmt: skip
_BROADCAST = frozenset((
    "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Equal", "Less",
    "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Where", "PRelu",
    "BitwiseAnd", "BitwiseOr",
))  # fmt: skip


def shape_of(node: Node, shapes: Shapes, params: Params) -> List[Optional[Shape]]:
    """Return the output shapes of a node; an empty list or ``None`` where they are unknown."""
    rule = _RULES.get(node.op)
    try:
        if node.op in _UNARY or node.op.startswith("Random"):
            return [shapes[0]]
        if node.op in _BROADCAST:
            known = [shape for name, shape in zip(node.inputs, shapes) if name]
            if any(shape is None for shape in known):
                return []
            return [np.broadcast_shapes(*[shape for shape in known if shape is not None])]
        if node.op.startswith("Reduce") or node.op in ("ArgMax", "ArgMin"):
            return [_reduced(node, shapes, params)]
        return rule(node, shapes, params) if rule is not None else []
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        return []


def _list(value: Any, default: Sequence[int]) -> List[int]:
    return [int(item) for item in (default if value is None else value)]


def _window(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> List[int]:
    """Return the spatial output of a convolution or pool, padding and ceil mode included."""
    rank = len(sides)
    strides = _list(node.get("strides"), [1] * rank)
    dilations = _list(node.get("dilations"), [1] * rank)
    pads = _list(node.get("pads"), [0] * (2 * rank))
    auto = node.get("auto_pad", "NOTSET")
    out = []
    for axis in range(rank):
        span = dilations[axis] * (kernel[axis] - 1) + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            out.append(math.ceil(sides[axis] / strides[axis]))
            continue
        padding = 0 if auto == "VALID" else pads[axis] + pads[axis + rank]
        steps = (sides[axis] + padding - span) / strides[axis]
        if not node.get("ceil_mode", 0):
            out.append(math.floor(steps) + 1)
            continue
        size = math.ceil(steps) + 1
        # A window that would begin in the padding behind the picture does not count.
        if (size - 1) * strides[axis] >= sides[axis] + pads[axis]:
            size -= 1
        out.append(size)
    return out


def _conv(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    data, weight = shapes[0], shapes[1]
    if data is None or weight is None:
        return []
    kernel = _list(node.get("kernel_shape"), weight[2:])
    return [(data[0], weight[0], *_window(node, data[2:], kernel))]


def _conv_transpose(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    data, weight = shapes[0], shapes[1]
    if data is None or weight is None:
        return []
    rank = len(data) - 2
    kernel = _list(node.get("kernel_shape"), weight[2:])
    strides = _list(node.get("strides"), [1] * rank)
    dilations = _list(node.get("dilations"), [1] * rank)
    pads = _list(node.get("pads"), [0] * (2 * rank))
    extra = _list(node.get("output_padding"), [0] * rank)
    asked = node.get("output_shape")
    if asked is not None:
        return [(data[0], weight[1] * int(node.get("group", 1)), *_list(asked, []))]
    sides = []
    for axis in range(rank):
        if node.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
            sides.append(data[2 + axis] * strides[axis])
            continue
        full = strides[axis] * (data[2 + axis] - 1) + extra[axis]
        full += dilations[axis] * (kernel[axis] - 1) + 1 - pads[axis] - pads[axis + rank]
        sides.append(full)
    return [(data[0], weight[1] * int(node.get("group", 1)), *sides)]


def _pool(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    data = shapes[0]
    if data is None:
        return []
    sides = _window(node, data[2:], _list(node.get("kernel_shape"), []))
    return [(*data[:2], *sides)] * len(node.outputs)


def _global_pool(_node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    data = shapes[0]
    return [] if data is None else [(*data[:2], *[1] * (len(data) - 2))]


def _gemm(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    left, right = shapes[0], shapes[1]
    if left is None or right is None:
        return []
    rows = left[1] if node.get("transA", 0) else left[0]
    return [(rows, right[0] if node.get("transB", 0) else right[1])]


def _matmul(_node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    left, right = shapes[0], shapes[1]
    if left is None or right is None:
        return []
    a = (1, *left) if len(left) == 1 else left
    b = (*right, 1) if len(right) == 1 else right
    shape = (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    if len(left) == 1:
        shape = (*shape[:-2], shape[-1])
    return [shape[:-1] if len(right) == 1 else shape]


def _reduced(node: Node, shapes: Shapes, params: Params) -> Optional[Shape]:
    data = shapes[0]
    if data is None:
        return None
    keep = bool(node.get("keepdims", 1))
    if node.op in ("ArgMax", "ArgMin"):
        axes = [int(node.get("axis", 0))]
    else:
        found = reduced_axes(node, params, len(data))
        if found is None:
            return None
        axes = found
    axes = [axis % len(data) for axis in axes]
    if keep:
        return tuple(1 if i in axes else side for i, side in enumerate(data))
    return tuple(side for i, side in enumerate(data) if i not in axes)


def reduced_axes(node: Node, params: Params, rank: int) -> Optional[List[int]]:
    """Return the axes of a ``Reduce...`` node, ``None`` when they are not constant."""
    axes = node.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        if params[1] is None:
            return None
        axes = [int(axis) for axis in np.asarray(params[1]).reshape(-1)]
    if not axes:
        return [] if node.get("noop_with_empty_axes", 0) else list(range(rank))
    return [int(axis) % rank for axis in axes]


def _resize(node: Node, shapes: Shapes, params: Params) -> List[Optional[Shape]]:
    data = shapes[0]
    if data is None:
        return []
    axes = _list(node.get("axes"), range(len(data)))
    result = list(data)
    if len(params) > 3 and params[3] is not None and params[3].size:
        for axis, side in zip(axes, params[3].reshape(-1)):
            result[axis] = int(side)
        return [tuple(result)]
    position = 1 if node.op == "Upsample" or len(node.inputs) == 2 else 2
    scales = params[position] if len(params) > position else None
    if scales is None and node.get("scales") is not None:
        scales = np.asarray(node.get("scales"))
    if scales is None or not scales.size:
        return []
    for axis, scale in zip(axes, scales.reshape(-1)):
        result[axis] = math.floor(result[axis] * float(scale))
    return [tuple(result)]


def _pad(node: Node, shapes: Shapes, params: Params) -> List[Optional[Shape]]:
    data = shapes[0]
    if data is None:
        return []
    pads = params[1] if len(params) > 1 else None
    sides = _list(node.get("pads") or node.get("paddings"), []) or (
        [] if pads is None else [int(item) for item in pads.reshape(-1)]
    )
    if not sides:
        return []
    axes = range(len(data))
    if len(params) > 3 and params[3] is not None:
        axes = [int(axis) % len(data) for axis in params[3].reshape(-1)]  # type: ignore[assignment]
    result = list(data)
    half = len(sides) // 2
    for position, axis in enumerate(axes):
        result[axis] += sides[position] + sides[position + half]
    return [tuple(result)]


def _topk(node: Node, shapes: Shapes, params: Params) -> List[Optional[Shape]]:
    data = shapes[0]
    count = params[1] if len(params) > 1 else None
    if data is None or (count is None and node.get("k") is None):
        return []
    k = int(node.get("k")) if count is None else int(count.reshape(-1)[0])
    result = list(data)
    result[int(node.get("axis", -1))] = k
    return [tuple(result)] * 2


def _gather_elements(_node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    return [shapes[1]]


def _gather_nd(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    data, indices = shapes[0], shapes[1]
    if data is None or indices is None:
        return []
    batch = int(node.get("batch_dims", 0))
    return [(*indices[:-1], *data[batch + indices[-1] :])]


def _gather(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    data, indices = shapes[0], shapes[1]
    if data is None or indices is None:
        return []
    axis = int(node.get("axis", 0)) % len(data)
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def _einsum(node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    dummies = [np.broadcast_to(np.float32(0), shape) for shape in shapes if shape is not None]
    if len(dummies) != len(shapes):
        return []
    left, arrow, right = str(node.get("equation", "")).replace(" ", "").partition("->")
    if not arrow or "." in left:
        return []
    sides: Dict[str, int] = {}
    for term, dummy in zip(left.split(","), dummies):
        sides.update(zip(term, dummy.shape))
    return [tuple(sides[letter] for letter in right)]


def _first(_node: Node, shapes: Shapes, _params: Params) -> List[Optional[Shape]]:
    return [shapes[0]]


_RULES: Dict[str, Callable[[Node, Shapes, Params], List[Optional[Shape]]]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Resize": _resize,
    "Upsample": _resize,
    "Pad": _pad,
    "TopK": _topk,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gather": _gather,
    "ScatterND": _first,
    "ScatterElements": _first,
    "Einsum": _einsum,
}
