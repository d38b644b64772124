"""Two builds side by side: what each keeps of the float network, where, and by which script. Pure.

:func:`compare` decides what differs, :func:`render_comparison` draws it as a page.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from orchestrator.report.analysis import decibel_text
from orchestrator.report.html import (
    Picture,
    capital,
    document,
    escape,
    escape_lines,
    measure_cell,
    picture_card,
    wide,
)
from orchestrator.report.model import MEASURE_TITLES, STEP_TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Measures that are losses: less is better.
LOSSES = ("top1_drop", "map_drop", "metric_drop", "keypoint_distance")
#: Differences that say nothing: a measure's least, and an output's in decibels.
GRAIN, GRAIN_DB = 1e-6, 0.05
_GRAINS = {"cosine": 0.0005, "snr_db": GRAIN_DB}
#: A difference that fair coins would show as often as this, or more often, may be chance.
CHANCE = 0.05
#: Samples and layers that are shown.
SAMPLES, LAYERS = 8, 12

Better = Literal["a", "b", ""]


@dataclass(frozen=True, kw_only=True)
class SampleScore:
    """How well one sample agrees with the float network."""

    name: str
    digest: str
    index: int
    score: float
    note: str

    @property
    def key(self) -> str:
        """What is the same on both sides for one sample."""
        return self.digest + self.name


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two builds: all that is compared.

    ``measures`` are of the last step (``step``), ``ideal`` the float network's; ``outputs`` are
    (title, cosine, SNR), ``layers`` name -> (decibels alone, bits), ``settings`` (name, asked,
    ran), ``script`` the model script's lines. ``hits`` are a classifier's: by measure, whether
    each sample (by its key) counts for it.
    """

    title: str
    arch: str
    toolchain: str
    emulated: bool
    outcome: str | None
    headline: str
    step: str
    measures: Mapping[str, float]
    ideal: Mapping[str, float]
    outputs: Sequence[tuple[str, float | None, float | None]] = ()
    samples: Sequence[SampleScore] = ()
    hits: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    layers: Mapping[str, tuple[float | None, str]] = field(default_factory=dict)
    settings: Sequence[tuple[str, str, str]] = ()
    script: Sequence[str] = ()
    hef_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """One line: a value on each side, ``better`` names the side that is better by it."""

    name: str
    a: float | None
    b: float | None
    better: Better


@dataclass(frozen=True)
class LayerRow:
    """One layer on both sides: decibels when it alone is quantised, and its bits."""

    name: str
    a: float | None
    b: float | None
    a_bits: str
    b_bits: str


@dataclass(frozen=True)
class SampleRow:
    """A sample on both sides; an index is ``None`` where that side has not seen it."""

    name: str
    a_index: int | None
    b_index: int | None
    a_score: float | None
    b_score: float | None
    a_note: str
    b_note: str


@dataclass(frozen=True)
class Comparison:
    """What differs between two builds; empty lists where nothing does, or nothing is known."""

    a: Side
    b: Side
    measures: tuple[Row, ...]
    outputs: tuple[Row, ...]
    samples: tuple[SampleRow, ...]
    layers: tuple[LayerRow, ...]
    settings: tuple[tuple[str, str, str], ...]
    script: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            **{
                name: {
                    "title": side.title,
                    "arch": side.arch,
                    "toolchain": side.toolchain,
                    "emulated": side.emulated,
                    "outcome": side.outcome,
                    "headline": side.headline,
                    "step": side.step,
                    "hef_bytes": side.hef_bytes,
                    "measures": dict(side.measures),
                    "float": dict(side.ideal),
                }
                for name, side in (("a", self.a), ("b", self.b))
            },
            "measures": [asdict(row) for row in self.measures],
            "outputs": [asdict(row) for row in self.outputs],
            "samples": [asdict(row) for row in self.samples],
            "layers": [asdict(row) for row in self.layers],
            "settings": [{"name": name, "a": a, "b": b} for name, a, b in self.settings],
            "script_diff": list(self.script),
            "notes": list(self.notes),
        }


