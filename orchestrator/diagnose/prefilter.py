"""Lets the lines of a long log pass that can tell nothing, before anything is asked of them.

Most of a log says the same with other numbers. A line's *shape* is the line with its numbers
left out; what words a shape has is found once. A line may pass when none of the readers has a
word of its own in it, and when these words and those of the three lines before it, with what the
breaks between them may have cut apart, satisfy no entry of the list. That is never a guess: a
line that passes could not have changed anything but the message that later lines may continue.
"""

from __future__ import annotations

import re
from collections import deque
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from orchestrator.diagnose import outcome, progress, scene, surroundings
from orchestrator.diagnose.evidence import matters
from orchestrator.diagnose.index import load_index
from orchestrator.diagnose.notable import sounds_bad
from orchestrator.diagnose.required import SHORTEST, Wanted, wanted
from orchestrator.diagnose.words import text as texts
from orchestrator.diagnose.words import wordings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.diagnose.required import Words

#: Shapes and combinations that are remembered; then all are forgotten at once.
REMEMBERED = 50_000
#: Lines before a line that may belong to the same message.
LINES = 3
#: All bits: a line of which nothing is known.
_ANYTHING = -1
#: Up to here a shape keeps the length of each number: time stamps are told by it.
_PREFIX = 40

_NUMBER = re.compile(r"\d+")
_HEXADECIMAL = re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{6,}\b")
_HEXADECIMAL_WORD = re.compile(r"[0-9a-f]+\Z")
_TAIL = re.compile(r"[a-z0-9_]*\Z")
_HEAD = re.compile(r"[a-z0-9_]*")
_MAYBE_BULK = re.compile(
    r"pass|iterations|cluster_|total|reverts on|activation fit|worker|^[^a-z]*$"
)

