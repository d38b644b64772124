"""Recovers anchor boxes from the decoding: what a channel's width becomes at its neutral value.

For a sigmoid that is 0.5 (``(2 * 0.5) ** 2 * anchor`` is the anchor), for an exponential it is 0.
Exporters fold the factors in their own ways; following the arithmetic does not care.
"""

from __future__ import annotations

import math
from typing import List, Optional, Sequence, Tuple

from hefsmith_worker.graph.heads import End, Fused
from hefsmith_worker.graph.provenance import Mark, Trace

Sizes = List[List[float]]

#: Anchors above this are pixels; fractions of a picture reach over its border at most twice.
_LARGEST_FRACTION = 2.0


def fused_anchors(
    trace: Trace, ends: Sequence[End], fused: Fused, picture: Tuple[int, int]
) -> Optional[List[Sizes]]:
    """Return, per scale, the (width, height) of each anchor in pixels, or ``None``.

    ``picture`` is (height, width); decoders that work on a picture of size 1 give fractions.
    """
    firsts = [anchor * fused.period for anchor in range(fused.anchors)]
    return _sizes(trace, [(end, firsts) for end in ends], (2, 3), picture)


def separate_anchors(
    trace: Trace, ends: Sequence[End], picture: Tuple[int, int], order: Optional[str]
) -> Optional[List[Sizes]]:
    """Return anchors of heads with box layers of their own (SSD, RetinaNet), if in the graph.

    ``order`` is ``yx`` where height comes before width, as in networks of TensorFlow.

    Decoders that work on a picture of size 1 give fractions; they are scaled to pixels.
    """
    sides = (3, 2) if order == "yx" else (2, 3)
    places = [(end, range(0, end.channels // 4 * 4, 4)) for end in ends]
    return _sizes(trace, places, sides, picture)


def _sizes(
    trace: Trace,
    places: Sequence[Tuple[End, Sequence[int]]],
    sides: Tuple[int, int],
    picture: Tuple[int, int],
) -> Optional[List[Sizes]]:
    """Return (width, height) of the anchors that begin at some channels of each end."""
    found: List[Sizes] = []
    for end, firsts in places:
        sizes: Sizes = []
        for first in firsts:
            width, height = (neutral(trace.marks((end.position, first + side))) for side in sides)
            if width is None or height is None:
                return None
            sizes.append([width, height])
        found.append(sizes)
    return _in_pixels(found, picture)


def _in_pixels(found: List[Sizes], picture: Tuple[int, int]) -> List[Sizes]:
    if max(max(pair) for sizes in found for pair in sizes) > _LARGEST_FRACTION:
        return found
    height, width = picture
    return [[[w * width, h * height] for w, h in sizes] for sizes in found]


def neutral(marks: Sequence[Mark]) -> Optional[float]:
    """Follow the arithmetic of a width; ``None`` when a constant differs between cells."""
    value: Optional[float] = None
    scaled = False
    factor = 1.0
    for place, mark in enumerate(marks):
        if value is not None and _halves_a_side(mark, marks[place + 1 :]):
            break
        if mark.op == "Sigmoid" and value is None:
            value = 0.5
        elif mark.op == "Exp" and value is None:
            value, factor = 1.0, 1.0
        elif mark.op in ("Mul", "Div", "Pow"):
            if not math.isclose(mark.low, mark.high, rel_tol=1e-3, abs_tol=1e-6):
                return None
            if value is None:
                factor *= mark.low if mark.op == "Mul" else 1.0
            elif mark.op == "Mul":
                value, scaled = value * mark.low, True
            elif mark.op == "Div":
                value, scaled = value / (mark.low or 1.0), True
            else:
                value **= mark.low
        elif mark.op in ("Add", "Sub", "AddWith", "SubWith", "MulWith", "Select", "Clip"):
            break
    if value is None or value <= 0.0 or not scaled:
        return None
    return round(value, 4)


def _halves_a_side(mark: Mark, later: Sequence[Mark]) -> bool:
    """Say whether a centre turns into corners here: half the width goes to either side."""
    half = (mark.op == "Div" and mark.low == mark.high == 2.0) or (
        mark.op == "Mul" and mark.low == mark.high == 0.5
    )
    return half and bool(later) and later[0].op in ("SubWith", "AddWith", "Neg")