def compare(a: Side, b: Side) -> Comparison:
    """Return what differs between two sides."""
    names = [name for name in MEASURE_TITLES if name in a.measures or name in b.measures]
    rows = [_measure(name, a.measures.get(name), b.measures.get(name)) for name in names]
    notes = list(_notes(a, b))
    for place, row in enumerate(rows):
        coins = _coins(a, b, row.name) if row.better else None
        if coins is None or not _is_luck(*coins[1:]):
            continue
        rows[place] = replace(row, better="")
        title = MEASURE_TITLES.get(row.name, row.name)
        notes.append(
            f"{title}: of {coins[0]} samples {coins[1]} speak for A and {coins[2]} for B: "
            "too few to say which is better"
        )
    return Comparison(
        a,
        b,
        tuple(rows),
        _outputs(a, b),
        _samples(a, b),
        _layers(a, b),
        _settings(a, b),
        tuple(difflib.unified_diff(list(a.script), list(b.script), a.title, b.title, lineterm="")),
        tuple(notes),
    )


def _measure(name: str, a: float | None, b: float | None) -> Row:
    if a is None or b is None or abs(a - b) <= _GRAINS.get(name, GRAIN):
        # No ratio at all means that nothing differs from the float network.
        if name == "snr_db" and (a is None) != (b is None):
            return Row(name, a, b, "a" if a is None else "b")
        return Row(name, a, b, "")
    first = (a < b) if name in LOSSES else (a > b)
    return Row(name, a, b, "a" if first else "b")


def _coins(a: Side, b: Side, name: str) -> tuple[int, int, int] | None:
    """Return of how many samples how many count for a measure in A alone, and in B alone.

    ``None`` where nobody knows, or where the sides saw other samples: that is told by itself.
    """
    mine, other = a.hits.get(name), b.hits.get(name)
    if not mine or not other or mine.keys() != other.keys():
        return None
    only_a = sum(hit and not other[key] for key, hit in mine.items())
    only_b = sum(other[key] and not hit for key, hit in mine.items())
    return len(mine), only_a, only_b


def _is_luck(only_a: int, only_b: int) -> bool:
    """Tell whether coins fall like that often: the sign test, which is McNemar's exact one.

    Only samples that count on one side alone tell two sides apart, each like a coin.
    """
    coins = only_a + only_b
    luck = sum(math.comb(coins, heads) for heads in range(min(only_a, only_b) + 1))
    return bool(2 * luck / 2**coins > CHANCE)


def _outputs(a: Side, b: Side) -> tuple[Row, ...]:
    mine = {title: snr for title, _, snr in a.outputs}
    other = {title: snr for title, _, snr in b.outputs}
    rows = []
    for title in dict.fromkeys((*mine, *other)):
        left, right = mine.get(title), other.get(title)
        better: Better = ""
        if left is not None and right is not None and abs(left - right) > GRAIN_DB:
            better = "a" if left > right else "b"
        rows.append(Row(title, left, right, better))
    return tuple(rows)


def _samples(a: Side, b: Side) -> tuple[SampleRow, ...]:
    """Return the samples that are worst on either side, those that differ most first."""
    left = {one.key: one for one in a.samples}
    right = {one.key: one for one in b.samples}
    half = SAMPLES // 2
    worst = [
        key
        for side in (left, right)
        for key in sorted(side, key=lambda key: side[key].score)[:half]
    ]
    both = [key for key in left if key in right]
    moved = sorted(both, key=lambda key: -abs(left[key].score - right[key].score))[:half]
    rows = []
    for key in list(dict.fromkeys((*moved, *worst)))[:SAMPLES]:
        one, two = left.get(key), right.get(key)
        known = one or two
        assert known is not None
        rows.append(
            SampleRow(
                known.name,
                one.index if one else None,
                two.index if two else None,
                one.score if one else None,
                two.score if two else None,
                one.note if one else "not among its samples",
                two.note if two else "not among its samples",
            )
        )
    return tuple(rows)


