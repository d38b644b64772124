"""Where a picture lands in the network input, and the way back for boxes.

Every resize mode is the same act: the whole upright picture is scaled to ``scaled`` and laid
with its corner at ``offset`` on a canvas of the size ``target``; what hangs over is cut, what
stays free is padding. So one pair of formulas maps points there and back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from hefsmith_worker.pictures.preprocess import Preprocess

Pair = Tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """All pairs are (vertical, horizontal), in pixels. ``offset`` is negative where it is cut."""

    source: Pair
    scaled: Pair
    offset: Pair
    target: Pair

    @property
    def scale(self) -> Tuple[float, float]:
        """Target pixels for one source pixel."""
        return (self.scaled[0] / self.source[0], self.scaled[1] / self.source[1])

    @property
    def covered(self) -> Tuple[int, int, int, int]:
        """Part of the target that shows picture: top, left, bottom, right."""
        top, left = max(0, self.offset[0]), max(0, self.offset[1])
        bottom = min(self.target[0], self.offset[0] + self.scaled[0])
        right = min(self.target[1], self.offset[1] + self.scaled[1])
        return (top, left, bottom, right)

    @property
    def window(self) -> Tuple[float, float, float, float]:
        """Part of the source that is seen: top, left, bottom, right, in source pixels."""
        top, left, bottom, right = self.covered
        scale_y, scale_x = self.scale
        return (
            max(0.0, (top - self.offset[0]) / scale_y),
            max(0.0, (left - self.offset[1]) / scale_x),
            min(float(self.source[0]), (bottom - self.offset[0]) / scale_y),
            min(float(self.source[1]), (right - self.offset[1]) / scale_x),
        )

    def to_target(self, y: float, x: float) -> Tuple[float, float]:
        """Map a point of the source to the target; both in pixels."""
        scale_y, scale_x = self.scale
        return (y * scale_y + self.offset[0], x * scale_x + self.offset[1])

    def to_source(self, y: float, x: float) -> Tuple[float, float]:
        """Map a point of the target back to the source; both in pixels."""
        scale_y, scale_x = self.scale
        return ((y - self.offset[0]) / scale_y, (x - self.offset[1]) / scale_x)

    def box_to_target(self, box: Sequence[float]) -> Optional[Tuple[float, float, float, float]]:
        """Map y_min, x_min, y_max, x_max (source pixels) to 0..1 of the target.

        Cut at the target's edges; ``None`` when nothing of the box is left.
        """
        top, left = self.to_target(box[0], box[1])
        bottom, right = self.to_target(box[2], box[3])
        top, bottom = (min(max(v, 0.0), float(self.target[0])) for v in (top, bottom))
        left, right = (min(max(v, 0.0), float(self.target[1])) for v in (left, right))
        if bottom <= top or right <= left:
            return None
        height, width = self.target
        return (top / height, left / width, bottom / height, right / width)

    def box_to_source(self, box: Sequence[float]) -> Tuple[float, float, float, float]:
        """Map y_min, x_min, y_max, x_max (0..1 of the target) to source pixels, cut there."""
        height, width = self.target
        top, left = self.to_source(box[0] * height, box[1] * width)
        bottom, right = self.to_source(box[2] * height, box[3] * width)
        top, bottom = (min(max(v, 0.0), float(self.source[0])) for v in (top, bottom))
        left, right = (min(max(v, 0.0), float(self.source[1])) for v in (left, right))
        return (top, left, bottom, right)


def place(
    source: Pair, preprocess: Preprocess, chance: Optional[random.Random] = None
) -> Placement:
    """Decide where an upright picture of ``source`` = (height, width) lands.

    ``chance`` gives the corner of a random crop; without it the crop is the centre.
    """
    height, width = source
    if height < 1 or width < 1:
        msg = f"a picture needs height and width above 0, not {height}x{width}"
        raise ValueError(msg)
    if preprocess.resize == "none" and source != preprocess.size:
        msg = (
            f"{width}x{height}, and resize: none takes {preprocess.width}x{preprocess.height} only"
        )
        raise ValueError(msg)
    if preprocess.resize in ("stretch", "none"):
        return Placement(source, preprocess.size, (0, 0), preprocess.size)
    if preprocess.resize == "letterbox":
        return _letterbox(source, preprocess.size)
    if preprocess.resize == "shorter_then_crop":
        scaled = _shorter_to(source, preprocess.resize_to, preprocess.size)
    else:
        scaled = _grow_to_cover(source, preprocess.size)
    spare = (scaled[0] - preprocess.height, scaled[1] - preprocess.width)
    if preprocess.resize == "random_crop" and chance is not None:
        offset = (-chance.randint(0, spare[0]), -chance.randint(0, spare[1]))
    else:
        offset = (-round(spare[0] / 2.0), -round(spare[1] / 2.0))
    return Placement(source, scaled, offset, preprocess.size)


def _letterbox(source: Pair, target: Pair) -> Placement:
    ratio = min(target[0] / source[0], target[1] / source[1])
    scaled = (
        min(target[0], max(1, round(source[0] * ratio))),
        min(target[1], max(1, round(source[1] * ratio))),
    )
    # An odd spare pixel goes below and to the right, as in Ultralytics' training code.
    offset = (
        round((target[0] - scaled[0]) / 2.0 - 0.1),
        round((target[1] - scaled[1]) / 2.0 - 0.1),
    )
    return Placement(source, scaled, offset, target)


def _shorter_to(source: Pair, shorter: Optional[int], target: Pair) -> Pair:
    """Scale as torchvision's Resize(int) does: the longer side is cut down to whole pixels."""
    if shorter is None:
        # No side given: just large enough that the crop is inside.
        return _cover(source, target)
    height, width = source
    if height <= width:
        scaled = (shorter, int(shorter * width / height))
    else:
        scaled = (int(shorter * height / width), shorter)
    return scaled


def _grow_to_cover(source: Pair, target: Pair) -> Pair:
    if source[0] >= target[0] and source[1] >= target[1]:
        return source
    return _cover(source, target)


def _cover(source: Pair, target: Pair) -> Pair:
    ratio = max(target[0] / source[0], target[1] / source[1])
    return (
        max(target[0], round(source[0] * ratio)),
        max(target[1], round(source[1] * ratio)),
    )
