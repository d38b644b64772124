"""The page of a search: what was tried, accuracy against cost, and the point to keep. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.charts import Frame, polyline, span_of
from orchestrator.report.html import document, escape, escape_lines, wide

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One point as it is drawn: ``cost`` to the right, ``value`` upwards (more is better).

    ``cells`` are its row of the table. ``front`` is on the Pareto front, ``kept`` the chosen one,
    ``part`` was judged on a part of the samples: it is listed, and not drawn beside the others.
    """

    name: str
    cost: float
    value: float
    cells: tuple[str, ...]
    front: bool = False
    kept: bool = False
    compiled: bool = False
    part: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """All that the page shows; ``ideal`` is the float network's value, if known."""

    title: str
    note: str
    measure: str
    cost_title: str
    dots: Sequence[Dot]
    heads: Sequence[str]
    lines: str
    ideal: float | None = None
    percent: bool = True
    failed: Sequence[tuple[str, str]] = ()
    compiles: int = 0
    grid: int = 0


def render_search(page: SearchPage) -> str:
    """Return the page as HTML text: no scripts, no network."""
    # A column that no point has a figure for, such as a power that nobody measured, is left out.
    shown = [i for i in range(len(page.heads)) if any(dot.cells[i] != "-" for dot in page.dots)]
    rows = "".join(
        f"<tr{' class=kept' if dot.kept else ''}><th scope=row>{escape(dot.name)}"
        f"{' <b>(keep)</b>' if dot.kept else ''}</th>"
        + "".join(f"<td>{escape(dot.cells[i])}</td>" for i in shown)
        + "</tr>"
        for dot in sorted(page.dots, key=lambda one: (one.part, -one.value, one.cost))
    )
    heads = "".join(f"<th scope=col>{escape(page.heads[i])}</th>" for i in shown)
    failed = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in page.failed)
    failed = f"<section><h2>Not built</h2><ul>{failed}</ul></section>" if failed else ""
    return document(
        page.title,
        (
            f"<header><h1>{escape(page.title)}</h1><p>{escape(page.note)}</p></header>",
            (
                f"<section><h2>{escape(page.measure)} against cost</h2>"
                f"<p>{len(page.dots)} points tried, {page.compiles} compiled; the whole grid has "
                f"{page.grid}. The line joins the points that no other beats in both.</p>"
                f"{front_chart(page)}</section>"
            ),
            (
                "<section><h2>What to write into the recipe</h2>"
                f"<pre>{escape_lines(page.lines)}</pre></section>"
            ),
            f"<section><h2>Every point</h2>{wide(f'<tr><th></th>{heads}</tr>{rows}')}</section>",
            failed,
        ),
        CHART_STYLE,
    )


def front_chart(page: SearchPage) -> str:
    """Return the chart as SVG: costs to the right, values upwards."""
    dots = [dot for dot in page.dots if not dot.part]
    if not dots:
        return ""
    values = [dot.value for dot in dots] + ([] if page.ideal is None else [page.ideal])
    costs = [dot.cost for dot in dots]
    low, high = span_of(min(values), max(values))
    cheap, dear = span_of(min(costs), max(costs))
    frame = Frame(width=680, height=380, left=88, right=36, top=20, bottom=60, low=low, high=high)

    def spot(dot: Dot) -> tuple[float, float]:
        return frame.x((dot.cost - cheap) / (dear - cheap)), frame.y(dot.value)

    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        cost = cheap + (dear - cheap) * step / 4
        parts.append(frame.grid(value, f"{value:.1%}" if page.percent else f"{value:.3g}"))
        parts.append(
            f'<text class="tick" x="{frame.x(step / 4):.1f}" '
            f'y="{frame.height - frame.bottom + 26}" text-anchor="middle">{cost:.3g}</text>'
        )
    parts.append(
        f'<text class="tick" x="{(frame.left + frame.end) / 2}" y="{frame.height - 8}" '
        f'text-anchor="middle">{escape(page.cost_title)}</text>'
    )
    if page.ideal is not None:
        level = frame.y(page.ideal)
        parts.append(
            f'<line class="limit c1" x1="{frame.left}" x2="{frame.end}" y1="{level:.1f}" '
            f'y2="{level:.1f}"/><text class="name c1" x="{frame.left + 6}" '
            f'y="{level - 6:.1f}">float</text>'
        )
    front = sorted((dot for dot in dots if dot.front), key=lambda dot: dot.cost)
    if len(front) > 1:
        parts.append(polyline("line c0", map(spot, front)))
    for dot in dots:
        style = "kept" if dot.kept else "onfront" if dot.front else "other"
        size = 8 if dot.kept else 6 if dot.compiled else 4.5
        x, y = spot(dot)
        parts.append(
            f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{size}"><title>{escape(dot.name)}</title></circle>'
        )
    return (
        f'<svg class="front" viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(page.measure)} against {escape(page.cost_title)}">'
        f"{''.join(parts)}</svg>"
        "<p class=key><span class=kept></span> keep <span class=onfront></span> not beaten "
        "<span class=other></span> beaten</p>"
    )


#: What pages with a chart add to the style of all.
CHART_STYLE = """
.front{width:100%;height:auto;display:block}
.dot.kept{fill:var(--good)}.dot.onfront{fill:var(--c0)}.dot.other{fill:var(--soft)}
.key{font-size:13px;color:var(--soft)}.key span{display:inline-block;width:10px;height:10px;
border-radius:5px;margin-left:12px}.key .kept{background:var(--good)}
.open{fill:none}.key.chips span{all:unset;margin-right:12px;font-weight:600}
.key.chips .c0{color:var(--c0)}.key.chips .c1{color:var(--c1)}.key.chips .c2{color:var(--c2)}
.key.chips .c3{color:var(--c3)}.key.chips .c4{color:var(--c4)}.key.chips .c5{color:var(--c5)}
.key .onfront{background:var(--c0)}.key .other{background:var(--soft)}
pre{overflow-x:auto;padding:10px 12px;background:var(--panel);border:1px solid var(--line);
border-radius:6px}tr.kept th,tr.kept td{color:var(--good)}
@media(max-width:560px){pre{white-space:pre-wrap;overflow-wrap:anywhere}
.front text{font-size:22px}main{padding:18px 12px 40px}}
"""
