"""The report page of a build: one HTML file, no scripts, no network, light and dark.

:func:`render` is pure. Everything that comes from files or devices is escaped here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from html import escape as escape_html
from typing import TYPE_CHECKING

from orchestrator.errors import escape_control
from orchestrator.report.model import MEASURE_TITLES, SHORT_TITLES, STEP_TITLES
from orchestrator.report.pictures import step_chart, step_legend

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hefsmith_worker.contract.findings import Finding

    from orchestrator.report.model import StepReport, Verdict


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One sample as it is shown: a ``data:`` URI, its size, lines below it.

    ``overlay`` is SVG of the float network's answer; with ``second``, the last step's, the picture
    is shown twice, side by side.
    """

    uri: str
    height: int
    width: int
    overlay: str
    caption: str
    note: str
    bad: bool
    second: str | None = None


@dataclass(frozen=True, kw_only=True)
class AskedAndRan:
    """One row of the comparison that matters most: was done what was asked?"""

    name: str
    asked: str
    ran: str
    #: True when less, or something else, was done than was asked.
    differs: bool = False


@dataclass(frozen=True, kw_only=True)
class File:
    """One artifact."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that the page shows; ``contact_sheets`` are ``data:`` URIs, one per network input.

    ``worst_layers`` are rows: layer, type, decibels alone and in all, why, what would help.
    """

    model: str
    arch: str
    toolchain: str
    emulated: bool
    made: str
    verdict: Verdict
    asked_and_ran: Sequence[AskedAndRan]
    findings: Sequence[Finding]
    stages: Sequence[tuple[str, float | None]]
    files: Sequence[File]
    pictures: Sequence[Picture] = ()
    legend: str = ""
    contact_sheets: Sequence[str] = ()
    device: Sequence[tuple[str, str]] = ()
    worst_layers: Sequence[tuple[str, ...]] = ()


def escape(text: str) -> str:
    """Make text of any origin safe to show: control characters visible, markup inert."""
    return escape_html(escape_control(text))


def escape_lines(text: str) -> str:
    """Make lines of any origin safe to show, one below the other."""
    return "\n".join(escape(line) for line in text.splitlines())


_ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</t[hd]>", re.DOTALL)


def wide(rows: str) -> str:
    """Return a table of rows, the heads first, that a telephone shows cell below cell.

    ``rows`` is markup of this package, whose texts are escaped: each cell gets its column's head.
    """
    found = _ROW.findall(rows)
    heads = [re.sub(r"<[^>]*>", "", cell[2]) for cell in _CELL.findall(found[0])] if found else []

    def labelled(row: str) -> str:
        column = iter(range(len(heads)))

        def one(match: re.Match[str]) -> str:
            kind, more, text = match.groups()
            head = heads[number] if (number := next(column, -1)) >= 0 else ""
            label = f' data-head="{head}"' if kind == "td" and head else ""
            return f"<{kind}{more}{label}>{text}</{kind}>"

        return _CELL.sub(one, row)

    body = "".join([*found[:1], *(labelled(row) for row in found[1:])])
    return f'<div class="wide stack"><table>{body}</table></div>'


