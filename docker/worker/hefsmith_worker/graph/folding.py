"""Computes what depends on constants alone: the grids, strides and anchors of decode tails."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from hefsmith_worker.graph.model import Node
from hefsmith_worker.graph.movement import MOVERS, Unknown, move

Arrays = Sequence[Optional[np.ndarray]]


def _divide(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if np.issubdtype(left.dtype, np.integer) and np.issubdtype(right.dtype, np.integer):
        return np.asarray(np.trunc(left / right).astype(left.dtype))
    return np.asarray(left / right)


_BINARY: Dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Pow": np.power,
    "Mod": np.mod,
    "Min": np.minimum,
    "Max": np.maximum,
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
}
_UNARY: Dict[str, Callable[[Any], Any]] = {
    "Neg": np.negative,
    "Abs": np.abs,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.round,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Reciprocal": np.reciprocal,
    "Not": np.logical_not,
    "Sign": np.sign,
}
_REDUCE: Dict[str, Callable[..., Any]] = {
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceMean": np.mean,
}
_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}


def fold(node: Node, inputs: Arrays) -> Optional[List[np.ndarray]]:
    """Return the outputs of a node whose inputs are all constant, ``None`` if not known how."""
    arrays = [array for array in inputs if array is not None]
    try:
        with np.errstate(all="ignore"):
            return _fold(node, inputs, arrays)
    except (Unknown, ValueError, IndexError, TypeError, MemoryError):
        return None


def _fold(node: Node, inputs: Arrays, arrays: List[np.ndarray]) -> Optional[List[np.ndarray]]:
    op = node.op
    if op == "Cast":
        kind = _TYPES.get(int(node.get("to", 0)))
        return None if kind is None else [arrays[0].astype(kind)]
    if op in MOVERS and arrays:
        data = arrays if op == "Concat" else arrays[:1]
        return [np.asarray(result) for result in move(node, data, inputs)]
    if op in _BINARY and len(arrays) >= 2:
        result = arrays[0]
        for other in arrays[1:]:
            result = np.asarray(_BINARY[op](result, other))
        return [result]
    if op in _UNARY:
        return [np.asarray(_UNARY[op](arrays[0]))]
    if op in _REDUCE:
        axes = node.get("axes")
        if axes is None and len(inputs) > 1 and inputs[1] is not None:
            axes = [int(axis) for axis in inputs[1].reshape(-1)]
        keep = bool(node.get("keepdims", 1))
        axis = tuple(axes) if axes else None
        return [np.asarray(_REDUCE[op](arrays[0], axis=axis, keepdims=keep))]
    if op == "Where":
        return [np.where(arrays[0].astype(bool), arrays[1], arrays[2])]
    if op == "Range":
        start, limit, step = (array.reshape(-1)[0] for array in arrays)
        return [np.arange(start, limit, step).astype(arrays[0].dtype)]
    if op == "Clip":
        low, high = node.get("min"), node.get("max")
        bounds = [*inputs[1:3], None, None][:2]
        low = bounds[0] if bounds[0] is not None else low
        high = bounds[1] if bounds[1] is not None else high
        if low is None and high is None:
            return [arrays[0]]
        return [np.clip(arrays[0], low, high).astype(arrays[0].dtype)]
    if op == "ConstantOfShape":
        return [_filled(node, arrays[0])]
    return None


def _filled(node: Node, shape: np.ndarray) -> np.ndarray:
    from onnx import numpy_helper

    value = node.get("value")
    fill = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value).reshape(-1)
    return np.full([int(side) for side in shape.reshape(-1)], fill[0], fill.dtype)