def _layers(a: Side, b: Side) -> tuple[LayerRow, ...]:
    """Return the layers that differ in bits or noise, and the worst ones, worst first."""
    rows = []
    for name in dict.fromkeys((*a.layers, *b.layers)):
        one, two = (side.layers.get(name, (None, "-")) for side in (a, b))
        rows.append(LayerRow(name, one[0], two[0], one[1], two[1]))

    def order(row: LayerRow) -> tuple[bool, float]:
        known = [value for value in (row.a, row.b) if value is not None]
        return (row.a_bits == row.b_bits, min(known, default=float("inf")))

    return tuple(sorted(rows, key=order)[:LAYERS])


def _settings(a: Side, b: Side) -> tuple[tuple[str, str, str], ...]:
    left = {name: (asked, ran) for name, asked, ran in a.settings}
    right = {name: (asked, ran) for name, asked, ran in b.settings}
    rows = []
    for name in dict.fromkeys((*left, *right)):
        one, two = left.get(name, ("-", "-")), right.get(name, ("-", "-"))
        if one != two:
            rows.append((name, " / ".join(one), " / ".join(two)))
    return tuple(rows)


def _notes(a: Side, b: Side) -> tuple[str, ...]:
    notes = []
    if a.emulated != b.emulated:
        notes.append("one of the two is emulated: their numbers do not compare")
    if a.step != b.step and a.step and b.step:
        first, second = (STEP_TITLES.get(side.step, side.step) for side in (a, b))
        notes.append(f"the last step is not the same one: {first}, and {second}")
    if a.samples and b.samples:
        left = {one.key for one in a.samples}
        right = {one.key for one in b.samples}
        if left != right:
            notes.append(
                f"they were judged on other samples: {len(left & right)} are the same, "
                f"{len(left - right)} and {len(right - left)} are not"
            )
    notes += [
        f"{side.title} was not judged: its samples are gone"
        for side in (a, b)
        if side.outcome is None
    ]
    return tuple(notes)


# --- the page --------------------------------------------------------------------------------


def render_comparison(
    found: Comparison, views: Mapping[str, tuple[Picture | None, Picture | None]]
) -> str:
    """Return the page: no scripts, no network. ``views`` has the pictures of samples by name."""
    title = f"{found.a.title} and {found.b.title}"
    parts = (
        f"<header><h1>{escape(title)}</h1></header>",
        _sides(found),
        "".join(f'<p class="banner">{escape(capital(note))}.</p>' for note in found.notes),
        _measures(found),
        _output_table(found),
        _cards(found, views),
        _layer_table(found),
        _setting_table(found),
        _script(found),
    )
    return document(title, parts, COMPARED)


def _sides(found: Comparison) -> str:
    cards = []
    for letter, side in (("A", found.a), ("B", found.b)):
        kind = {"passed": "good", "unproven": "warn", "failed": "bad"}.get(side.outcome or "", "")
        size = f", HEF {side.hef_bytes / 1000:.1f} kB" if side.hef_bytes else ""
        emulated = " (emulated)" if side.emulated else ""
        cards.append(
            f'<div class="verdict {kind}"><h2>{letter}: {escape(side.title)}</h2>'
            f"<p>{escape(capital(side.headline))}</p>"
            f"<p class=note>{escape(side.arch)}, {escape(side.toolchain)}{emulated}{size}</p></div>"
        )
    return f"<section class=pair>{''.join(cards)}</section>"


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th scope=col>{escape(one)}</th>" for one in heads)
    return wide(f"<tr>{head}</tr>{''.join(rows)}")


def _cell(text: str, *, better: bool) -> str:
    return f"<td class=better>{text} &#9664;</td>" if better else f"<td>{text}</td>"


def _measures(found: Comparison) -> str:
    if not found.measures:
        return ""
    rows = []
    for row in found.measures:
        shown = " / ".join(measure_cell(row.name, one) for one in ideals(found, row.name))
        rows.append(
            f"<tr><th scope=row>{escape(MEASURE_TITLES.get(row.name, row.name))}</th>"
            f"<td>{shown}</td>"
            + _cell(measure_cell(row.name, row.a), better=row.better == "a")
            + _cell(measure_cell(row.name, row.b), better=row.better == "b")
            + "</tr>"
        )
    table = _table(("at the last step", "float", "A", "B"), rows)
    decided = any(row.better for row in found.measures)
    key = "<p>The arrow marks the better value.</p>" if decided else ""
    return f"<section><h2>Measures</h2>{key}{table}</section>"