#: Who reads a log beside the list of failures.
PROGRESS, OBSERVED, SCENE, OUTCOME, EVIDENCE, SURROUNDINGS = 1, 2, 4, 8, 16, 32
EVERYONE = PROGRESS | OBSERVED | SCENE | OUTCOME | EVIDENCE
#: What each of them looks for, from its own patterns: a line without that tells it nothing.
READERS: dict[int, Wanted] = {
    PROGRESS: wanted(progress.PATTERNS),
    OBSERVED: wanted(wordings.PATTERNS),
    SCENE: wanted(scene.PATTERNS),
    OUTCOME: wanted(outcome.PATTERNS),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who must see a line: the readers (bits), whether the list of failures must be tried, and
    whether it may decide what a failure elsewhere means (``around``)."""

    readers: int
    search: bool
    sounds_bad: bool
    bulk: bool
    around: bool = True


#: For lines that nothing is known of.
OPEN = Verdict(EVERYONE, True, False, True)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What all lines of one shape have in common."""

    readers: int
    #: Words that a shape cannot tell, each with the reader that looks for it.
    exact: tuple[tuple[str, int], ...]
    words: int  # of the list, as bits
    heads: tuple[str, ...]
    tail: str
    whole: bool  # one word, which may be in the middle of one
    bulk: bool
    informs: bool
    starts: bool
    bad: bool
    numbers: bool
    hashes: bool


class Prefilter:
    """Knows the words of the list; :meth:`judge` is asked for each line, in order."""

    def __init__(self, alternatives: Iterable[Sequence[Words]]) -> None:
        self._bits: dict[str, int] = {}
        self._numbers: list[tuple[str, int]] = []
        # By each bit of the first set, which has the fewest words; always wanted is what has none.
        self._wanted: dict[int, set[tuple[int, ...]]] = {}
        self._always = False
        for sets in alternatives:
            parts = [self._union(words) for words in sorted(sets, key=len)]
            self._always |= not parts
            for bit in _bits(parts[0]) if parts else ():
                self._wanted.setdefault(bit, set()).add(tuple(parts[1:]))
        self._hashes = [
            (word, bit) for word, bit in self._bits.items() if _HEXADECIMAL_WORD.match(word)
        ]
        self._beginnings: dict[str, list[str]] = {}
        for word in self._bits:
            self._beginnings.setdefault(word[:SHORTEST], []).append(word)
        self._longest = max(map(len, self._bits), default=1)
        self._short = [word for word in self._bits if len(word) < SHORTEST]
        self._shapes: dict[str, _Shape] = {}
        self._lines: dict[str, _Shape] = {}
        self._verdicts: dict[int, bool] = {}
        self._breaks: dict[tuple[str, str], int] = {}
        self._before: deque[int] = deque(maxlen=LINES)
        self._tail = ""
        self._shown: _Shape | None = None
        self._words = 0

    def _union(self, words: Iterable[str]) -> int:
        union = 0
        for word in words:
            if word.isdigit():
                # A number alone is looked for in the line itself.
                known = dict(self._numbers)
                bit = known.get(word) or self._bits.setdefault(f"\0{word}", 1 << len(self._bits))
                if word not in known:
                    self._numbers.append((word, bit))
            else:
                bit = self._bits.setdefault(_NUMBER.sub("0", word), 1 << len(self._bits))
            union |= bit
        return union

    def anew(self) -> Prefilter:
        """Return a prefilter for another log; what is known of words and shapes is shared."""
        other = copy(self)
        other.begin()
        return other

    def begin(self) -> None:
        """Forget the lines so far: another log begins."""
        self._before = deque(maxlen=LINES)
        self._tail, self._shown, self._words = "", None, 0

    def judge(self, line: str, *, told: bool) -> Verdict:
        """Tell who must see ``line``; ``told`` when a tool's error waits to be taken back.

        After it, :meth:`keep` says that the line belongs to a message.
        """
        self._shown = None
        if len(line) > texts.LONGEST or "\r" in line or "\n" in line:
            return OPEN
        shape = self._shown = self._shape(line)
        self._words = words = shape.words | self._broken(shape) | self._exactly(line, shape)
        if not shape.starts:
            for earlier in self._before:
                words |= earlier
        readers = shape.readers | (OUTCOME if told and shape.informs else 0)
        if shape.exact:
            lower = line.lower()
            for word, reader in shape.exact:
                if word in lower:
                    readers |= reader
        search = words < 0 or self._satisfied(words)
        around = bool(readers & SURROUNDINGS)
        return Verdict(readers & ~SURROUNDINGS, search, shape.bad, shape.bulk, around)

    def keep(self) -> None:
        """Take the last line into the message that the next ones may continue."""
        shape = self._shown
        if shape is None:
            self._before.extend([_ANYTHING] * LINES)
            self._tail = ""
            return
        if shape.starts:
            self._before.clear()
        self._before.append(self._words)
        tail = self._tail + shape.tail if shape.whole else shape.tail
        # A word of the list that a break cuts in two lies in so much of what was before it.
        self._tail = tail[-self._longest :]

    @property
    def steady(self) -> bool:
        """Whether the same line again would be judged the same, and change nothing."""
        shape = self._shown
        return shape is not None and not shape.whole and len(self._before) == LINES

    def _shape(self, line: str) -> _Shape:
        known = self._lines.get(line)
        if known is not None:
            return known
        key = line[:_PREFIX].translate(_DIGITS) + _NUMBER.sub("0", line[_PREFIX:])
        key = _HEXADECIMAL.sub(_HASH, key)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= REMEMBERED:
                self._shapes.clear()
            shape = self._shapes[key] = self._describe(line, _HASH in key)
        if len(self._lines) >= texts.REMEMBERED:
            self._lines.clear()
        self._lines[line] = shape
        return shape

    def _exactly(self, line: str, shape: _Shape) -> int:
        """Return the words that a shape cannot tell: numbers, and words like hashes."""
        found = 0
        if shape.numbers:
            for number, bit in self._numbers:
                if number in line:
                    found |= bit
        if shape.hashes:
            lower = line.lower()
            for word, bit in self._hashes:
                if word in lower:
                    found |= bit
        return found

    def _describe(self, line: str, hashes: bool) -> _Shape:
        cleaned = texts.clean(line)
        whole = _plain(texts.fold(cleaned))
        bare = texts.strip_prefix(cleaned)
        folded = _plain(texts.fold(bare))
        lower = _plain(cleaned)
        seen = "\n".join(dict.fromkeys((whole, lower, folded)))
        found = 0
        for text in {whole, folded}:
            found |= self._present(text)
        tail = _TAIL.search(whole)
        heads = {head[0] for text in (whole, folded) if (head := _HEAD.match(text))}
        readers, exact = self._readers_of(seen, bare)
        return _Shape(
            readers,
            exact,
            found,
            tuple(sorted(heads)),
            tail[0] if tail else "",
            tail is not None and tail[0] in (whole, folded),
            _MAYBE_BULK.search(seen) is not None,
            "[info]" in lower or "<hailo" in lower,
            texts.starts_message(bare),
            sounds_bad(texts.fold(bare)),
            "0" in seen,
            hashes,
        )

    @staticmethod
    def _readers_of(seen: str, bare: str) -> tuple[int, tuple[tuple[str, int], ...]]:
        """Return who must see all lines of a shape, and who must where a certain word is in it."""
        found = EVIDENCE if matters(bare) else 0
        exact: set[tuple[str, int]] = set()
        texts_of = dict.fromkeys((bare, bare.lower(), texts.fold(bare).lower(), bare.strip()))
        words, wanting, blind = _looked_for()
        beginnings = {seen[at : at + SHORTEST] for at in range(len(seen) - SHORTEST + 1)}
        # A number is one sign in a shape, and is looked for in each line.
        beginnings.update("0")
        present = frozenset(
            word
            for beginning in beginnings & words.keys()
            for word in words[beginning]
            if word in seen
        )
        for word in present:
            for reader, sets, words_exactly in wanting.get(word, ()):
                if found & reader or any(map(present.isdisjoint, sets)):
                    continue
                if words_exactly:
                    exact.update((one, reader) for one in words_exactly)
                else:
                    found |= reader
        for reader, pattern in blind:
            if not found & reader and any(pattern.search(text) for text in texts_of):
                found |= reader
        return found, tuple(sorted(one for one in exact if not found & one[1]))

    def _present(self, text: str) -> int:
        beginnings = {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
        found = 0
        for beginning in beginnings & self._beginnings.keys():
            for word in self._beginnings[beginning]:
                if word in text:
                    found |= self._bits[word]
        for word in self._short:
            if word in text:
                found |= self._bits[word]
        return found

    def _broken(self, shape: _Shape) -> int:
        """Return the words that the break before a line may have cut in two."""
        if not self._tail:
            return 0
        found = 0
        for head in shape.heads:
            if not head:
                continue
            key = (self._tail, head)
            known = self._breaks.get(key)
            if self._tail[-1] == "0" and head[0] == "0":
                # A number may be cut in two.
                found |= sum(bit for _, bit in self._numbers)
            if known is None:
                if len(self._breaks) >= REMEMBERED:
                    self._breaks.clear()
                known = self._breaks[key] = self._present(_NUMBER.sub("0", self._tail + head))
            found |= known
        return found

    def _satisfied(self, words: int) -> bool:
        verdict = self._verdicts.get(words)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[words] = self._always or any(
                all(words & part for part in parts)
                for bit in _bits(words)
                for parts in self._wanted.get(bit, ())
            )
        return verdict


def _bits(words: int) -> Iterator[int]:
    """Yield each bit of ``words`` alone."""
    while words:
        lowest = words & -words
        words ^= lowest
        yield lowest


#: By a word of one set of an alternative: the reader that it is of, the other sets, and what the
#: word is in full where too little of it is left in a shape.
_Wants = dict[str, list[tuple[int, tuple[frozenset[str], ...], tuple[str, ...]]]]


@cache
def _looked_for() -> tuple[dict[str, list[str]], _Wants, list[tuple[int, re.Pattern[str]]]]:
    """Return the words that readers look for, by their beginnings, as shapes are; who wants them;
    and the patterns that have no word."""
    wanting: _Wants = {}
    words: set[str] = set()
    around = surroundings.wanted()
    readers = READERS | {
        SURROUNDINGS: Wanted(
            tuple(one.required for one in around if one.required),
            tuple(pattern for one in around if not one.required for pattern, _ in one.patterns),
        )
    }
    for reader, want in readers.items():
        for sets in want.sets:
            first, *rest = sorted(sets, key=len)
            others = tuple(frozenset(map(_plain, some)) for some in rest)
            words.update(map(_plain, first), *others)
            for word in sorted({_plain(word) for word in first}):
                full = tuple(sorted(one for one in first if _plain(one) == word))
                tells = len(word) >= SHORTEST or word in full
                wanting.setdefault(word, []).append((reader, others, () if tells else full))
    blind = [(reader, pattern) for reader, want in readers.items() for pattern in want.blind]
    beginnings: dict[str, list[str]] = {}
    for word in words:
        beginnings.setdefault(word[:SHORTEST], []).append(word)
    return beginnings, wanting, blind


@cache
def load_prefilter() -> Prefilter:
    """Return the prefilter for the lists, made once; a log takes it with :meth:`Prefilter.anew`."""
    return Prefilter(load_index().wanted())


#: What a hash becomes in a shape; no text has it.
_HASH = "\0"
_DIGITS = {ord(digit): "0" for digit in "123456789"}


def _plain(text: str) -> str:
    """Return a text as shapes are compared: small letters, numbers and hashes as ``0``."""
    return _NUMBER.sub("0", text.lower())
