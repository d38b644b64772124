"""Tells what the same log settles further down, and what its writer says was meant to fail.

The kernel tries to place a card's memory more than once: what it refused at first it may assign in
a later line. Below a command that failed somebody may write that this is as it should be, and who
mistyped a name types it again.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

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
#: What somebody typed, at the prompt of Python, of IPython or of a notebook.
_STATEMENT = re.compile(r"^\s{0,8}(?:>>>|In \[\d+\]:) (?P<command>\S.*)$")
#: What was typed and is not there.
_NO_SUCH = re.compile(
    r"No module named ['\"]?(?P<module>[\w.-]+)|name ['\"](?P<name>\w+)['\"] is not defined"
    r"|(?P<program>[\w.+-]+): (?:command )?not found|command not found: (?P<typed>[\w.+-]+)"
)
#: How like two names are that differ by a slip.
_ALIKE = 0.75
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


def is_mistyped(lines: list[str]) -> set[int]:
    """Return the lines that a slip of the hand printed: the same is typed next, spelled right."""
    slips: set[int] = set()
    typed, first, wrong = "", 0, ""
    for number, line in enumerate(lines):
        if (entered := PROMPT.match(line) or _STATEMENT.match(line)) is not None:
            if wrong and _is_slip(typed, wrong, entered["command"]):
                slips.update(range(first + 1, number))
            typed, first, wrong = entered["command"], number, ""
        elif typed and (absent := _NO_SUCH.search(line)) is not None:
            wrong = next(name for name in absent.groups() if name)
    return slips


def _is_slip(typed: str, wrong: str, again: str) -> bool:
    """Tell whether ``again`` is ``typed`` with another spelling of the name ``wrong``."""
    before, found, after = typed.partition(wrong)
    if not found or not again.startswith(before) or again == typed:
        return False
    other = re.match(r"[\w.+-]+", again[len(before) :])
    if other is None or other[0].startswith(wrong) or not again[len(before) :].endswith(after):
        return False
    return SequenceMatcher(None, wrong, other[0], autojunk=False).ratio() >= _ALIKE


def _block_above(lines: list[str], number: int) -> range:
    """Return the lines of the block above line ``number``: commands and what they printed."""
    end = number
    while end > 0 and (not lines[end - 1].strip() or FENCE.match(lines[end - 1])):
        end -= 1
    first = end
    while first > 0 and lines[first - 1].strip() and not FENCE.match(lines[first - 1]):
        first -= 1
    return range(first, end)
