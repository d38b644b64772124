"""Tells what the same log settles further down, and what its writer says was meant to fail.

The kernel tries to place a card's memory more than once: what it refused at first it may assign in
a later line. Below a command that failed somebody may write that this is as it should be.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.pasted import FENCE
from orchestrator.diagnose.session import PROMPT

_BAR = re.compile(
    r"\b(?P<device>[0-9a-f:]{4,7}:[0-9a-f]{2}\.\d): BAR (?P<bar>\d+)\b.{0,60}?(?P<said>assigned\b"
    r"|failed to assign|no space for|can['\u2019]t assign)"
)
_EXPECTED = re.compile(
    r"^\W{0,3}(?:(?:that|this|which|it) (?:is|was) |just |all )?(?:as expected"
    r"|to be expected|expected"
    r"|on purpose|intended|wie erwartet|das ist (?:normal|gewollt)|como (?:era )?(?:de )?esperar"
    r"|comme (?:prévu|attendu))\b(?! (?:behaviou?r|result|output)\b)(?!.{0,3}:)",
    re.IGNORECASE,
)
#: Such a sentence says little else.
_SHORT = 160


def is_settled(lines: list[str]) -> set[int]:
    """Return the numbers of the lines whose failure is over, or was meant."""
    return _placed(lines) | _meant(lines)


def _placed(lines: list[str]) -> set[int]:
    refused: dict[tuple[str, str], list[int]] = {}
    over: set[int] = set()
    for number, line in enumerate(lines):
        bar = _BAR.search(line) if "BAR " in line else None
        if bar is None:
            continue
        place = (bar["device"], bar["bar"])
        if bar["said"] == "assigned":
            over.update(refused.pop(place, ()))
        else:
            refused.setdefault(place, []).append(number)
    return over


def _meant(lines: list[str]) -> set[int]:
    meant: set[int] = set()
    for number, line in enumerate(lines):
        if len(line) > _SHORT or _EXPECTED.match(line) is None:
            continue
        block = _block_above(lines, number)
        if any(PROMPT.match(lines[at]) for at in block):
            meant.update(block)
    return meant


def _block_above(lines: list[str], number: int) -> range:
    """Return the lines of the block above line ``number``: commands and what they printed."""
    end = number
    while end > 0 and (not lines[end - 1].strip() or FENCE.match(lines[end - 1])):
        end -= 1
    first = end
    while first > 0 and lines[first - 1].strip() and not FENCE.match(lines[first - 1]):
        first -= 1
    return range(first, end)
