"""Reads a paste as a whole before its lines are read: whose words they are, and how they were cut.

A line alone does not tell whether it was quoted from somebody else, printed by a command that shows
a document, or cut by a terminal. The lines around it do. Only the beginning of a paste is looked at
in this way: a post is short, and a log of a million lines is no post.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from orchestrator.diagnose.post.elsewhere import places_of
from orchestrator.diagnose.post.papers import is_of_a_paper
from orchestrator.diagnose.post.quoted import of_others
from orchestrator.diagnose.post.refuted import is_refuted
from orchestrator.diagnose.post.reported import is_reported
from orchestrator.diagnose.post.settled import is_mistyped, is_settled
from orchestrator.diagnose.post.shown import is_shown, of_settings, without_case
from orchestrator.diagnose.post.supposed import is_supposed
from orchestrator.diagnose.post.unfolded import unfold, unglued
from orchestrator.diagnose.post.went_on import is_got_over
from orchestrator.diagnose.post.wrapped import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: So many lines are looked at together; what follows is read line by line.
MOST = 4000


class Told(NamedTuple):
    """A line as it should be read.

    ``doubted``: it proves nothing. ``more``: so many lines below it were taken into it.
    ``inner``: it stood in the same line as the one before. ``beside``: words that are no message
    and may decide what a message elsewhere means. ``place``: the machine it is of, as far as the
    post tells.
    """

    line: str
    doubted: bool = False
    more: int = 0
    inner: bool = False
    beside: str = ""
    place: str = ""


#: How loggers begin a line.
_STAMP = re.compile(r"\s*\[?\d{4}[-/]\d\d[-/]\d\d[ T,]\d\d:\d\d")


def is_stamped(lines: list[str]) -> bool:
    """Tell whether lines are the log of one logger: its first line bears a stamp, and most do.
    The sentences in it are a program's, however they read."""
    said = [line for line in lines if line.strip()]
    if not said or _STAMP.match(said[0]) is None:
        return False
    return sum(_STAMP.match(line) is not None for line in said) * 2 > len(said)


class Feed(Protocol):
    """Takes in a line with what is known of it."""

    def __call__(
        self, line: str, /, *, doubted: bool, more: int, inner: bool, beside: str, place: str
    ) -> object:
        """Take in one line; all else as of :class:`Told`."""


def read_whole(lines: Iterable[str], feed: Feed) -> None:
    """Hand each line of one log to ``feed``, as it should be read."""
    for told in as_told(lines):
        line, doubted, more, inner, beside, place = told
        feed(line, doubted=doubted, more=more, inner=inner, beside=beside, place=place)


def as_told(lines: Iterable[str]) -> Iterator[Told]:
    """Yield the lines of one log; what is not of this story is an empty line."""
    rest = iter(lines)
    first = list(islice(rest, MOST))
    return chain(_read(first), map(Told, rest))


def _read(lines: list[str]) -> Iterator[Told]:
    parts = [
        Told(part, more=more if not at else 0, inner=at > 0)
        for line, more in joined(lines)
        for at, part in enumerate(unfold(unglued(line)))
    ]
    texts = [part.line for part in parts]
    others, doubted = of_others(texts)
    refuted, open_yet = is_refuted(texts)
    silent = others | is_shown(texts) | is_mistyped(texts) | refuted
    settings = of_settings(texts) - others
    if not is_stamped(texts):
        doubted |= is_supposed(texts) | is_reported(texts)
    doubted |= is_settled(texts)
    doubted |= open_yet | is_got_over(texts) | is_of_a_paper(texts)
    places = places_of(texts)
    for number, part in enumerate(parts):
        line = "" if number in silent else without_case(part.line)
        beside = part.line if number in settings else ""
        place = places.get(number, "")
        yield part._replace(line=line, doubted=number in doubted, beside=beside, place=place)
