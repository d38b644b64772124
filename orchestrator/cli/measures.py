"""How the measures of a verdict are written, wherever they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Measures that a table of steps shows, in this order; the JSON has all of them.
SHOWN = (
    "top1",
    "agreement",
    "map50",
    "map5095",
    "label_iou",
    "f1",
    "mean_iou",
    "keypoint_distance",
    "r2",
    "metric",
    "cosine",
    "snr_db",
)


def step_table(steps: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows of a table, the header first; ``steps`` are those of a verdict as JSON."""
    from orchestrator.report.model import STEP_TITLES

    names = [name for name in SHOWN if any(name in step["measures"] for step in steps)]
    rows = [["step", *names]]
    for step in steps:
        cells = [measure_text(name, step["measures"].get(name)) for name in names]
        rows.append([STEP_TITLES.get(step["step"], step["step"]), *cells])
    return rows


def measure_text(name: str, value: float | None) -> str:
    """Return one measure as a table shows it; none at all means that nothing differs."""
    if value is None:
        return "exact" if name == "snr_db" else ""
    if name in ("cosine", "keypoint_distance"):
        return f"{value:.5f}"
    if name == "snr_db":
        return f"{value:.1f}"
    if name == "metric":
        return f"{value:.4g}"
    return f"{value:.1%}"
