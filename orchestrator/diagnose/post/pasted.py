"""Undoes what pages, chats and log stores do to a line before somebody copies it from there.

A log rarely comes as it was printed: a page has written its signs as entities, Markdown has put
marks before them, an engine keeps each line as an object of JSON. Here it becomes again what the
program printed, before anything else looks at it.
"""

from __future__ import annotations

import html
import re

from orchestrator.reading import parse_json

#: What is worth a closer look; nearly no line of a log has any of it.
_TOUCHED = re.compile(
    '&(?:[a-z]{2,6}|#x?[0-9a-fA-F]{1,6});|\\\\[_\\[\\]*<>#~|`]|^\\s*(?:\\{\\s*"|```|~~~|`)'
    "|</?(?:br|p|pre|code|span|div|li)\\b|[\u00a0\u2007\u202f\u200b-\u200d\u2060\ufeff\u2013\u2014]"
    '|^\\s+traceback \\(most recent|^\\s{3,}file "|^\\s*(?:[-\u2022*|] |\\d{1,2}[.)] |\\*\\*|")',
    re.IGNORECASE,
)
#: How such a line begins, and what else it must hold.
_FIRST = frozenset(' \t{`~-*|"0123456789')
_SIGNS = ("&", "\\", "<")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#x?[0-9a-fA-F]{1,6});", re.IGNORECASE)
_TAG = re.compile(r"</?(?:br|p|pre|code|span|div|li)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([_\[\]*<>#~|`])")
#: A place of Windows, whose folders a back-slash parts.
_OF_WINDOWS = re.compile(r"\b[A-Za-z]:\\\w")
#: Where a block of code begins or ends in Markdown, and such a line with nothing else in it.
FENCE = re.compile(r"^\s*(?:```|~~~)")
_FENCE_ALONE = re.compile(rf"{FENCE.pattern}\s*[\w+-]{{0,16}}\s*$")
#: Pages write a dash for the two before an option.
_DASHED = re.compile(r"(?<![^\s\"'`\u2018\u201c(\[|])[\u2013\u2014](?=[a-z][a-z-])")
#: The mark of a list; curl's and the shell's own marks are no such, and a box to tick is prose.
_LISTED = re.compile(r"^\s{0,8}(?:[-\u2022] |\d{1,2}[.)] |\* (?=[`*\[]))(?=\S|$)(?!\[[ xX]\])")
#: What stands round a whole line that somebody made bold, or put into a table or a string.
_ROUND = (("**", "**"), ("| ", " |"), ('"', '",'))
_WIDE = re.compile("[\u00a0\u2007\u202f]")
_NO_WIDTH = re.compile("[\u200b-\u200d\u2060\ufeff]")
#: The beginning of a traceback, and a frame; each with where it stands when nobody moved it.
_PLACES = ((re.compile(r"\s*Traceback \(most recent call last"), 0), (re.compile(r'\s*File "'), 2))
#: What stores of logs call the words of the program (Docker, journald, loggers that write JSON).
KEPT_UNDER = ("log", "message", "MESSAGE", "msg", "event", "text", "line")
#: What they keep beside it. Without words and without a stamp it is a server's answer, and stays.
_BESIDE = ("error", "err", "exception", "exc_info", "stack")
_STAMPS = frozenset(("level", "levelname", "severity", "time", "timestamp", "@timestamp", "ts"))
#: Longer objects are data, no line of a log.
_LONGEST = 1 << 15


def _stored(line: str, *, again: bool = True) -> str:
    """Return what a program printed, out of the object in which a store of logs keeps it.

    A store may keep what a logger had written as an object already: ``again`` looks into that.
    """
    if len(line) > _LONGEST or not line.rstrip().endswith("}"):
        return line
    try:
        kept = parse_json(line)
    except ValueError:
        return line
    inner = next((kept[name] for name in KEPT_UNDER if isinstance(kept.get(name), dict)), None)
    kept = inner if inner is not None else kept
    said = [kept[name] for name in (*KEPT_UNDER, *_BESIDE) if isinstance(kept.get(name), str)]
    if (kept.keys().isdisjoint(KEPT_UNDER) and kept.keys().isdisjoint(_STAMPS)) or not said:
        return line
    text = "\n".join(one.rstrip("\n") for one in dict.fromkeys(said))
    if again and text.startswith("{"):
        text = "\n".join(_stored(one, again=False) for one in text.split("\n"))
    # Half a sign, as only JSON can write it, is none that could be printed.
    return text.encode("utf-8", "replace").decode("utf-8")


class Pasted:
    """Takes the lines of one log in order; :meth:`as_printed` gives each as it was printed."""

    def __init__(self) -> None:
        #: How far the traceback that is being read was moved to the right.
        self._margin = 0
        #: The last line was one of a quotation.
        self._quoted = False

    def as_printed(self, line: str) -> str:
        """Return ``line`` as the program printed it; an object of JSON may hold several lines."""
        quoted = line[:1] == ">"
        if quoted and self._quoted:
            # One such line alone is a mark of pytest's or a prompt; several are a quotation.
            line = line[2:] if line[1:2] == " " else line[1:]
        self._quoted = quoted
        if self._margin:
            if line[: self._margin].isspace():
                line = line[self._margin :]
            elif line.strip():
                self._margin = 0
        plain = line.isascii() and line[:1] not in _FIRST
        if (plain and not any(sign in line for sign in _SIGNS)) or not _TOUCHED.search(line):
            return line
        if _FENCE_ALONE.match(line):
            return ""
        line = _DASHED.sub("--", _NO_WIDTH.sub("", _WIDE.sub(" ", line)))
        # Twice: what was quoted out of a page may be written so once more.
        line = _ENTITY.sub(_sign, _ENTITY.sub(_sign, _TAG.sub("", line)))
        if line.lstrip().startswith("{"):
            return _stored(line)
        if _OF_WINDOWS.search(line) is None:
            line = _ESCAPED.sub(r"\1", line)
        line = _LISTED.sub("", line)
        bare = line.strip()
        for before, after in _ROUND:
            inner = bare[len(before) : -len(after)]
            if (
                bare.startswith(before)
                and bare.endswith(after)
                and before[0] not in inner
                and " " in inner
            ):
                line = bare = inner
        if len(bare) > 2 and bare[0] == bare[-1] == "`":
            line = bare.strip("`")
        for pattern, place in _PLACES:
            moved = len(line) - len(line.lstrip()) - place
            if moved > 0 and pattern.match(line):
                self._margin += moved
                return line[moved:]
        return line


def behind_fence(lines: list[str], at: int) -> int:
    """Return the number of the line behind the block whose fence is line ``at``, else ``at``."""
    if at >= len(lines) or FENCE.match(lines[at]) is None:
        return at
    closes = (number for number in range(at + 1, len(lines)) if FENCE.match(lines[number]))
    return next(closes, len(lines) - 1) + 1


def behind_empty(lines: list[str], at: int) -> int:
    """Return the number of the first line from ``at`` on that is not empty."""
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at


def _sign(match: re.Match[str]) -> str:
    sign = html.unescape(match[0])
    return " " if sign.isspace() else sign