def ideals(found: Comparison, name: str) -> tuple[float, ...]:
    """Return the float networks' values of a measure: one, or A's and B's where they differ.

    Another recipe may be another float network: what a side lost is then told by its own.
    """
    values = [side.ideal[name] for side in (found.a, found.b) if name in side.ideal]
    same = len(values) < 2 or abs(values[0] - values[1]) <= GRAIN
    return tuple(values[:1] if same else values)


def _output_table(found: Comparison) -> str:
    if not found.outputs:
        return ""
    rows = [
        f"<tr><th scope=row>{escape(row.name)}</th>"
        + _cell(decibel_text(row.a), better=row.better == "a")
        + _cell(decibel_text(row.b), better=row.better == "b")
        + "</tr>"
        for row in found.outputs
    ]
    table = _table(("signal-to-noise ratio (dB)", "A", "B"), rows)
    return f"<section><h2>Every output</h2>{table}</section>"


def _cards(found: Comparison, views: Mapping[str, tuple[Picture | None, Picture | None]]) -> str:
    if not found.samples:
        return ""
    blocks, number = [], 0
    for row in found.samples:
        figures = []
        for letter, view, note in zip(
            "AB", views.get(row.name, (None, None)), (row.a_note, row.b_note), strict=True
        ):
            if view is None:
                continue
            shown = Picture(
                uri=view.uri, height=view.height, width=view.width, overlay=view.overlay,
                second=view.second, caption=f"{letter}: {row.name}", note=note, bad=view.bad,
            )  # fmt: skip
            figures.append(picture_card(shown, number))
            number += 1
        if figures:
            blocks.append(f"<div class=pair>{''.join(figures)}</div>")
        else:
            blocks.append(
                f"<p><b>{escape(row.name)}</b><br>A: {escape(row.a_note)}<br>"
                f"B: {escape(row.b_note)}</p>"
            )
    return (
        "<section><h2>Samples that differ most, and the worst of each</h2><p>In each "
        "picture, where answers can be drawn: the float network to the left, the last step to the "
        "right.</p>"
        f"{''.join(blocks)}</section>"
    )


def _layer_table(found: Comparison) -> str:
    if not found.layers:
        return ""
    rows = [
        f"<tr{' class=warn' if row.a_bits != row.b_bits else ''}>"
        f"<th scope=row>{escape(row.name)}</th><td>{decibel_text(row.a)}</td>"
        f"<td>{escape(row.a_bits)}</td><td>{decibel_text(row.b)}</td><td>{escape(row.b_bits)}</td></tr>"
        for row in found.layers
    ]
    table = _table(("layer", "A alone (dB)", "A bits", "B alone (dB)", "B bits"), rows)
    return (
        "<section><h2>Layers</h2><p>Those with other bits first, then the worst. Decibels come "
        f"from <code>hef analyze</code>, where it was run for that build.</p>{table}</section>"
    )


def _setting_table(found: Comparison) -> str:
    if not found.settings:
        return ""
    rows = [
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>"
        for name, a, b in found.settings
    ]
    table = _table(("asked / ran", "A", "B"), rows)
    return f"<section><h2>What was asked and what ran</h2>{table}</section>"


def _script(found: Comparison) -> str:
    if not found.a.script and not found.b.script:
        return ""
    if not found.script:
        return "<section><h2>Model script</h2><p>The same on both sides.</p></section>"
    lines = escape_lines("\n".join(found.script))
    return f"<section><h2>Model script</h2><pre>{lines}</pre></section>"


COMPARED = """
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px;
margin-bottom:12px}
.better{color:var(--good);font-weight:600;white-space:nowrap}
h1,h2{overflow-wrap:anywhere}
pre{overflow-x:auto;padding:10px 12px;background:var(--panel);border:1px solid var(--line);
border-radius:6px}
@media(max-width:560px){pre{white-space:pre-wrap;overflow-wrap:anywhere}
main{padding:18px 12px 40px}}
"""
