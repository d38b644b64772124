"""Anchors where a model script gives no JSON: the published defaults of each family."""

from __future__ import annotations

import math

#: (width, height) in pixels per stride, as published with YOLOv5.
YOLOV5 = {
    8: ((10, 13), (16, 30), (33, 23)),
    16: ((30, 61), (62, 45), (59, 119)),
    32: ((116, 90), (156, 198), (373, 326)),
}


def ssd_anchors(scales: int) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return (width, height) fractions per head for an SSD of ``scales`` heads.

    The usual recipe: scales from 0.2 to 0.95, three boxes on the first head, six on the rest.
    """
    sizes = [0.2 + (0.95 - 0.2) * k / max(1, scales - 1) for k in range(scales)] + [1.0]
    heads = []
    for number in range(scales):
        if number == 0:
            pairs = [(0.1, 1.0), (sizes[0], 2.0), (sizes[0], 0.5)]
        else:
            pairs = [(sizes[number], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)]
            pairs.append((math.sqrt(sizes[number] * sizes[number + 1]), 1.0))
        heads.append(tuple((s * math.sqrt(r), s / math.sqrt(r)) for s, r in pairs))
    return tuple(heads)
