"""Round what was measured before it becomes bits, so that every kind of processor gets the same.

Sums in float32 end in other last bits with AVX2, AVX-512 and on ARM: ranges, means and what is
made of them differ by some millionths. Rounded to steps a thousand times as wide, they agree but
for a value that happens to lie at the border of two steps. That stays possible (a large network
at a high level has thousands of values), so builds are compared by their numbers, too.

Only exact arithmetic is used here: what rounds must not depend on the processor itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Steps in the greatest value of a range (its binary order): an eighth of an 8-bit step and less.
RANGE_BITS = 11
#: Steps in the greatest correction of a layer's biases; there are as many values as channels.
SHIFT_BITS = 7
#: Channels are evened out by these factors and their multiples by powers of two.
QUARTER_OCTAVES = (1.0, 1.189207115002721, 1.4142135623730951, 1.6817928305074292)
#: Moves the places where a step's width jumps away from the powers of two, which are common:
#: a sigmoid reaches 1.0 on one processor and the number before it on another.
_OFF_POWERS = 1.37
#: Decibels by which an algorithm must raise the SNR: below it is noise, and ties have no winner.
GAIN_DB = 0.02


def _step(greatest: float, bits: int) -> float:
    return math.ldexp(1.0, math.frexp(greatest * _OFF_POWERS)[1] - bits)


def steady_limits(low: float, high: float) -> tuple[float, float]:
    """Return a measured range in steps of its greatest value; what is not finite stays."""
    greatest = max(abs(low), abs(high))
    if not math.isfinite(greatest) or greatest < float(np.finfo(np.float32).tiny):
        return low, high
    step = _step(greatest, RANGE_BITS)
    return round(low / step) * step, round(high / step) * step


def steady_shift(shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return corrections of a layer's biases in steps of the greatest of them."""
    greatest = float(np.abs(shift).max(initial=0.0))
    if not math.isfinite(greatest) or greatest < float(np.finfo(np.float32).tiny):
        return shift
    step = _step(greatest, SHIFT_BITS)
    return np.asarray(np.rint(shift / step) * step, np.float64)


def steady_factors(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positive factors as the nearest quarter of an octave."""
    steps = np.rint(4.0 * np.log2(factors)).astype(np.int64)
    parts = np.asarray(QUARTER_OCTAVES, np.float64)[steps % 4]
    return np.asarray(np.ldexp(parts, steps // 4), np.float64)
