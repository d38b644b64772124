"""Finds the entries of the list that a message may show, by the words that it holds.

A message has few of the words that the list looks for. Each alternative is kept under the words of
its rarest part, and only what has a word of each of its parts in the message is tried.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.required import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.diagnose.catalogue import Alternative, Entry
    from orchestrator.diagnose.required import Words

T = TypeVar("T")

#: Answers that are kept for messages that come again.
REMEMBERED = 8192
_DIGIT = re.compile(r"\d")
_DIGITS = {ord(digit): "0" for digit in "123456789"}


class Candidates(Generic[T]):
    """Alternatives, each with what it stands for, found by the words that a line holds."""

    def __init__(self, known: Iterable[tuple[T, Alternative]]) -> None:
        # Each alternative with its place, which decides between two that match.
        self._always: list[tuple[int, T, Alternative]] = []
        self._by_word: dict[str, list[tuple[int, T, Alternative, tuple[Words, ...]]]] = {}
        words: set[str] = set()
        for number, (what, alternative) in enumerate(known):
            required = alternative.required
            words.update(*required)
            if not required:
                self._always.append((number, what, alternative))
                continue
            # The rarest part decides where to look: few words, and long ones.
            ranked = sorted(required, key=lambda some: (len(some), -min(map(len, some))))
            # Where that part is, the next rarest one says most.
            rest = tuple(ranked[1:])
            for word in ranked[0]:
                self._by_word.setdefault(word, []).append((number, what, alternative, rest))
        # Words by their beginning: a line has fewer beginnings than the list has words.
        self._beginnings: dict[str, list[str]] = {}
        self._numbered = [word for word in words if _DIGIT.search(word)]
        self._known: dict[str, frozenset[str]] = {}
        self._tried: dict[frozenset[str], tuple[tuple[T, Alternative], ...]] = {}
        for word in words.difference(self._numbered):
            self._beginnings.setdefault(word[:SHORTEST], []).append(word)

    def wanted(self) -> Iterator[tuple[Words, ...]]:
        """Yield the sets of words that each alternative needs; none for what is always tried."""
        for _, _, alternative in self._always:
            yield alternative.required
        for entries in self._by_word.values():
            for _, _, alternative, _ in entries:
                yield alternative.required

    def of(self, lower: str) -> tuple[tuple[T, Alternative], ...]:
        """Return what has all its words in a line of small letters, in the order it was given."""
        present = self._present(lower)
        if present not in self._tried:
            if len(self._tried) >= REMEMBERED:
                self._tried.clear()
            found = {number: (what, one) for number, what, one in self._always}
            for word in present & self._by_word.keys():
                for number, what, one, rest in self._by_word[word]:
                    if not any(map(present.isdisjoint, rest)):
                        found[number] = (what, one)
            self._tried[present] = tuple(found[number] for number in sorted(found))
        return self._tried[present]

    def _present(self, lower: str) -> frozenset[str]:
        """Return the words that are looked for and stand in a line."""
        numbered = frozenset(word for word in self._numbered if word in lower)
        # Lines differ in their numbers; what other words they have is found once for all of them.
        shape = lower.translate(_DIGITS)
        if shape not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            beginnings = {shape[at : at + SHORTEST] for at in range(len(shape) - SHORTEST + 1)}
            self._known[shape] = frozenset(
                word
                for beginning in beginnings & self._beginnings.keys()
                for word in self._beginnings[beginning]
                if word in shape
            )
        return self._known[shape] | numbered


class Found(NamedTuple):
    """An entry that explains a message, what was captured, and whether its wording is proof."""

    entry: Entry
    captured: Mapping[str, str]
    certain: bool
    #: In how many parts its wording stands.
    parts: int = 1


class Index:
    """All alternatives of the list, found by the words of a message."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        known = ((entry, one) for entry in entries.values() for one in (*entry.match, *entry.hint))
        self._candidates = Candidates(known)
        self._answers: dict[str, tuple[Found, ...]] = {}

    def wanted(self) -> Iterator[tuple[Words, ...]]:
        """Yield the sets of words that each alternative needs; none for what is always tried."""
        return self._candidates.wanted()

    def search(self, text: str) -> tuple[Found, ...]:
        """Return every entry that explains ``text`` (folded), with what was captured."""
        # Long logs say the same again and again.
        if text not in self._answers:
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            self._answers[text] = tuple(self._search(text))
        return self._answers[text]

    def _search(self, text: str) -> Iterator[Found]:
        done: set[str] = set()
        lower = text.lower()
        plain = lower if text.isascii() else None
        for entry, alternative in self._candidates.of(lower):
            if entry.id in done:
                continue
            captured = alternative.search(text, plain)
            if captured is not None:
                done.add(entry.id)
                if not entry.vetoed(text):
                    yield Found(entry, captured, alternative.certain, len(alternative.parts))


@cache
def load_index() -> Index:
    """Return the index over the list, made once."""
    return Index(load_catalogue())
