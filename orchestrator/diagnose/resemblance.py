"""Recognises a failure in words that no pattern foresaw, by its likeness to known messages.

Patterns are exact and come first. What they leave and what sounds like trouble is compared with
the messages of ``examples.json``: rare words that both have count for much, words that are in
every message for nothing. The answer is taken only when it is near, and clearly nearer than the
next one; a finding that was made this way says so (``resembles``).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from orchestrator.diagnose.text import REMEMBERED, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXAMPLES = "examples.json"

#: Words that mean the same in a message; the first stands for all.
_SAME = (
    "not no never without missing cannot unable absent lack lacks none impossible invalid",
    "not fail failed fails failure failing unsupported",
    "exist exists found detected available present find detect locate visible",
    "differ different differs mismatch match matches matching equal identical agree same",
    "expects expected expect wants requires required needs need must should mandatory",
    "image images sample samples picture pictures frame frames entries",
    "crash crashed crashes crashing abort aborted",
    "small few fewer less insufficient enough too",
    "reduce reduced reducing lower lowered lowering drop dropped decreased",
    "use used uses using held taken busy",
    "board device chip module hat",
    "compile compiled compilation built build compiler",
    "timeout timed",
)
_SYNONYMS = {word: words.split()[0] for words in _SAME for word in words.split()}
_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "the a an of to in on is are was were be been for with and or by it its this that as at "
        "from has have had will which you your please if may can does do did",
    )
)
_WORD = re.compile(r"[a-z][a-z_]+\d?[a-z]?")
_ENDINGS = re.compile(r"(?:ing|ed|es|s)$")
_STEM = 5

_BAD = re.compile(
    r"\b(?:error|fail\w*|cannot|unable|not?|none|without|missing|invalid|illegal|bad|wrong|denied"
    r"|refused|unsupported|unknown|unexpected|exceed\w*|mismatch|different|differ|already|crash\w*"
    r"|abort\w*|kill\w*|lost|lack\w*|time ?out|timed out|too (?:many|much|few|large|big|small|old)"
    r"|exceptions?|\w*error|\w*exception|warn\w*|insufficient|infeasible|corrupt\w*|truncated"
    r"|reduc\w*|lower\w*|ignor\w*|fall\w* back|skipp\w*|instead)\b",
    re.IGNORECASE,
)


#: What the vendor's tools and those around them speak of. Other programs warn of much, too.
_OURS = re.compile(
    r"hailo|\bhefs?\b|\bhar\b|docker|container|calib|\blayers?\b|optimi[sz]|quanti[sz]|\bcontexts?\b"
    r"|\bdfc\b|\bnms\b|vdevice|network group|allocat|\bpars|end node|\bgpu",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Likeness:
    """The known failure that a message is most like: 0..1, and how far ahead of the next one."""

    id: str
    near: float
    lead: float


@lru_cache(maxsize=REMEMBERED)
def sounds_bad(folded: str) -> bool:
    """Tell whether a line may speak of trouble at all; what a tool only informs of does not."""
    return _BAD.search(folded) is not None and not folded.lower().startswith("[info]")


def is_ours(folded: str) -> bool:
    """Tell whether a line speaks of what this program has to do with."""
    return _OURS.search(folded) is not None


def words_of(message: str) -> frozenset[str]:
    """Return the words that carry a message's meaning, alike for alike ones."""
    found = set()
    for word in _WORD.findall(fold(message).lower()):
        for part in word.split("_"):
            if len(part) < 2 or part in _FILLERS:
                continue
            known = _SYNONYMS.get(part, part)
            if len(known) > _STEM:
                known = _ENDINGS.sub("", known)
            found.add(_SYNONYMS.get(known, known))
    return frozenset(found)


class Examples:
    """The known messages as sets of words, with the weight of each word."""

    def __init__(self, messages: Mapping[str, Iterable[str]]) -> None:
        self._sets = {
            name: [words for text in texts if (words := words_of(text))]
            for name, texts in messages.items()
        }
        seen: Counter[str] = Counter()
        for sets in self._sets.values():
            seen.update(frozenset().union(*sets))
        self._rarest = math.log((len(self._sets) + 1) / 0.5)
        self._weight = {
            word: math.log((len(self._sets) + 1) / (count + 0.5)) ** 2
            for word, count in seen.items()
        }

    def _total(self, words: Iterable[str]) -> float:
        return sum(self._weight.get(word, self._rarest**2) for word in words)

    def nearest(self, message: str) -> Likeness | None:
        """Return the failure whose examples are most like ``message``."""
        asked = words_of(message)
        whole = math.sqrt(self._total(asked))
        if not whole:
            return None
        ranked = sorted(
            (
                max(
                    (
                        self._total(asked & words) / (whole * math.sqrt(self._total(words)))
                        for words in sets
                        if not asked.isdisjoint(words)
                    ),
                    default=0.0,
                ),
                name,
            )
            for name, sets in self._sets.items()
        )
        (second, _), (best, name) = ranked[-2:]
        return Likeness(name, best, best - second)


@cache
def load_examples() -> Examples:
    """Return the examples of the package, read once."""
    text = resources.files("orchestrator.diagnose").joinpath(EXAMPLES).read_text("utf-8")
    document = json.loads(text)
    joined: dict[str, list[str]] = {}
    for known in document.values():
        for name, texts in known.items():
            joined.setdefault(name, []).extend(texts)
    return Examples(joined)
