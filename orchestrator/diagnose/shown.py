"""Tells what a command only shows: a file of words, what it was told to say, lists of names.

``cat check.sh`` prints a program, ``rg`` lines of sources, ``echo`` what was typed behind it. What
a log holds (``cat hailort.log``, ``dmesg | grep``) was printed by a program, and is read.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.pasted import FENCE
from orchestrator.diagnose.session import PROMPT

#: Commands that print files as they are, or what they find in them.
_SHOWS = re.compile(
    r"^(?:sudo )?(?:cat|bat|batcat|head|tail|less|more|sed -n|nl|e?grep|rg|ag|ack|git (?:grep|diff"
    r"|show|log))\b"
)
#: Files of words: programs, manuals, settings. What begins a way through folders of them, too.
_WORDS = re.compile(
    r"[\w./~*-]+\.(?:py|pyi|sh|bash|c|cc|cpp|h|hpp|md|rst|ya?ml|toml|cmake|js|ts|rs|go|ipynb|adoc"
    r"|html|rules|service|conf|csv)\b|--include[= ]|(?:^|\s)(?:\S*/)?(?:src|docs?|tests?|README"
    r"|CHANGELOG\w*)(?:/\S*)?(?=\s|$)"
)
_LOGS = re.compile(
    r"\.log\b|/var/log|\bdmesg\b|\bjournalctl\b|\blogs?\b(?!\.py)|\|\s*(?:sh|bash)\b"
)
#: The command itself fails; that is no word of the file.
_FAILS = re.compile(
    r"^(?:cat|bat|head|tail|less|sed|e?grep|rg|git|bash|-bash|sh|zsh|fatal|error)\b.{0,80}:"
)
#: What ends what a command shows, as a fence does: a sentence behind an empty line.
_SENTENCE = re.compile(
    r"^(?![#>*|-])\W{0,2}[A-Z][\w'\u2019]*(?: [\w'\u2019`/.,()-]+){2,}.*[.:?!]\s*$"
)
#: What a shell is told to say, as typed at a prompt or shown by `set -x`.
_SAYS = re.compile(
    r"(?:^|[;&|+]\s?|\bthen |\bdo )\s*(?:echo|printf)\s+(?:-\w+ )*"
    r"(?:\"(?P<two>[^\"]*)\"|'(?P<one>[^']*)'|(?P<bare>[^;&|<>\"']+))"
)
#: A name of a status with what a list puts round it: its number, quotes, marks.
_STATUS = re.compile(
    r"^[\s\"'`|*,:=>({\[-]*(?:\d{1,3}[\s\"'`|:=,-]+)?(?P<name>HAILO_[A-Z0-9_]{4,})"
    r"(?:\s*[=:|(]?\s*\(?\d{1,3}\)?)?[\s\"'`|*,)}\]]*$"
)
#: What stands between such rows: a key, a bracket, a comment.
_BETWEEN = re.compile(r"^\s*(?:[\w\"' -]{1,40}:\s*[\[{]?|[\[\]{}]+,?|#.*)?\s*$")
#: Rows of them that make a list; a run prints one, or the same again.
_ROWS = 3
#: The name that a case of a test has in brackets, as runners print it.
_CASE = re.compile(
    r"(?P<test>(?:\.py::[\w:]+|^(?:test|build|check)\w*(?= ?\()))\s?"
    r"(?:\[.*\](?= (?:-|PASS|FAIL|ERR|SKIP|XFAIL|XPASS)|\s*$)|\([^()]*(?:\(\d+\)[^()]*)*\)(?=\s+"
    r"(?:pass|fail|ok|success|queued|cancel|skip)))"
)


def is_shown(lines: list[str]) -> set[int]:
    """Return the numbers of the lines that only show words."""
    return _documents(lines) | _echoes(lines) | _statuses(lines)


def without_case(line: str) -> str:
    """Return ``line`` without what a test's name holds of the case that it is run for."""
    if ".py::" not in line and line[:4] not in {"test", "buil", "chec"}:
        return line
    return _CASE.sub(r"\g<test>", line)


def _documents(lines: list[str]) -> set[int]:
    shown: set[int] = set()
    inside = empty = False
    for number, line in enumerate(lines):
        prompt = PROMPT.match(line)
        if prompt is not None:
            command = prompt["command"]
            inside = (
                _SHOWS.match(command) is not None
                and _WORDS.search(command) is not None
                and _LOGS.search(command) is None
            )
        elif inside and (FENCE.match(line) or (empty and _SENTENCE.match(line))):
            inside = False
        elif inside and _FAILS.match(line) is None:
            shown.add(number)
        empty = not line.strip()
    return shown


def _echoes(lines: list[str]) -> set[int]:
    shown: set[int] = set()
    said: set[str] = set()
    for number, line in enumerate(lines):
        if said and line.strip() in said:
            shown.add(number)
        elif "echo " in line or "printf " in line:
            prompt = PROMPT.match(line)
            traced = line.lstrip().startswith("+")
            typed = prompt["command"] if prompt is not None else line.lstrip("+ ") if traced else ""
            for match in _SAYS.finditer(typed):
                words = (match["two"] or match["one"] or match["bare"] or "").strip()
                if len(words) > 3:
                    said.add(words)
    return shown


def _statuses(lines: list[str]) -> set[int]:
    shown: set[int] = set()
    rows: list[int] = []
    names: set[str] = set()
    for number, line in enumerate([*lines, "end"]):
        row = _STATUS.match(line) if "HAILO_" in line else None
        if row is not None:
            rows.append(number)
            names.add(row["name"])
        elif rows and _BETWEEN.match(line) is None:
            if len(names) >= _ROWS:
                shown.update(rows)
            rows, names = [], set()
    return shown
