"""What a contact test found, as a file that a user can attach to a report: nothing private in it.

``hef toolchain check`` and ``hef device check`` write it, ``hef explain`` reads it.
"""

from __future__ import annotations

import getpass
import platform
import re
import textwrap
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: By which a file is known as such a report.
MARK: Final = "hefsmith_contact"
SCHEMA: Final = 1

#: Groups of an IPv6 address; a time has two colons, a PCI address has, too.
_IPV6: Final = re.compile(
    r"(?i)(?<![\w:])(?:(?:[0-9a-f]{1,4}:){4,7}:?[0-9a-f]{1,4}|"
    r"(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6})(?:%\w+)?(?!\w)"
)

#: Names that say nothing about anybody.
_EVERYWHERE: Final = {"", "root", "localhost", "/"}

State = Literal["ok", "warning", "error", "not asked"]
STATES: Final[tuple[State, ...]] = ("ok", "warning", "error", "not asked")

#: Texts of a report are cut here: a message line, never a log.
LONGEST: Final = 400


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that was looked at: what was found, and what to do where it is not good."""

    check: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class ContactReport:
    """All rows about one ``subject`` (``toolchain`` or ``device``), and the versions of it."""

    subject: str
    versions: Mapping[str, str]
    rows: tuple[Row, ...]
    private: tuple[str, ...] = field(default=(), repr=False)
    """Words that no report for others has: a host's name, a user's, an address."""

    @property
    def works(self) -> bool:
        """Whether nothing was found that a build or a run would fail by."""
        return not any(row.state == "error" for row in self.rows)

    def to_json(self) -> dict[str, object]:
        """Return the document."""
        return {
            MARK: SCHEMA,
            "subject": self.subject,
            "works": self.works,
            "versions": dict(sorted(self.versions.items())),
            "rows": [asdict(row) for row in self.rows],
        }


def public(report: ContactReport) -> ContactReport:
    """Return a report without names of people, machines, folders and addresses."""
    private = report.private
    commands = [word for word in private if re.search(r"[\s/]", word)]
    words = {*private, _user(), platform.node(), str(Path.home())} - _EVERYWHERE
    # Longest first: a home folder holds the user's name.
    ordered = sorted((word for word in words if len(word) > 2), key=len, reverse=True)

    def without(text: str, some: list[str]) -> str:
        for word in some:
            whole = rf"(?i)(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"
            text = re.sub(whole, "…", text)
        return text

    def clean(text: str) -> str:
        # Whole command lines go first, a pattern may take a part of them; names go last, they may
        # be a part of what a pattern takes.
        text = without(text, commands)
        text = re.sub(r"/(?:home|Users|root)/?[^\s:'\"),]*", "…", text)
        text = re.sub(r"[A-Za-z]:\\Users\\[^\s'\"),]*", "…", text)
        text = re.sub(r"\b[\w.+-]+@[\w.-]+\b", "…", text)
        text = re.sub(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "…", text)
        text = re.sub(r"(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "…", text)
        return without(_IPV6.sub("…", text), ordered)

    return shown(_each(report, clean))


def shown(report: ContactReport) -> ContactReport:
    """Return a report as it may stand on the user's own screen: a command in it can be copied."""

    def escaped(text: str) -> str:
        return "\n".join(escape_control(line) for line in text.splitlines())[:LONGEST]

    return _each(report, escaped)


def _each(report: ContactReport, change: Callable[[str], str]) -> ContactReport:
    """Return a report with each text of it changed, which has nothing private to name then."""
    rows = tuple(replace(row, found=change(row.found), fix=change(row.fix)) for row in report.rows)
    versions = {key: change(value) for key, value in report.versions.items()}
    return replace(report, rows=rows, versions=versions, private=())


def is_report(path: Path) -> bool:
    """Say whether a file is such a report, or the readable form of one."""
    with path.open("rb") as stream:
        start = stream.read(200).decode("utf-8", "replace")
    return MARK in start or start.startswith(("device:", "toolchain:", "device\n", "toolchain\n"))


def as_text(report: ContactReport, columns: int | None = None) -> str:
    """Return a report for people: a line a row, the cure below it.

    ``columns`` folds what was found for a screen of that width; a cure is often a command, and
    stays a line.
    """
    width = max((len(row.check) for row in report.rows), default=5)
    facts = ", ".join(f"{key} {value}" for key, value in sorted(report.versions.items()))
    first = f"{report.subject}: {facts}" if facts else report.subject
    lines = [*_folded(first, columns, ""), ""]
    column = 9 + 2 + width + 2
    for row in report.rows:
        start, *more = _folded(row.found, columns, " " * column)
        lines.append(f"{row.state:<9}  {row.check:<{width}}  {start.strip()}".rstrip())
        lines += more
        lines += [f"{'':<{column if columns is None else 11}}{one}" for one in row.fix.splitlines()]
    return "\n".join(lines) + "\n"


def _folded(text: str, columns: int | None, indent: str) -> list[str]:
    """Fold a text; never into a column of less than thirty."""
    if columns is None:
        return [text]
    width = max(columns, len(indent) + 30)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent) or [""]


def read(text: str) -> ContactReport | None:
    """Return the report in a text, ``None`` when it is something else.

    Raises :class:`~orchestrator.errors.ArtifactError` for one that is damaged.
    """
    if MARK not in text[:200]:
        return None
    try:
        document = parse_json(text)
        if document[MARK] != SCHEMA:
            msg = f"the contact report has schema {document[MARK]!r}; this hefsmith reads {SCHEMA}"
            raise ArtifactError(msg)
        rows = tuple(
            Row(
                check=str(row["check"]),
                state=next(state for state in STATES if state == row["state"]),
                found=str(row["found"]),
                fix=str(row.get("fix") or ""),
            )
            for row in document["rows"]
        )
        versions = {str(key): str(value) for key, value in document["versions"].items()}
        return ContactReport(subject=str(document["subject"]), versions=versions, rows=rows)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        msg = f"the contact report is damaged: {type(error).__name__}"
        raise ArtifactError(msg, hint="Make it again: hef toolchain check") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
