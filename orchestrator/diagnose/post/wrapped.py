"""Puts together again what a terminal cut at its width, in a copy of its screen.

Such a copy has no line longer than the terminal is wide, and several that are just as wide. What a
program or a person wrote has lines of any length: the longest of them is alone.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter

from orchestrator.diagnose.tracebacks import RAISED
from orchestrator.diagnose.words.text import starts_message, strip_prefix

#: Widths that terminals and their copies have when nobody changes them.
_USUAL = frozenset({80, 100, 120, 132})
#: At this width one line is enough: most copies are of it.
_COMMONEST = 80
_NARROWEST = 60
_WIDEST = 250
#: What begins a message of its own: a tool that names itself, what was raised, a mark.
_BEGINS = re.compile(
    r"(?:[\w./+-]{1,60}: (?:\*\*\*|(?:fatal |internal )?(?:error|warning|note)\b)|[\w./-]+:\d+:"
    r"|\W?\s?[\u2714\u2718\u2713\u2717\u25cf\u2502]|\s*File \"|\s+(?:CC|LD|AR|CXX) )",
    re.IGNORECASE,
)
#: The end of a line that was drawn.
_DRAWN = re.compile(r"([^\w\s])\1{3}\s*$")
#: The first half of a name with dots, such as that of an exception.
_NAME = re.compile(r"\w\.[\w.]*$")
#: So many lines of an unusual width show that it is one.
_ENOUGH = 3
#: A message is never longer than so many lines of a screen.
_MOST_LINES = 12


def width(lines: list[str]) -> int:
    """Return the width at which the lines were cut, 0 where they were not."""
    lengths = Counter(len(line.rstrip("\r")) for line in lines)
    widest = max(lengths, default=0)
    if not _NARROWEST <= widest <= _WIDEST:
        return 0
    full = sum(
        len(line.rstrip("\r")) == widest and _goes_on(line, below)
        for line, below in itertools.pairwise(lines)
    )
    near = max(lengths[widest - 1], lengths[widest - 2], lengths[widest - 3])
    if full <= near and widest not in _USUAL:
        return 0
    enough = 1 if widest == _COMMONEST else 2 if widest in _USUAL else _ENOUGH
    return widest if full >= enough else 0


def _goes_on(line: str, below: str) -> bool:
    """Tell whether ``below`` may be the rest of ``line``, which is as wide as the terminal."""
    if not below.strip() or _DRAWN.search(line) or line.endswith("  "):
        return False
    if (RAISED.match(below) and not _NAME.search(line)) or _BEGINS.match(below):
        return False
    return not starts_message(below) and strip_prefix(below) == below


def joined(lines: list[str]) -> list[tuple[str, int]]:
    """Return the lines as they were before, each with the number of lines that were taken in."""
    cut = width(lines)
    if not cut:
        return [(line, 0) for line in lines]
    found: list[tuple[str, int]] = []
    at = 0
    while at < len(lines):
        line, more = lines[at].rstrip("\r"), 0
        last = line
        while (
            len(last) == cut
            and more < _MOST_LINES
            and at + more + 1 < len(lines)
            and _goes_on(last, lines[at + more + 1])
        ):
            more += 1
            last = lines[at + more].rstrip("\r")
            line += last
        found.append((line if more else lines[at], more))
        at += more + 1
    return found
