"""How a head's numbers become boxes, as far as the graph shows it.

An NMS of the SDK decodes boxes by itself, in one way per family. It may replace the network's
own decoding only when that is the same; these are the points in which look-alikes differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from hefsmith_worker.graph.anchors import neutral
from hefsmith_worker.graph.heads import End
from hefsmith_worker.graph.model import Graph, Node
from hefsmith_worker.graph.provenance import Mark, Trace
from hefsmith_worker.graph.roles import Head
from hefsmith_worker.graph.values import Values

_RECTIFIERS = ("Relu", "Clip", "Softplus", "Elu", "Abs")
_SCORES = {"Sigmoid": "sigmoid", "HardSigmoid": "sigmoid", "Softmax": "softmax"}


@dataclass(frozen=True)
class Decoding:
    """What is done to the numbers of the head; ``None`` where the graph does not show it.

    ``scaled``: learned factors or offsets follow the end nodes, such as YOLOv7's implicit
    layers or the scale of each level of FCOS and GFL. ``widths``: what a width or distance
    passes: ``sigmoid``, ``exponential``, ``rectified``, ``distribution`` or ``linear``.
    ``offset``: where in its cell a distance is measured from, 0.5 (centre) or 0 (corner).
    ``order``: ``xy`` or ``yx``, the order of the four numbers of a box. ``scores``: what class
    scores pass, ``sigmoid``, ``softmax`` or ``linear``. ``center_factor`` and ``size_factor``
    divide the offsets of a head with prior boxes (10 and 5 in most).
    """

    scaled: bool = False
    widths: Optional[str] = None
    offset: Optional[float] = None
    order: Optional[str] = None
    scores: Optional[str] = None
    center_factor: Optional[float] = None
    size_factor: Optional[float] = None

    def to_dict(self) -> Dict[str, object]:
        """Return the JSON form, a part of the report."""
        return dict(self.__dict__)


def read_decoding(graph: Graph, trace: Trace, head: Head, strides: Sequence[int]) -> Decoding:
    """Read the decoding of a detection head off what its channels meet."""
    ends = [end for scale in head.scales for end in scale.values()]
    scaled = any(_is_scaled(graph, trace.values, end.node) for end in ends)
    if not head.seen:
        return Decoding(scaled)
    box = head.scales[0]["box"]
    first = _box_channel(head)
    sides = [_marks(trace, box, first + side * (head.bins or 1)) for side in range(4)]
    category = head.scales[0].get("class")
    scores = None
    if category is not None:
        scores = _scores(_marks(trace, category, 0))
    elif head.fused is not None:
        scores = _scores(_marks(trace, box, 5))
    center, size = _factors(sides) if head.anchors > 1 else (None, None)
    return Decoding(
        scaled,
        _widths(sides[2], head),
        _offset(sides[0], strides[0]) if strides else None,
        _order(sides),
        scores,
        center,
        size,
    )


def _box_channel(head: Head) -> int:
    return head.classes if head.dense else 0


def _marks(trace: Trace, end: End, channel: int) -> List[Mark]:
    return trace.marks((end.position, channel))


def _is_scaled(graph: Graph, values: Values, node: Node) -> bool:
    """Say whether a convolution's result is at once multiplied by, or added to, constants."""
    readers = graph.consumers.get(node.outputs[0], [])
    if len(readers) != 1 or readers[0].op not in ("Mul", "Div", "Add", "Sub"):
        return False
    others = [name for name in readers[0].inputs if name != node.outputs[0]]
    shape = values.shape(node.outputs[0])
    factor = values.constant(others[0]) if len(others) == 1 else None
    if factor is None or shape is None or factor.size not in (1, shape[1]):
        return False
    neutral = 1.0 if readers[0].op in ("Mul", "Div") else 0.0
    return not np.allclose(np.asarray(factor, np.float64), neutral, atol=1e-6)


def _widths(marks: Sequence[Mark], head: Head) -> Optional[str]:
    if head.bins is not None:
        return "distribution"
    for mark in marks:
        if mark.op == "Exp":
            return "exponential"
        if mark.op == "Sigmoid":
            return "sigmoid"
        if mark.op in _RECTIFIERS:
            return "rectified"
        if mark.op in ("Lost", "Select"):
            return None
    return "linear" if marks else None


def _offset(marks: Sequence[Mark], stride: int) -> Optional[float]:
    """Read the grid's first value: cells are counted in cells or, after scaling, in pixels."""
    for mark in marks:
        if mark.op in ("Add", "Sub") and mark.low != mark.high:
            low = abs(mark.low)
            if math.isclose(low, 0.5 * stride, rel_tol=1e-3):
                return 0.5
            return round(low, 3) if low <= 1.0 else None
        if mark.op in ("Lost", "Select"):
            return None
    return None


def _order(sides: Sequence[Sequence[Mark]]) -> Optional[str]:
    """Tell by the grids of the first two numbers: x changes along a row, y does not."""
    fast = []
    for marks in sides[:2]:
        grid = next((m for m in marks if m.op in ("Add", "Sub") and m.low != m.high), None)
        if grid is None:
            return None
        fast.append(grid.fast)
    if fast[0] == fast[1]:
        return None
    return "xy" if fast[0] else "yx"


def _scores(marks: Sequence[Mark]) -> str:
    return next((_SCORES[mark.op] for mark in marks if mark.op in _SCORES), "linear")


def _factors(
    sides: Sequence[Sequence[Mark]],
) -> Tuple[Optional[float], Optional[float]]:
    """Read by what the offsets of prior boxes are divided, for the centre and for the size."""
    size = _divisor(sides[2], ("Exp",))
    center = _divisor(sides[0], ("Add", "AddWith", "Sub"))
    prior = neutral(sides[2])
    if center is None or prior is None:
        return None, _plausible(size)
    # Offsets of the centre are multiplied by the prior's own size.
    return _plausible(center * prior), _plausible(size)


def _divisor(marks: Sequence[Mark], until: Sequence[str]) -> Optional[float]:
    """Return the product of all factors, inverted, before one of ``until``."""
    found = 1.0
    for mark in marks:
        if mark.op in until:
            return found
        if mark.op in ("Mul", "Div") and mark.low == mark.high and mark.low:
            found *= 1 / mark.low if mark.op == "Mul" else mark.low
    return None


def _plausible(factor: Optional[float]) -> Optional[float]:
    if factor is None or not 0.5 <= factor <= 100:
        return None
    return round(factor, 4)
