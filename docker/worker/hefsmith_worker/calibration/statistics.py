"""Statistics of a prepared set from the histograms that the worker processes made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Sequence, Tuple

from hefsmith_worker.calibration.model import ChannelStatistics

if TYPE_CHECKING:
    import numpy as np


def as_counts(histogram: bytes) -> np.ndarray[Any, Any]:
    """Return (channels, 256) int64 counts of one picture."""
    import numpy as np

    return np.frombuffer(histogram, dtype="<u4").astype(np.int64).reshape(-1, 256)


def channel_statistics(
    histograms: Sequence[bytes],
    padded: int,
    pad: Sequence[float],
    span: Tuple[float, float] = (0.0, 255.0),
) -> Tuple[ChannelStatistics, ...]:
    """Add up the pictures of one input and ``padded`` pixels of padding: the network sees both.

    ``span`` is what the first and the last of the 256 steps stand for.
    """
    total = as_counts(histograms[0]).copy()
    for histogram in histograms[1:]:
        total += as_counts(histogram)
    if padded:
        for channel, value in enumerate(pad):
            total[channel, int(value)] += padded
    return tuple(_one(channel, span) for channel in total)


def _one(counts: np.ndarray[Any, Any], span: Tuple[float, float]) -> ChannelStatistics:
    import numpy as np

    levels = np.linspace(span[0], span[1], 256)
    number = max(1, int(counts.sum()))
    used = np.flatnonzero(counts)
    mean = float((counts * levels).sum() / number)
    variance = float((counts * (levels - mean) ** 2).sum() / number)
    low, high = (float(levels[used[0]]), float(levels[used[-1]])) if len(used) else (0.0, 0.0)
    histogram: List[int] = [int(count) for count in counts]
    return ChannelStatistics(low, high, mean, variance**0.5, tuple(histogram))
