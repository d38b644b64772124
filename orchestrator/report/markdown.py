"""A build's verdict as Markdown: for comments on changes, and for pages of a CI service."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hefsmith_worker.contract.findings import Finding

    from orchestrator.report.model import Verdict

#: What Markdown or HTML would take for its own.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~!])")
#: Findings of one build that are listed.
MOST = 20


@dataclass(frozen=True)
class Section:
    """One build. ``steps`` is the table of its steps as text, the header first."""

    name: str
    toolchain: str
    emulated: bool
    verdict: Verdict
    steps: Sequence[Sequence[str]]
    findings: Sequence[Finding]
    hef_bytes: int | None


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line: it may come from anywhere."""
    return _SPECIAL.sub(r"\\\1", escape_control(text))


def _html(text: str) -> str:
    return html.escape(escape_control(text))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as a table, the header first; all but the first column is numbers."""
    header, *rest = [[plain(cell) or " " for cell in row] for row in rows]
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rest)]


def render(sections: Sequence[Section], not_built: Sequence[str] = ()) -> str:
    """Return one document: a line for each build, then what each step gave.

    ``not_built`` are builds that should be there: without them it would look as if all was well.
    """
    lines = ["## hefsmith", ""]
    if any(one.emulated for one in sections):
        lines += [
            "**Emulated**: made without Hailo's compiler. No number here is a measure of a chip.",
            "",
        ]
    rows = [("build", "verdict", "HEF", "warnings")]
    rows += [
        (
            one.name,
            one.verdict.outcome,
            "-" if one.hef_bytes is None else f"{one.hef_bytes / 1000:.0f} kB",
            str(sum(finding.severity != "info" for finding in one.findings)),
        )
        for one in sections
    ]
    rows += [(name, "not built", "-", "-") for name in not_built]
    lines += table(rows) if len(rows) > 1 else ["There is no model yet."]
    for one in sections:
        lines += ["", *_details(one)]
    return "\n".join(lines) + "\n"


def _details(one: Section) -> list[str]:
    verdict = one.verdict
    opened = "" if verdict.outcome == "passed" else " open"
    lines = [
        # Up to the next empty line this is HTML, where Markdown's own escapes do not count.
        f"<details{opened}><summary>{_html(f'{one.name}: {verdict.headline}')}</summary>",
        "",
        f"Toolchain: {plain(one.toolchain)}",
        "",
    ]
    if len(one.steps) > 1:
        lines += [*table(one.steps), ""]
    lines += [f"- failed: {plain(check.text)}" for check in verdict.checks if not check.passed]
    for cause in verdict.fault.causes if verdict.fault else ():
        lines.append(f"- {_sentence(cause.text)} {plain(cause.advice)}")
    told = [finding for finding in one.findings if finding.severity != "info"]
    for finding in told[:MOST]:
        said = plain(finding.message)
        if finding.fix:
            said = f"{_sentence(finding.message)} {plain(' '.join(finding.fix.split()))}"
        lines.append(f"- {finding.severity} ({plain(finding.code)}): {said}")
    if len(told) > MOST:
        lines.append(f"- and {len(told) - MOST} more")
    return [*lines, "", "</details>"]


def _sentence(text: str) -> str:
    """Return a message with the full stop that it needs before its advice."""
    return f"{plain(text).rstrip('.')}."
