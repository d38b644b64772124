"""Keeps the lines of a log that most likely matter, for a failure that nothing in the list knows.

An error of a tool weighs more than a warning, an exception most. Who posts a log announces what
they got ("it fails with this message:"): what stands below it weighs more than their own words.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from orchestrator.diagnose.tracebacks import RAISED
from orchestrator.diagnose.words.text import REMEMBERED

#: The first ones and the last ones are kept.
MOST_KEPT = 40
#: Lines below an announcement in which what was announced is looked for.
_REACH = 6
#: More weight for a line that was announced: where it sounds bad, and where it does not.
_ANNOUNCED, _FOLLOWS = 3, 1
#: How much less one weighs in which a person speaks.
_TOLD = 2
_PERSON = re.compile(
    r"\bI(?!/)(?:['\u2019](?:m|ve|d|ll))?\b|\b[Mm]y\b|\b[Ww]e\b|[Tt]hank|[Pp]lease\b"
)

_BAD = re.compile(
    r"\b(?:error|fail\w*|cannot|unable|invalid|illegal|bad|wrong|denied|refused|unsupported"
    r"|unexpected|exceed\w*|mismatch|crash\w*|abort\w*|kill\w*|lost|time ?out|timed out"
    r"|not (?:found|supported|available|installed|valid|possible|exist|open|load|enough|match"
    r"|(?:even )?(?:detected|recogni[sz]ed|working|visible))"
    r"|(?:does|do|did|will) not (?:work|start|show|appear|see|find|respond|detect)|no effect"
    r"|stuck|hangs?|hung|freezes?|frozen|black screen|prohibited"
    r"|missing|no such|exceptions?|\w*error|\w*exception|warn\w*|insufficient|infeasible"
    r"|corrupt\w*|truncated|segmentation|undefined symbol)\b",
    re.IGNORECASE,
)
#: In HailoRT's own log a queue that is "aborted" is the usual end of a program.
_INFORMS = re.compile(r"(?:\[hailort\] ?)?\[info\]", re.IGNORECASE)
_WEIGHTS: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), value)
    for pattern, value in (
        (r"\[(?:critical|error|fatal)\]|^(?:error|fatal|e)\s*:|\berror\b", 3),
        (r"\bfail|cannot|unable|denied|refused|not found|no such|killed|core dumped|abort", 2),
        (r"\b\w{2,}(?:error|exception)\b", 2),
        (r"warn|deprecat", -2),
        (r"^\s*(?:w|i)\s*:|^\[info\]", -3),
        (r"^\s*file .*, line \d|^during handling|^traceback", -4),
    )
)
#: What a person writes above what a program printed. A key of a file has one word or two.
_ANNOUNCES = re.compile(
    r"^(?!traceback)(?=(?:[^\w:]*[a-z'\u2019]+){3})[^{}=<>]*"
    r"\b(?:errors?|messages?|following|output|says?|prints?|shows?|fail(?:s|ed|ing)?|get(?:s|ting)?"
    r"|got|gives?|returns?|returned|results?|this|below|logs?|see|saw)\b[^{}=<>]*:[\s*_`]*$",
    re.IGNORECASE,
)
_TYPED = re.compile(r"^\s*(?:[$>#%]|>>>|\S+@\S+[:~].*?[$#]|ps [a-z]:\\)\s|^\W*$", re.IGNORECASE)


@lru_cache(maxsize=REMEMBERED)
def sounds_bad(folded: str) -> bool:
    """Tell whether a line may speak of trouble; what a tool only informs of does not."""
    return _BAD.search(folded) is not None and _INFORMS.match(folded) is None


def announces(bare: str) -> bool:
    """Tell whether somebody says in a line that what they got stands below it."""
    return bare.rstrip("*_` \t")[-1:] == ":" and _ANNOUNCES.match(bare) is not None


def weight(bare: str) -> int:
    """Return how likely a line is to decide; 4 for what was raised."""
    if RAISED.match(bare):
        return 4
    return sum(value for pattern, value in _WEIGHTS if pattern.search(bare))


def weight_as_told(bare: str) -> int:
    """Return the weight of a line, less where a person speaks: "I get this error" names none."""
    return weight(bare) - _TOLD * (_PERSON.search(bare) is not None)


class _Kept(NamedTuple):
    number: int
    text: str
    more: int


class Notable:
    """Takes in lines that may matter, and ranks them."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        #: How many lines what was announced may still come in.
        self._awaited = 0
        self._followed = False

    @property
    def waits(self) -> bool:
        """Whether the next line may be what was announced, whatever it holds."""
        return self._awaited > 0

    def feed(self, number: int, bare: str, folded: str) -> None:
        """Take in one line (without prefix), as printed and folded."""
        bad = sounds_bad(folded)
        if announces(bare):
            self._awaited, self._followed = _REACH, False
            return
        more = self._more(bare, bad=bad)
        if bad or more:
            self._kept.append(_Kept(number, bare.strip(), more))
            if len(self._kept) > MOST_KEPT:
                del self._kept[MOST_KEPT // 2]

    def _more(self, bare: str, *, bad: bool) -> int:
        """Return how much more a line weighs since it was announced."""
        if not self._awaited or _TYPED.match(bare) is not None:
            return 0
        if _PERSON.search(bare) is not None:
            # The writer goes on.
            self._awaited = 0
            return 0
        self._awaited -= 1
        if bad:
            self._awaited = 0
            return _ANNOUNCED
        if self._followed or bare.rstrip()[-1:] == ":":
            return 0
        self._followed = True
        return _FOLLOWS

    def lines(self) -> list[tuple[int, str]]:
        """Return the lines that sound bad or were announced, in the order of the log."""
        return [(number, text) for number, text, _ in self._kept]

    def ranked(self, most: int) -> list[tuple[int, str]]:
        """Return the lines most likely to matter, the weightiest first, each wording once."""
        seen: dict[str, _Kept] = {}
        for one in self._kept:
            wording = re.sub(r"\d+", "0", one.text)
            if wording not in seen or one.more > seen[wording].more:
                seen[wording] = one
        weighed = [(weight(one.text) + one.more, one) for one in seen.values()]
        # What a person tells says less than what a program printed.
        ranked = sorted(
            (_TOLD * (_PERSON.search(one.text) is not None) - weighs, one.number, one.text)
            for weighs, one in weighed
            if weighs >= 0
        )
        return [(number, text) for _, number, text in ranked[:most]]
