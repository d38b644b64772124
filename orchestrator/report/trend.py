"""The page of a model's past builds: one measure over time, chip by chip, and a table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.charts import Frame, polyline, span_of
from orchestrator.report.front import CHART_STYLE
from orchestrator.report.html import capital, document, escape, measure_cell, wide
from orchestrator.report.model import MEASURE_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Measures by which builds are drawn: the first that most of them have.
DRAWN = ("metric", "top1", "map50", "f1", "mean_iou", "agreement", "keypoint_distance", "cosine")
#: Measures that may be above one; the others are shares.
UNBOUNDED = frozenset({"keypoint_distance", "metric", "snr_db"})


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """One build: ``value`` and ``ideal`` (the float network's) by the drawn measure."""

    chip: str
    name: str
    when: str
    value: float | None
    ideal: float | None
    cells: tuple[str, ...]
    outcome: str | None = None


def drawn_measure(measures: Sequence[dict[str, float]]) -> str | None:
    """Return the measure that most builds have, of those the first of :data:`DRAWN`."""
    counts = [(sum(name in one for one in measures), -rank) for rank, name in enumerate(DRAWN)]
    most, rank = max(counts)
    return DRAWN[-rank] if most else None


def render_trend(
    title: str, measure: str | None, heads: Sequence[str], points: Sequence[TrendPoint]
) -> str:
    """Return the page: no scripts, no network. ``points`` are the oldest first, chip by chip."""
    name = MEASURE_TITLES.get(measure, measure) if measure else "nothing was judged"
    chart = trend_chart(measure, points) if measure else ""
    head = "".join(f"<th scope=col>{escape(one)}</th>" for one in heads)
    rows = "".join(
        f"<tr{_row_style(point)}><th scope=row>{escape(point.name)}</th>"
        f"<td>{escape(point.when)}</td><td>{escape(point.chip)}</td>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in point.cells)
        + "</tr>"
        for point in reversed(points)
    )
    table = wide(f"<tr><th></th><th>finished (UTC)</th><th>chip</th>{head}</tr>{rows}")
    return document(
        title,
        (
            f"<header><h1>{escape(title)}</h1><p>{len(points)} builds</p></header>",
            f"<section><h2>{escape(capital(name))}</h2>{chart}</section>",
            f"<section><h2>Every build, the latest first</h2>{table}</section>",
        ),
        CHART_STYLE,
    )


def _row_style(point: TrendPoint) -> str:
    return {"failed": " class=bad", "unproven": " class=warn"}.get(point.outcome or "", "")


def trend_chart(measure: str, points: Sequence[TrendPoint]) -> str:
    """Return a line for each chip over its builds, and the float network's dashed, as SVG."""
    chips = list(dict.fromkeys(point.chip for point in points))
    by_chip = {chip: [one for one in points if one.chip == chip] for chip in chips}
    longest = max(len(rows) for rows in by_chip.values())
    known = [v for one in points for v in (one.value, one.ideal) if v is not None]
    if not known:
        return "<p>No build was judged.</p>"
    low, high = span_of(min(known), max(known))
    if measure not in UNBOUNDED:
        high = min(high, 1.0)

    frame = Frame(width=680, height=340, left=88, right=20, top=20, bottom=46, low=low, high=high)
    values = (low + (high - low) * step / 4 for step in range(5))
    parts = [frame.grid(value, escape(measure_cell(measure, value))) for value in values]
    keys = []
    for number, (chip, rows) in enumerate(by_chip.items()):
        # The latest of every chip stand above each other.
        first = longest - len(rows)
        places = [frame.x((first + place + 0.5) / longest) for place in range(len(rows))]
        parts += _chip_lines(frame, measure, f"c{number % 6}", list(zip(places, rows, strict=True)))
        keys.append(f'<span class="c{number % 6}">&#9679; {escape(chip)}</span>')
    parts.append(
        f'<text class="tick" x="{(frame.left + frame.end) / 2}" y="{frame.height - 12}" '
        'text-anchor="middle">builds, the latest to the right</text>'
    )
    return (
        f'<svg class="front" viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(MEASURE_TITLES.get(measure, measure))} by build">{"".join(parts)}'
        f'</svg><p class="key chips">{" ".join(keys)} &#8212; dashed: the float network</p>'
    )


def _chip_lines(
    frame: Frame, measure: str, colour: str, rows: Sequence[tuple[float, TrendPoint]]
) -> list[str]:
    """Return a chip's builds as dots on a line, and the float network's values dashed."""
    parts = []
    ideals = [(x, frame.y(one.ideal)) for x, one in rows if one.ideal is not None]
    if len(ideals) > 1:
        parts.append(polyline(f"limit {colour} open", ideals))
    elif ideals:
        ((x, y),) = ideals
        parts.append(
            f'<line class="limit {colour}" x1="{x - 20:.1f}" x2="{x + 20:.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    judged = [(x, one, one.value) for x, one in rows if one.value is not None]
    if len(judged) > 1:
        parts.append(polyline(f"line {colour} open", [(x, frame.y(v)) for x, _, v in judged]))
    for x, one, value in judged:
        said = f"{one.name}, {one.when}: {measure_cell(measure, value)}"
        parts.append(
            f'<circle class="dot {colour}" cx="{x:.1f}" cy="{frame.y(value):.1f}" '
            f'r="5"><title>{escape(said)}</title></circle>'
        )
    return parts
