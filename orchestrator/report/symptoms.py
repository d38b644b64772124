"""What the outputs themselves tell about a fault: constant, clipped, swapped, broken boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.report.golden import Detections, Golden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Samples that are looked at; symptoms of the whole set show in the first few.
LOOK = 16


def find_symptoms(
    golden: Golden, step: str, before: str, measures: Mapping[str, float]
) -> dict[str, str]:
    """Return symptom -> sentence for ``step``, seen against the step ``before`` it."""
    found: dict[str, str] = {}
    for output in golden.outputs:
        mine, good = golden.load(step, output.index), golden.load(before, output.index)
        if isinstance(mine, Detections) or isinstance(good, Detections):
            continue
        if mine.shape != good.shape:
            found.setdefault("shapes", f"{output.title} has another shape than at {before}")
            continue
        found |= _tensor_symptoms(output.title, np.asarray(mine[:LOOK]), np.asarray(good[:LOOK]))
    if _boxes_broken(measures):
        found["broken-boxes"] = (
            f"{measures['class_recall']:.0%} of the float model's classes are found, but only "
            f"{measures['recall']:.0%} of its boxes"
        )
    return found


def _boxes_broken(measures: Mapping[str, float]) -> bool:
    return (
        "class_recall" in measures
        and measures["class_recall"] >= 0.7
        and measures["recall"] <= measures["class_recall"] - 0.25
    )


def _tensor_symptoms(
    title: str, mine: NDArray[np.float32], good: NDArray[np.float32]
) -> dict[str, str]:
    found: dict[str, str] = {}
    finite_good = good[np.isfinite(good)]
    if not np.isfinite(mine).all() or not finite_good.size:
        return {"not-a-number": f"{title} has values that are not numbers"}
    spread = float(np.ptp(finite_good))
    if len(mine) > 1 and spread > 0:
        across = float(np.abs(mine - mine[:1]).max())
        wanted = float(np.abs(good - good[:1]).max())
        if across <= 0.05 * wanted and wanted > 1e-2 * spread:
            same = "the same" if across <= 1e-3 * wanted else "nearly the same"
            found["constant"] = f"{title} is {same} for every sample"
    low, high = float(mine.min()), float(mine.max())
    own = high - low
    if own > 0 and spread > 0:
        at_ends = float(np.mean((mine <= low) | (mine >= high)))
        if at_ends > 0.4 and float(np.mean((good <= good.min()) | (good >= good.max()))) < 0.2:
            found["saturated"] = f"{at_ends:.0%} of {title} sit at the ends of its range"
        if own < 0.6 * spread:
            found["clipped"] = f"{title} spans {own:.3g}, it should span {spread:.3g}"
    if mine.ndim == 4 and mine.shape[-1] > 1:
        reversed_error = float(np.abs(mine[..., ::-1] - good).mean())
        if reversed_error < 0.1 * float(np.abs(mine - good).mean()):
            found["channels"] = f"{title} agrees when its channels are read in reverse"
    return found
