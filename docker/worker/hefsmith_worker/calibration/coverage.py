"""Which pictures of a calibration set matter: how much of the activations they reach. Pure.

The values that a channel's peak takes over all pictures are cut into steps. A picture covers one
step of each channel; a set covers what its pictures do. The smallest good set is found greedily
(the gain of a picture only falls as the set grows, so this is near the best there is), a class at
a time where there are classes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

if TYPE_CHECKING:
    import numpy as np

#: Steps that a channel's peaks are cut into.
STEPS = 16
#: A set is good that covers this share, weighed by how many pictures reach a step.
GOOD = 0.99
#: The compiler takes as many pictures by itself; a smaller set is never proposed.
LEAST = 64
#: A picture is unlike the held-out ones when it is so many times further from them than they are
#: from each other; a set is bad when more than this share of it is.
FAR, BAD_SHARE = 1.6, 0.2
#: Values of the held-out pictures that the set's ranges cut off: more than this share is told.
CUT_SHARE = 0.01
#: Fewer pictures of a class than this share of the middle class are told.
RARE = 0.2


def steps_of(reach: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the step (N, F) of each channel's peak; what never changes has one step only."""
    import numpy as np

    peaks = reach[..., 1]
    low, high = np.percentile(peaks, 1, axis=0), np.percentile(peaks, 99, axis=0)
    span = np.where(high > low, high - low, 1.0)
    found: np.ndarray[Any, Any] = np.clip(
        ((peaks - low) / span * STEPS).astype(np.int64), 0, STEPS - 1
    )
    return found


def weights_of(steps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return how much each (channel, step) counts (F, STEPS): by how many pictures reach it."""
    import numpy as np

    counts = np.stack([(steps == step).sum(0) for step in range(STEPS)], 1).astype(np.float64)
    # One picture's own step is chance: it counts less than what several reach.
    found: np.ndarray[Any, Any] = np.sqrt(counts)
    total = found.sum()
    return found / total if total else found


def covered(steps: np.ndarray[Any, Any], chosen: Sequence[int]) -> float:
    """Return the share of what all pictures reach that the chosen ones do (0..1)."""
    import numpy as np

    if not len(chosen) or not steps.size:
        return 0.0
    weights = weights_of(steps)
    hit = np.zeros(weights.shape, bool)
    channels = np.arange(steps.shape[1])
    for index in chosen:
        hit[channels, steps[index]] = True
    return float(weights[hit].sum())


def greedy(
    steps: np.ndarray[Any, Any],
    groups: Sequence[Optional[int]],
    left_out: Sequence[int] = (),
    good: float = GOOD,
    least: int = LEAST,
) -> List[int]:
    """Return the smallest good set, the picture that brings most first.

    ``groups`` are classes (``None``: unknown), taken in turn until each has its share of
    ``least``; ``left_out`` are pictures that may not be taken (repeats, odd ones).
    """
    import numpy as np

    weights = weights_of(steps)
    open_weight = weights.copy()
    channels = np.arange(steps.shape[1])
    free = np.ones(len(steps), bool)
    free[list(left_out)] = False
    reachable = covered(steps, np.flatnonzero(free).tolist())
    chosen: List[int] = []
    share = 0.0
    classes = sorted({group for group in groups if group is not None})
    table = np.array([-1 if group is None else group for group in groups])
    while free.any() and (share < good * reachable - 1e-12 or len(chosen) < least):
        allowed = free
        if classes and len(chosen) < least:
            mine = free & (table == classes[len(chosen) % len(classes)])
            allowed = mine if mine.any() else free
        gains = open_weight[channels[None], steps[allowed]].sum(1)
        index = int(np.flatnonzero(allowed)[int(gains.argmax())])
        share += float(open_weight[channels, steps[index]].sum())
        open_weight[channels, steps[index]] = 0.0
        free[index] = False
        chosen.append(index)
    return chosen


# --- what is odd -----------------------------------------------------------------------------


def unlike(
    reach: np.ndarray[Any, Any], held_out: np.ndarray[Any, Any]
) -> Tuple[List[int], np.ndarray[Any, Any]]:
    """Return the pictures that are unlike any held-out one, and each one's distance (N).

    Distances are of channels' lows and peaks, in units of how they spread over the held-out
    pictures, and divided by what held-out pictures are from each other.
    """
    import numpy as np

    def flat(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = values.reshape(len(values), -1).astype(np.float64)
        return found

    ours, theirs = flat(reach), flat(held_out)
    spread = theirs.std(0)
    # What differs by rounding only is constant.
    kept = spread > 1e-4 * (np.abs(theirs).max(0) + 1e-12)
    if not kept.any() or len(theirs) < 8:
        return [], np.zeros(len(ours))
    # One channel far away must not drown the rest, nor be drowned by it.
    middle = theirs.mean(0)
    ours, theirs = (((side - middle) / spread.clip(1e-30))[:, kept] for side in (ours, theirs))

    def nearest(one: np.ndarray[Any, Any], same: bool) -> np.ndarray[Any, Any]:
        found = np.empty(len(one))
        for start in range(0, len(one), 64):
            block = one[start : start + 64]
            squares = (block**2).sum(1)[:, None] + (theirs**2).sum(1)[None] - 2 * block @ theirs.T
            if same:
                squares[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
            found[start : start + 64] = np.sqrt(np.maximum(squares, 0)).min(1)
        return found

    usual = float(np.percentile(nearest(theirs, same=True), 90))
    distance = nearest(ours, same=False) / max(usual, 1e-9)
    return np.flatnonzero(distance > FAR).tolist(), distance


@dataclass(frozen=True)
class Cut:
    """A layer whose range, as these pictures set it, cuts off values of the held-out ones."""

    layer: str
    share: float


def cut_off(
    reach: np.ndarray[Any, Any], held_out: np.ndarray[Any, Any], names: Sequence[str]
) -> List[Cut]:
    """Return the layers in which held-out pictures go beyond the set's range, the worst first.

    ``share`` is the share of held-out pictures that do so by more than a twentieth of the range.
    """
    import numpy as np

    found = []
    for name in dict.fromkeys(names):
        mine = np.array([one == name for one in names])
        low, high = float(reach[:, mine, 0].min()), float(reach[:, mine, 1].max())
        room = 0.05 * max(high - low, 1e-12)
        beyond = (held_out[:, mine, 0].min(1) < low - room) | (
            held_out[:, mine, 1].max(1) > high + room
        )
        if beyond.mean() > CUT_SHARE:
            found.append(Cut(name, float(beyond.mean())))
    return sorted(found, key=lambda one: -one.share)


def rare_classes(
    ours: Sequence[Optional[int]], theirs: Sequence[Optional[int]], known: int
) -> Tuple[List[int], List[int]]:
    """Return the classes that no picture has, and those that few have.

    Expected are the classes of the held-out samples and the ``known`` labels.
    """
    counts: Mapping[int, int] = Counter(one for one in ours if one is not None)
    if not counts:
        return [], []
    expected = set(range(known)) | {one for one in theirs if one is not None}
    ranked = sorted(counts.values())
    middle = ranked[len(ranked) // 2]
    missing = sorted(one for one in expected if one not in counts)
    few = sorted(one for one, many in counts.items() if many < RARE * middle)
    return missing, few


def by_group(names: Sequence[str], indices: Sequence[int]) -> Dict[str, int]:
    """Return how many of the named pictures stand in which folder, the most first."""
    counts = Counter(names[index].rpartition("/")[0] for index in indices)
    return dict(counts.most_common())
