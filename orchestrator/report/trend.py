"""The page of a model's past builds: one measure over time, chip by chip, and a table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.front import _OWN, span_of
from orchestrator.report.html import STYLE, escape, measure_cell, styled, wide
from orchestrator.report.model import MEASURE_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Measures by which builds are drawn: the first that most of them have.
DRAWN = ("metric", "top1", "map50", "f1", "mean_iou", "agreement", "keypoint_distance", "cosine")
#: Measures that may be above one; the others are shares.
UNBOUNDED = frozenset({"keypoint_distance", "metric", "snr_db"})
_WIDTH, _HEIGHT = 680, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 88, 20, 20, 46


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
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            styled(f"{STYLE}{_OWN}"),
            f"<title>{escape(title)}</title></head><body><main>",
            f"<header><h1>{escape(title)}</h1><p>{len(points)} builds</p></header>",
            f"<section><h2>{escape(name[:1].upper() + name[1:])}</h2>{chart}</section>",
            (
                "<section><h2>Every build, the latest first</h2>"
                + wide(f"<tr><th></th><th>finished (UTC)</th><th>chip</th>{head}</tr>{rows}")
                + "</section>"
            ),
            "</main></body></html>\n",
        ]
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

    def x(place: int) -> float:
        return _LEFT + (place + 0.5) * (_WIDTH - _LEFT - _RIGHT) / max(longest, 1)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text class="tick" x="{_LEFT - 8}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end">{escape(measure_cell(measure, value))}</text>'
        )
    keys = []
    for number, (chip, rows) in enumerate(by_chip.items()):
        colour = f"c{number % 6}"
        shift = longest - len(rows)  # the latest of every chip stand above each other
        for attribute, style in (("ideal", "limit"), ("value", "line")):
            spots = [
                (x(shift + place), y(value))
                for place, one in enumerate(rows)
                if (value := getattr(one, attribute)) is not None
            ]
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in spots)
            if len(spots) > 1:
                parts.append(f'<polyline class="{style} {colour} open" points="{path}"/>')
            elif spots and style == "limit":
                (px, py), *_ = spots
                parts.append(
                    f'<line class="limit {colour}" x1="{px - 20:.1f}" x2="{px + 20:.1f}" '
                    f'y1="{py:.1f}" y2="{py:.1f}"/>'
                )
        for place, one in enumerate(rows):
            if one.value is None:
                continue
            said = f"{one.name}, {one.when}: {measure_cell(measure, one.value)}"
            parts.append(
                f'<circle class="dot {colour}" cx="{x(shift + place):.1f}" cy="{y(one.value):.1f}" '
                f'r="5"><title>{escape(said)}</title></circle>'
            )
        keys.append(f'<span class="{colour}">&#9679; {escape(chip)}</span>')
    parts.append(
        f'<text class="tick" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 12}" '
        'text-anchor="middle">builds, the latest to the right</text>'
    )
    return (
        f'<svg class="front" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(MEASURE_TITLES.get(measure, measure))} by build">{"".join(parts)}'
        f'</svg><p class="key chips">{" ".join(keys)} &#8212; dashed: the float network</p>'
    )
