"""Operators that only move elements: what numpy does to an array, ONNX does to a tensor.

The same code finds shapes (on arrays that take no memory), folds constants, and follows each
channel of a head to the outputs.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence

import numpy as np

from hefsmith_worker.graph.model import Node

Params = Sequence[Optional[np.ndarray]]
Mover = Callable[[Node, List[np.ndarray], Params], List[np.ndarray]]


class Unknown(Exception):
    """The result depends on something that is not known before the network runs."""


def _integers(node: Node, params: Params, position: int, attribute: str) -> Optional[List[int]]:
    """Return a parameter that older opsets have as attribute and newer ones as input."""
    if position < len(node.inputs) and node.inputs[position]:
        value = params[position]
        if value is None:
            raise Unknown(attribute)
        return [int(item) for item in np.asarray(value).reshape(-1)]
    value = node.get(attribute)
    if value is None:
        return None
    return [int(item) for item in (value if isinstance(value, (list, tuple)) else [value])]


def _reshape(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    shape = _integers(node, params, 1, "shape") or []
    source = data[0].shape
    if not node.get("allowzero", 0):
        shape = [
            source[i] if side == 0 and i < len(source) else side for i, side in enumerate(shape)
        ]
    return [data[0].reshape(shape)]


def _transpose(node: Node, data: List[np.ndarray], _params: Params) -> List[np.ndarray]:
    return [np.transpose(data[0], node.get("perm"))]


def _concat(node: Node, data: List[np.ndarray], _params: Params) -> List[np.ndarray]:
    return [np.concatenate(data, axis=int(node.get("axis", 1)))]


def _slice(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    starts = _integers(node, params, 1, "starts")
    ends = _integers(node, params, 2, "ends")
    if starts is None or ends is None:
        msg = "slice"
        raise Unknown(msg)
    axes = _integers(node, params, 3, "axes") or list(range(len(starts)))
    steps = _integers(node, params, 4, "steps") or [1] * len(starts)
    index: List[slice] = [slice(None)] * data[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index[axis] = slice(start, None if step < 0 and end < -(1 << 30) else end, step)
    return [data[0][tuple(index)]]


def _split(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    axis = int(node.get("axis", 0))
    sizes = _integers(node, params, 1, "split")
    if sizes is None:
        count = int(node.get("num_outputs") or len(node.outputs))
        each = -(-data[0].shape[axis] // count)
        sizes = [each] * (count - 1) + [data[0].shape[axis] - each * (count - 1)]
    return list(np.split(data[0], np.cumsum(sizes)[:-1], axis=axis))


def _gather(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    indices = params[1]
    if indices is None:
        msg = "indices"
        raise Unknown(msg)
    return [np.take(data[0], np.asarray(indices).astype(np.int64), axis=int(node.get("axis", 0)))]


def _squeeze(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    axes = _integers(node, params, 1, "axes")
    return [np.squeeze(data[0], None if axes is None else tuple(axes))]


def _unsqueeze(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    axes = _integers(node, params, 1, "axes") or []
    rank = data[0].ndim + len(axes)
    result = data[0]
    for axis in sorted(axis % rank for axis in axes):
        result = np.expand_dims(result, axis)
    return [result]


def _flatten(node: Node, data: List[np.ndarray], _params: Params) -> List[np.ndarray]:
    axis = int(node.get("axis", 1)) % (data[0].ndim + 1)
    rows = int(np.prod(data[0].shape[:axis], dtype=np.int64))
    return [data[0].reshape(rows, -1)]


def _expand(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    shape = _integers(node, params, 1, "shape") or []
    return [np.broadcast_to(data[0], np.broadcast_shapes(data[0].shape, tuple(shape)))]


def _tile(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    return [np.tile(data[0], _integers(node, params, 1, "repeats") or [1])]


def _same(_node: Node, data: List[np.ndarray], _params: Params) -> List[np.ndarray]:
    return [data[0]]


def _depth_to_space(node: Node, data: List[np.ndarray], _params: Params) -> List[np.ndarray]:
    n, c, h, w = data[0].shape
    b = int(node.get("blocksize", 1))
    if node.get("mode", "DCR") == "CRD":
        moved = data[0].reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        moved = data[0].reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    return [moved.reshape(n, c // (b * b), h * b, w * b)]


def _space_to_depth(node: Node, data: List[np.ndarray], _params: Params) -> List[np.ndarray]:
    n, c, h, w = data[0].shape
    b = int(node.get("blocksize", 1))
    moved = data[0].reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return [moved.reshape(n, c * b * b, h // b, w // b)]


#: Operator to its mover. Concat takes all inputs as data, the others the first one.
MOVERS: Dict[str, Mover] = {
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Flatten": _flatten,
    "Expand": _expand,
    "Tile": _tile,
    "Identity": _same,
    "Cast": _same,
    "Dropout": _same,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}


def move(node: Node, data: List[np.ndarray], params: Params) -> List[np.ndarray]:
    """Apply a moving operator; raises :class:`Unknown` when its parameters are not constant."""
    try:
        return MOVERS[node.op](node, data, params)
    except (ValueError, IndexError, TypeError) as error:
        msg = f"{node.op}: {error}"
        raise Unknown(msg) from None