def styled(style: str) -> str:
    """Return a page's style, and before it the policy that lets a browser use nothing else.

    No script, no network, no frame, no form: should a text of a stranger ever get into a page
    as markup, it can do nothing. Pictures are inside the page.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style}</style>'


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """Return a whole page, without scripts and without network; ``style`` is its own."""
    lines = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        styled(f"{STYLE}{style}"),
        f"<title>{escape(title)}</title></head><body><main>",
        *parts,
        "</main></body></html>",
    )
    return "\n".join(line for line in lines if line) + "\n"


def render(page: Page) -> str:
    """Return the page as HTML text."""
    title = f"{page.model} for {page.arch}"
    verdict = page.verdict
    parts = (
        f"<header><h1>{escape(title)}</h1><p>{escape(page.toolchain)}, {escape(page.made)}</p>",
        _EMULATED if page.emulated else "",
        "</header>",
        _verdict(verdict),
        _steps(verdict),
        _classes(verdict),
        _pictures(page.pictures, page.legend),
        _asked_and_ran(page.asked_and_ran),
        _findings(page.findings),
        _contact_sheets(page.contact_sheets),
        _layers(page.worst_layers),
        _outputs(verdict.steps),
        _device(page.device),
        _files(page),
    )
    return document(f"{title}: {verdict.outcome}", parts)


_EMULATED = (
    '<p class="banner"><b>Emulated.</b> No Hailo compiler made this and no Hailo chip ran it. '
    "Agreement shows that the way works; no number here is a measurement of a chip.</p>"
)


def _verdict(verdict: Verdict) -> str:
    style = {"passed": "good", "unproven": "warn"}.get(verdict.outcome, "bad")
    checks = "".join(
        f'<li class="{"good" if check.passed else "bad"}">{escape(check.text)}</li>'
        for check in verdict.checks
    )
    where = (
        f"<p>The last step with outputs is {escape(verdict.checked)}:</p>"
        if verdict.checked
        else ""
    )
    fault = ""
    if verdict.fault is not None:
        causes = "".join(
            f"<li><b>{escape(cause.text)}</b>"
            + (f" <code>{escape(cause.known)}</code>" if cause.known else "")
            + (f"<br>Seen: {escape(cause.evidence)}" if cause.evidence else "")
            + f"<br>Try: {'<br>'.join(map(escape, cause.advice.splitlines()))}</li>"
            for cause in verdict.fault.causes[:5]
        )
        fault = f"<h3>Likely causes, most likely first</h3><ol>{causes}</ol>"
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in verdict.notes)
    return (
        f'<section class="verdict {style}"><h2>{escape(capital(verdict.headline))}</h2>'
        f"{where}<ul class=checks>{checks}</ul>{fault}{notes}</section>"
    )


def _steps(verdict: Verdict) -> str:
    if not verdict.steps:
        return ""
    guilty = verdict.fault.step if verdict.fault is not None else None
    names = [
        name for name in MEASURE_TITLES if any(name in report.measures for report in verdict.steps)
    ]
    head = "".join(
        f'<th scope=col title="{escape(MEASURE_TITLES[name])}">'
        f"{escape(SHORT_TITLES.get(name, name))}</th>"
        for name in names
    )
    rows = []
    for report in verdict.steps:
        cells = "".join(
            f"<td>{measure_cell(name, report.measures.get(name))}</td>" for name in names
        )
        style = ' class="bad"' if report.step == guilty else ""
        title = escape(STEP_TITLES[report.step])
        rows.append(f"<tr{style}><th scope=row>{title}</th>{cells}</tr>")
    samples = f"{verdict.samples} {verdict.origin} samples"
    kind = "with labels" if verdict.labelled else "without labels"
    return (
        f"<section><h2>Agreement by step</h2><p>{escape(samples)}, {kind}; the reference is "
        f"{escape(STEP_TITLES.get(verdict.reference, verdict.reference))}.</p>"
        f"<div class='wide plot'>{step_chart(verdict.steps, verdict.checks, guilty)}</div>"
        f"{step_legend(verdict.steps)}"
        f"{wide(f'<tr><th></th>{head}</tr>' + ''.join(rows))}</section>"
    )


#: Classes from which the table of confusions is left out: it would be wider than any page.
_MANY_CLASSES = 20


def _classes(verdict: Verdict) -> str:
    """Return the figures of each class at the last step, and what is taken for what."""
    if not verdict.classes:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{escape(one.name)}</th><td>{one.samples}</td><td>{one.recall:.1%}</td>"
        f"<td>{'' if one.precision is None else f'{one.precision:.1%}'}</td></tr>"
        for one in verdict.classes
    )
    table = (
        "<table><tr><th>class</th><th>samples</th><th>found (recall)</th>"
        f"<th>right when said (precision)</th></tr>{rows}</table>"
    )
    return f"<section><h2>By class, at the last step</h2>{table}{_confusion(verdict)}</section>"


def _confusion(verdict: Verdict) -> str:
    found = verdict.confusion
    if found is None or len(found.classes) > _MANY_CLASSES:
        return ""
    names = {one.number: one.name for one in verdict.classes}
    heads = [escape(names.get(number, str(number))) for number in found.classes]
    rows = "".join(
        f"<tr><th scope=row>{name}</th>{''.join(f'<td>{count or chr(183)}</td>' for count in row)}"
        "</tr>"
        for name, row in zip(heads, found.counts, strict=True)
    )
    columns = "".join(f"<th scope=col>{name}</th>" for name in heads)
    return (
        "<h3>Rows: the label. Columns: what the model said.</h3><div class=wide>"
        f"<table><tr><th></th>{columns}</tr>{rows}</table></div>"
    )


def _pictures(pictures: Sequence[Picture], legend: str) -> str:
    if not pictures:
        return ""
    cards = "".join(picture_card(one, number) for number, one in enumerate(pictures))
    several = any(picture.second is not None for picture in pictures)
    said = f"<p>{escape(capital(legend))}.</p>" if legend else ""
    return (
        f"<section><h2>Samples furthest from the float model</h2>{said}"
        f'<div class="{"cards two" if several else "cards"}">{cards}</div></section>'
    )


def picture_card(picture: Picture, number: int) -> str:
    """Return a figure: the picture once, or twice with the answers of two steps over it.

    ``number`` tells the pictures of a page apart: the second one refers to the first.
    """
    box = f"0 0 {picture.width} {picture.height}"
    name = f"sample{number}"
    shape = f'width="{picture.width}" height="{picture.height}"'
    sides = [(f'<image id="{name}" href="{picture.uri}" {shape}/>', picture.overlay)]
    if picture.second is not None:
        sides.append((f'<use href="#{name}"/>', picture.second))
    caption = f"{escape(picture.caption)}: {escape(picture.note)}"
    shown = "".join(
        f'<svg viewBox="{box}" role="img" aria-label="{caption}">{below}{above}</svg>'
        for below, above in sides
    )
    return (
        f'<figure class="{"card bad" if picture.bad else "card"}"><div class=sides>{shown}</div>'
        f"<figcaption>{escape(picture.caption)}<br><small>{escape(picture.note)}</small>"
        "</figcaption></figure>"
    )


def _contact_sheets(sheets: Sequence[str]) -> str:
    if not sheets:
        return ""
    shown = "".join(f'<img class=sheet src="{uri}" alt="Contact sheet">' for uri in sheets)
    return (
        "<section><h2>What the network was calibrated on</h2><p>Pictures as the network gets "
        "them, after resizing and before normalisation, and how often each value occurs. The "
        f"first ones have the float model's answers below them.</p>{shown}</section>"
    )


def _asked_and_ran(rows: Sequence[AskedAndRan]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr{' class=warn' if row.differs else ''}><th>{escape(row.name)}</th>"
        f"<td>{escape(row.asked)}</td><td>{escape(row.ran)}</td></tr>"
        for row in rows
    )
    return (
        "<section><h2>What was asked and what ran</h2><table><tr><th></th><th>asked</th>"
        f"<th>ran</th></tr>{lines}</table></section>"
    )


def _findings(findings: Sequence[Finding]) -> str:
    shown: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        shown.setdefault((finding.code, finding.message), finding)
    if not shown:
        return ""
    rank = {"error": 0, "warning": 1, "info": 2}
    ordered = sorted(shown.values(), key=lambda finding: rank.get(finding.severity, 3))
    lines = "".join(
        f'<tr class="{escape(finding.severity)}"><th>{escape(finding.severity)}</th>'
        f"<td>{escape(finding.message)}"
        + "".join(f"<br><small>{escape(line)}</small>" for line in finding.fix.splitlines())
        + f"</td><td><code>{escape(finding.code)}</code></td></tr>"
        for finding in ordered
    )
    return f"<section><h2>Findings</h2><table>{lines}</table></section>"


def _outputs(steps: Sequence[StepReport]) -> str:
    rows = []
    for report in steps[1:]:
        for row in report.outputs:
            if row.problem:
                cells = f'<td colspan="5" class=bad>{escape(row.problem)}</td>'
            else:
                values = (
                    _plain(row.cosine, 6),
                    _plain(row.cosine_min, 6),
                    "exact" if row.exact else _fixed(row.snr_db),
                    _plain(row.mean_abs, 6),
                    _plain(row.max_abs, 6),
                )
                cells = "".join(f"<td>{value}</td>" for value in values)
            step = escape(STEP_TITLES[report.step])
            rows.append(f"<tr><th>{step}</th><td>{escape(row.output)}</td>{cells}</tr>")
    if not rows:
        return ""
    head = "".join(
        f"<th>{name}</th>"
        for name in ("", "output", "cosine", "worst", "SNR (dB)", "mean |e|", "max |e|")
    )
    return (
        "<section><h2>Every output against the float model</h2>"
        f"{wide(f'<tr>{head}</tr>' + ''.join(rows))}</section>"
    )


def _layers(rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    heads = ("layer", "type", "alone (dB)", "SNR (dB)", "why", "what may help")
    head = "".join(f"<th scope=col>{name}</th>" for name in heads)
    lines = "".join(
        f"<tr><th scope=row>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        "<section><h2>Layers that cost most</h2><p>Alone: what the worst output keeps when this "
        f"layer alone is quantised.</p>{wide(f'<tr>{head}</tr>{lines}')}</section>"
    )


def _device(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    lines = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts
    )
    return f"<section><h2>Device</h2><table>{lines}</table></section>"


def _files(page: Page) -> str:
    files = "".join(
        f"<tr><td>{escape(file.path)}</td><td class=num>{_size(file.bytes)}</td>"
        f"<td><code>{escape(file.sha256[:16])}</code></td></tr>"
        for file in page.files
    )
    times = ", ".join(
        f"{escape(name)} {'from the cache' if seconds is None else f'{seconds:.1f} s'}"
        for name, seconds in page.stages
    )
    return (
        f"<section><h2>Files and times</h2><p>{times}</p><div class=wide><table>"
        "<tr><th>file</th><th class=num>size</th><th>sha256</th></tr>"
        f"{files}</table></div></section>"
    )


def measure_cell(name: str, value: float | None) -> str:
    """Return one measure as a table shows it; no ratio at all means that nothing differs."""
    if value is None:
        return "exact" if name == "snr_db" else ""
    if name == "snr_db":
        return f"{value:.1f}"
    if name in ("cosine", "keypoint_distance"):
        return f"{value:.5f}"
    return f"{value:.4g}" if name == "metric" else f"{value:.1%}"


def _plain(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def _fixed(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def capital(text: str) -> str:
    """Return a sentence with its first letter large."""
    return text[:1].upper() + text[1:]


STYLE = """
:root{--paper:#fff;--ink:#1d2433;--soft:#5b6577;--line:#dde2ea;--panel:#f6f8fb;--good:#1a7f4b;
--bad:#b42318;--warn:#9a6700;--c0:#2463c4;--c1:#1a7f4b;--c2:#a8430f;--c3:#7b3fb5;--c4:#0b7a86;
--c5:#64748b}
@media(prefers-color-scheme:dark){:root{--paper:#12161f;--ink:#e6eaf2;--soft:#9aa5b8;
--line:#2c3444;--panel:#1a202c;--good:#4cc38a;--bad:#ff7a6e;--warn:#e0b040;--c0:#6ea8ff;
--c1:#4cc38a;--c2:#f09a5a;--c3:#c39bf0;--c4:#5cc8d4;--c5:#a3b0c2}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:980px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:0 0 8px}h3{font-size:15px;margin:14px 0 4px}
header p{margin:2px 0 0;color:var(--soft)}
section{margin-top:30px}
.banner{margin-top:14px;padding:10px 14px;border-left:4px solid var(--warn);
background:var(--panel);color:var(--ink)}
.verdict{padding:16px 18px;border:1px solid var(--line);border-left:5px solid var(--soft);
background:var(--panel);border-radius:6px}
.verdict.good{border-left-color:var(--good)}.verdict.bad{border-left-color:var(--bad)}
.verdict.good h2{color:var(--good)}.verdict.bad h2{color:var(--bad)}
.verdict.warn{border-left-color:var(--warn)}.verdict.warn h2{color:var(--warn)}
.checks{list-style:none;padding:0;margin:0}.checks li::before{margin-right:8px}
.checks .good::before{content:"\\2713";color:var(--good)}
.checks .bad::before{content:"\\2717";color:var(--bad)}
.note{color:var(--soft);margin:6px 0 0}
ol{padding-left:22px;margin:0}ol li{margin-bottom:6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top}
th{font-weight:600}tr.bad th,tr.bad td,td.bad{color:var(--bad)}
tr.warn td,tr.warning th{color:var(--warn)}tr.error th{color:var(--bad)}
.num{text-align:right;white-space:nowrap}
.wide{overflow-x:auto}
code{font:13px ui-monospace,SFMono-Regular,Menlo,monospace;color:var(--soft)}
small{white-space:pre-wrap}
.chart{width:100%;min-width:620px;height:auto;margin:6px 0 10px}
.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:12px}
.tick.guilty{fill:var(--bad);font-weight:700}
.line{fill:none;stroke-width:2.5}.limit{stroke-width:1.2;stroke-dasharray:5 4;opacity:.75}
.dot{stroke:var(--paper);stroke-width:1.5}.name{font-size:12.5px;font-weight:600}
.line.c0,.limit.c0{stroke:var(--c0)}.dot.c0,.name.c0{fill:var(--c0)}
.line.c1,.limit.c1{stroke:var(--c1)}.dot.c1,.name.c1{fill:var(--c1)}
.line.c2,.limit.c2{stroke:var(--c2)}.dot.c2,.name.c2{fill:var(--c2)}
.line.c3,.limit.c3{stroke:var(--c3)}.dot.c3,.name.c3{fill:var(--c3)}
.line.c4,.limit.c4{stroke:var(--c4)}.dot.c4,.name.c4{fill:var(--c4)}
.line.c5,.limit.c5{stroke:var(--c5)}.dot.c5,.name.c5{fill:var(--c5)}
.legend{display:none;margin:0 0 10px;font-size:13px;font-weight:600}
.legend .c0{color:var(--c0)}.legend .c1{color:var(--c1)}.legend .c2{color:var(--c2)}
.legend .c3{color:var(--c3)}.legend .c4{color:var(--c4)}.legend .c5{color:var(--c5)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:14px}
.card{margin:0;border:1px solid var(--line);border-radius:6px;overflow:hidden;
background:var(--panel)}
.card.bad{border-color:var(--bad)}
.cards.two{grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}
.sides{display:flex;gap:2px}
.card svg{display:block;flex:1 1 0;min-width:0;width:100%;height:170px;background:#000}
.card image{image-rendering:pixelated}
.card figcaption{padding:6px 10px 8px;font-size:13px;overflow-wrap:anywhere}
.card small{color:var(--soft);font-size:12px}
.sheet{display:block;max-width:100%;height:auto;margin-top:10px;border:1px solid var(--line);
border-radius:6px}
circle.ref{fill:#39d98a}circle.last{fill:#ff9f43}.ref,.last{fill:none;vector-effect:non-scaling-stroke;stroke-width:2}
@media(max-width:560px){main{padding:18px 12px 40px}
.stack tr{display:block;border-bottom:1px solid var(--line);padding:6px 0}
.stack tr:first-child{display:none}
.stack th,.stack td{border:0;padding:1px 0;overflow-wrap:anywhere}
.stack th{display:inline-block;margin-right:8px}
.stack td{display:block;padding-left:12px}
.stack td::before{content:attr(data-head) " ";color:var(--soft);margin-right:6px}
.stack td:empty{display:none}
.plot{overflow:hidden}.chart{min-width:0;width:128%}.chart .tick{font-size:19px}
.chart .name{display:none}.legend{display:block}
.chart .step{text-anchor:end;transform-box:fill-box;transform-origin:100% 50%;
transform:rotate(-20deg);font-size:16px}}
.ref{stroke:#39d98a}.last{stroke:#ff9f43;stroke-dasharray:4 3}
"""
