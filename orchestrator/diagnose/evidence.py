"""Weighs what a log shows beside the list: programs, tracebacks, and the lines that decide.

The list says what a wording means. Whether it may be asserted depends on where it stands: in a
program in which that cause can occur, and not as the echo of another exception.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.diagnose.programs import Support, of_another, only_mentioned, shown_by, supports
from orchestrator.diagnose.progress import STEP_BEGINS, STEP_ENDS
from orchestrator.diagnose.text import REMEMBERED, fold
from orchestrator.diagnose.told import speaks
from orchestrator.diagnose.tracebacks import BEGINS, FRAME, LINKED, RAISED, Tracebacks

if TYPE_CHECKING:
    from orchestrator.diagnose.matcher import Hit

#: Lines that sound bad: the first ones and the last ones are kept.
MOST_NOTABLE = 40
#: Programs that stamp their lines themselves, or not at all.
_OF_HAILO = frozenset({"compiler", "runtime"})

_BAD = re.compile(
    r"\b(?:error|fail\w*|cannot|unable|invalid|illegal|bad|wrong|denied|refused|unsupported"
    r"|unexpected|exceed\w*|mismatch|crash\w*|abort\w*|kill\w*|lost|time ?out|timed out"
    r"|not (?:found|supported|available|installed|valid|possible|exist|open|load|enough|match)"
    r"|missing|no such|exceptions?|\w*error|\w*exception|warn\w*|insufficient|infeasible"
    r"|corrupt\w*|truncated|segmentation|undefined symbol)\b",
    re.IGNORECASE,
)
#: How a person begins a post; the words behind it are no program's.
_GREETS = re.compile(
    r"\W{0,3}(?:hello|hi|hey|dear|hallo|bonjour|hola|ol[áa]|ciao|i am|i have)\b", re.IGNORECASE
)
#: What only passes on that something failed, and not what: steps of make, pip, CMake and dpkg.
_PASSED_ON = re.compile(
    r"subprocess[- ]exited|exit(?:ed)? (?:with )?(?:non-zero )?(?:exit )?(?:status|code)"
    r"|\berror \d+\)?$|\bfailed (?:building|to build|with (?:return|exit))\b|^make\b"
    r"|\breturned (?:an error|non-zero)|metadata-generation|legacy-install"
    r"|\.{3} ?error$|:$|note: this (?:error|is)|errors? (?:occurred|were encountered)"
    r"|^dpkg: error processing|^e: sub-process|^traceback|^subprocess:",
    re.IGNORECASE,
)
#: Longest words of a line that another finding repeats.
_MOST_REPEATED = 160
#: Weight of a line that says no more than that something failed.
_PLAIN_FAILURE = 2
#: Lines before a closing line that may belong to the same step.
_FAR = 400
#: How much a line weighs: an error of a tool more than a warning, an exception most.
_WEIGHTS: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), value)
    for pattern, value in (
        (r"\[(?:critical|error|fatal)\]|^(?:error|fatal|e)\s*:|\berror\b", 3),
        (r"\bfail|cannot|unable|denied|refused|not found|no such|killed|core dumped|abort", 2),
        (r"warn|deprecat", -2),
        (r"^\s*(?:w|i)\s*:|^\[info\]", -3),
        (r"^\s*file .*, line \d|^during handling|^traceback", -4),
    )
)


@lru_cache(maxsize=REMEMBERED)
def sounds_bad(folded: str) -> bool:
    """Tell whether a line may speak of trouble; what a tool only informs of does not."""
    return _BAD.search(folded) is not None and not folded.lower().startswith("[info]")


def matters(bare: str) -> bool:
    """Tell whether a line (without prefix) shows a program, a step, or part of a traceback."""
    lower = fold(bare).lower()
    if shown_by(lower) or RAISED.match(bare) or STEP_BEGINS.match(bare) or STEP_ENDS.search(bare):
        return True
    return any(pattern.search(lower) for pattern in (BEGINS, FRAME, LINKED))


def weight(bare: str) -> int:
    """Return how likely a line is to decide; 4 for what was raised."""
    if RAISED.match(bare):
        return 4
    return sum(value for pattern, value in _WEIGHTS if pattern.search(bare))


class Evidence:
    """Takes in lines that may matter, and answers how far a hit is proven."""

    def __init__(self) -> None:
        self.tracebacks = Tracebacks()
        #: Programs that said something, and those that are only named.
        self.programs: frozenset[str] = frozenset()
        self._named: frozenset[str] = frozenset()
        self._notable: list[tuple[int, str]] = []

    def feed(self, number: int, bare: str, folded: str) -> None:
        """Take in one line (without prefix), as printed and folded."""
        self.tracebacks.feed(number, bare, folded)
        shown = shown_by(folded.lower())
        if shown and only_mentioned(folded):
            self._named |= shown
        else:
            self.programs |= shown
        if sounds_bad(folded):
            self._notable.append((number, bare.strip()))
            if len(self._notable) > MOST_NOTABLE:
                del self._notable[MOST_NOTABLE // 2]

    def proof(self, hit: Hit) -> Support:
        """Tell whether ``hit`` proves its cause, only may mean it, or cannot mean it."""
        frame = hit.entry.frame
        if frame is not None and not frame.search(self.tracebacks.inner_at(hit.line)):
            return "no"
        around = self.tracebacks.programs_at(hit.line)
        named: frozenset[str] = frozenset()
        if not around and not self.tracebacks.own_code(hit.line):
            around, named = self.programs, self._named
        fits = supports(hit.entry.where, around, named)
        where = hit.entry.where
        if where and fits == "yes" and _OF_HAILO.issuperset(where) and of_another(hit.text):
            # The program is there, and the line is another's.
            fits = "open"
        return fits if hit.certain or fits == "no" else "open"

    @property
    def waits(self) -> bool:
        """Whether the next line belongs to what the last one said, whatever it holds."""
        return self.tracebacks.waits

    @property
    def decisive(self) -> tuple[int, str] | None:
        """Line and words that say most about a failure: what was raised first."""
        return self.tracebacks.decisive

    def before(self, number: int, known: frozenset[int]) -> str | None:
        """Return the words of the line before ``number`` that most likely says why it came.

        Lines in ``known`` are explained otherwise; what only passes a failure on says nothing.
        """
        lines = [
            (line, text)
            for line, text in self._notable
            if number - _FAR < line < number
            and line not in known
            and weight(text) > _PLAIN_FAILURE
            and not _PASSED_ON.search(text)
            and not (_GREETS.match(text) or speaks(text))
        ]
        if not lines:
            return None
        return max(lines, key=lambda one: (weight(one[1]), -one[0]))[1][:_MOST_REPEATED]

    def notable(self, most: int) -> list[tuple[int, str]]:
        """Return the lines most likely to matter, the weightiest first, each wording once."""
        seen: dict[str, tuple[int, str]] = {}
        for number, text in self._notable:
            seen.setdefault(re.sub(r"\d+", "0", text), (number, text))
        ranked = sorted(seen.values(), key=lambda one: (-weight(one[1]), one[0]))
        return [one for one in ranked if weight(one[1]) > 0][:most]
