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


def channel_statistics(histograms: Sequence[bytes]) -> Tuple[ChannelStatistics, ...]:
    """Add up the pictures of one input; padding counts, since the network sees it."""
    total = as_counts(histograms[0]).copy()
    for histogram in histograms[1:]:
        total += as_counts(histogram)
    return tuple(_one(channel) for channel in total)


def _one(counts: np.ndarray[Any, Any]) -> ChannelStatistics:
    import numpy as np

    levels = np.arange(256, dtype=np.float64)
    number = max(1, int(counts.sum()))
    used = np.flatnonzero(counts)
    mean = float((counts * levels).sum() / number)
    variance = float((counts * (levels - mean) ** 2).sum() / number)
    low, high = (float(used[0]), float(used[-1])) if len(used) else (0.0, 0.0)
    histogram: List[int] = [int(count) for count in counts]
    return ChannelStatistics(low, high, mean, variance**0.5, tuple(histogram))


def without_padding(
    counts: np.ndarray[Any, Any], padded: int, pad: Sequence[float]
) -> np.ndarray[Any, Any]:
    """Return a picture's counts less the letterbox's fill."""
    import numpy as np

    if not padded:
        return counts
    result = counts.copy()
    for channel, value in enumerate(pad):
        result[channel, int(value)] -= padded
    remaining: np.ndarray[Any, Any] = np.maximum(result, 0)
    return remaining
