"""Signal-to-noise ratio of a quantised tensor against the float one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What an exact result is given: more than any 16-bit tensor can reach.
EXACT = 120.0


@dataclass
class Noise:
    """Adds up signal and noise power over frames."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, exact: NDArray[np.float32], emulated: NDArray[np.float32]) -> None:
        """Take one frame's tensor into account."""
        wide = exact.astype(np.float64)
        self.signal += float(np.sum(wide * wide))
        difference = wide - emulated
        self.noise += float(np.sum(difference * difference))

    @property
    def decibels(self) -> float:
        """``10 log10(signal / noise)``; 0 dB when there is no signal but noise."""
        if self.noise == 0.0:
            return EXACT
        if self.signal == 0.0:
            return 0.0
        return min(EXACT, 10.0 * math.log10(self.signal / self.noise))
