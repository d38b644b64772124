"""What the system says on machines of other languages, in the words that patterns are written for.

The sentences stand in :mod:`orchestrator.diagnose.sentences`; any kind of quote stands for ``'``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.sentences import ALONE, FORMED, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_QUOTE = "[\"'`\u00b4\u2018\u2019\u201c\u201d]"


def _written(sentence: str) -> str:
    return re.escape(sentence).replace("'", _QUOTE).replace(r"\ ", r"\s+")


def _any_of(table: dict[str, tuple[str, ...]]) -> tuple[re.Pattern[str], dict[str, str]]:
    said = {one: english for english, others in table.items() for one in others}
    longest_first = sorted(said, key=len, reverse=True)
    pattern = "|".join(_written(one) for one in longest_first)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE), said


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(_QUOTE, "'", text)).lower()


_SYSTEM, _SAID = _any_of(SYSTEM)
_ALONE, _SAID_ALONE = _any_of(ALONE)
#: A whole line, what follows a colon, or what a shell says of a job: ``4711 Killed  ./run``.
_ALONE_ON_LINE = re.compile(
    rf"(?P<before>^\s*|: ?)(?P<word>{_ALONE.pattern})(?=\s*(?:\(|\.?$))"
    rf"|(?P<job>: +\d+ +)(?P<ended>{_ALONE.pattern})(?=\s|$)",
    re.IGNORECASE,
)
#: The longest word of each sentence, without which there is no use in looking for it.
_FORMED = tuple(
    (
        max(re.split(r"['\s]|%s", one), key=len),
        re.compile(_written(one).replace("%s", r"(\S+)"), re.IGNORECASE),
        english,
    )
    for english, others in FORMED.items()
    for one in others
)
#: The space that French writes before a colon.
_FRENCH = re.compile(r"(?<=\S)[ \u00a0]:[ \u00a0](?=command not found|No such file)")


def _known_by(said: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: said[_key(match[0])]


def _filled(english: str) -> Callable[[re.Match[str]], str]:
    return lambda match: english.replace("%s", match[1])


def sentences() -> Iterable[str]:
    """Yield every sentence that is understood, as the programs write it."""
    for table in (SYSTEM, ALONE, FORMED):
        for others in table.values():
            yield from others


#: Sentences that a line of plain ASCII may hold, tried only where one of their beginnings stands.
_ASCII = re.compile(
    "|".join(_written(one).replace("%s", r"\S+") for one in sentences() if one.isascii()),
    re.IGNORECASE,
)


def to_english(line: str) -> str:
    """Return ``line`` with what the system says in another language said in English."""
    if line.isascii() and _ASCII.search(line) is None:
        return line
    # Chinese and Japanese shells write a wide colon, with no space after it.
    line = _SYSTEM.sub(_known_by(_SAID), line.replace("\uff1a", ": "))
    line = _ALONE_ON_LINE.sub(
        lambda match: (
            (match["before"] or match["job"] or "")
            + _SAID_ALONE[_key(match["word"] or match["ended"])]
        ),
        line,
    )
    lower = line.lower()
    for word, pattern, english in _FORMED:
        if word in lower:
            line = pattern.sub(_filled(english), line)
    return _FRENCH.sub(": ", line)
