"""Ways in which pictures may have been prepared when a network was trained, to be tried on it.

Means and deviations are in units of 0..255, one for each channel or one for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from hefsmith_worker.contract.presets import IMAGENET_MEAN, IMAGENET_STD, Resize


@dataclass(frozen=True)
class Scaling:
    """How pixels become numbers: ``(pixel - mean) / std``; ``gray`` ones are for one channel."""

    name: str
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    gray: bool = False

    def fits(self, channels: int) -> bool:
        """Tell whether pictures of so many channels can be scaled so."""
        return len(self.mean) in (1, channels) and (not self.gray or channels == 1)


#: What people train with, most usual first: where two do as well, the first one is the default.
SCALINGS = (
    Scaling("imagenet", IMAGENET_MEAN, IMAGENET_STD),
    Scaling("0..1", (0.0,), (255.0,)),
    Scaling("-1..1", (127.5,), (127.5,)),
    Scaling("0..255", (0.0,), (1.0,)),
    Scaling("imagenet mean only", IMAGENET_MEAN, (1.0,)),
    Scaling("mnist", (33.3285,), (78.5655,), gray=True),
)

#: A deviation from here on is one of pixels of 0..255, not of numbers of 0..1.
OF_PIXELS = 16.0

#: How a picture is brought to the network's size.
FITS: Tuple[Resize, ...] = ("shorter_then_crop", "stretch", "letterbox")

#: Sides of square inputs, tried where nothing says what a network takes.
SIDES = (224, 256, 192, 160, 128, 96, 64, 48, 32, 28, 299, 320, 384, 416, 512, 640)

#: What an open side of a network is taken for where nothing says which it is: a detector's.
OPEN_SIDE = 640

#: A picture's share of the shorter side that is cut out, where training resized to more.
LARGER = 256 / 224
