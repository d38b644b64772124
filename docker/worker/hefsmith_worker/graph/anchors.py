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


def fused_anchors(trace: Trace, ends: Sequence[End], fused: Fused) -> Optional[List[Sizes]]:
    """Return, per scale, the (width, height) of each anchor in pixels, or ``None``."""
    found: List[Sizes] = []
    for end in ends:
        sizes: Sizes = []
        for anchor in range(fused.anchors):
            first = anchor * fused.period
            pair = [_neutral(trace.marks((end.position, first + side))) for side in (2, 3)]
            if pair[0] is None or pair[1] is None:
                return None
            sizes.append([pair[0], pair[1]])
        found.append(sizes)
    return found


def separate_anchors(
    trace: Trace, ends: Sequence[End], picture: Tuple[int, int]
) -> Optional[List[Sizes]]:
    """Return anchors of heads with box layers of their own (SSD, RetinaNet), if in the graph.

    Decoders that work on a picture of size 1 give fractions; they are scaled to pixels.
    """
    found: List[Sizes] = []
    for end in ends:
        sizes = []
        for anchor in range(end.channels // 4):
            pair = [_neutral(trace.marks((end.position, anchor * 4 + side))) for side in (2, 3)]
            if pair[0] is None or pair[1] is None:
                return None
            sizes.append([pair[0], pair[1]])
        found.append(sizes)
    if max(max(pair) for sizes in found for pair in sizes) <= 2.0:
        height, width = picture
        return [[[w * width, h * height] for w, h in sizes] for sizes in found]
    return found


def _neutral(marks: Sequence[Mark]) -> Optional[float]:
    """Follow the arithmetic of a width; ``None`` when a constant differs between cells."""
    value: Optional[float] = None
    factor = 1.0
    for mark in marks:
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
                value *= mark.low
            elif mark.op == "Div":
                value /= mark.low or 1.0
            else:
                value **= mark.low
        elif mark.op in ("Add", "Sub", "AddWith", "SubWith", "MulWith", "Select", "Clip"):
            break
    if value is None or value <= 0.0 or value in (0.5, 1.0):
        return None
    return round(value, 4)
