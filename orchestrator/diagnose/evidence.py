"""Weighs what a log shows beside the list: programs, tracebacks, and the lines that decide.

The list says what a wording means. Whether it may be asserted depends on where it stands: in a
program in which that cause can occur, and not as the echo of another exception.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.notable import Notable, announces, weight
from orchestrator.diagnose.post.told import speaks
from orchestrator.diagnose.programs import Support, of_another, only_mentioned, shown_by, supports
from orchestrator.diagnose.progress import STEP_BEGINS, STEP_ENDS
from orchestrator.diagnose.tracebacks import BEGINS, FRAME, LINKED, RAISED, Tracebacks
from orchestrator.diagnose.words.text import fold

if TYPE_CHECKING:
    from orchestrator.diagnose.matcher import Hit

#: Programs that stamp their lines themselves, or not at all.
_OF_HAILO = frozenset({"compiler", "runtime"})

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


def matters(bare: str) -> bool:
    """Tell whether a line (without prefix) shows a program, a step, or part of a traceback."""
    lower = fold(bare).lower()
    if shown_by(lower) or RAISED.match(bare) or STEP_BEGINS.match(bare) or STEP_ENDS.search(bare):
        return True
    if announces(bare):
        return True
    return any(pattern.search(lower) for pattern in (BEGINS, FRAME, LINKED))


class Evidence:
    """Takes in lines that may matter, and answers how far a hit is proven."""

    def __init__(self) -> None:
        self.tracebacks = Tracebacks()
        #: Programs that said something, and those that are only named.
        self.programs: frozenset[str] = frozenset()
        self._named: frozenset[str] = frozenset()
        self.notable = Notable()

    def feed(self, number: int, bare: str, folded: str) -> None:
        """Take in one line (without prefix), as printed and folded."""
        self.tracebacks.feed(number, bare, folded)
        shown = shown_by(folded.lower())
        if shown and only_mentioned(folded):
            self._named |= shown
        else:
            self.programs |= shown
        self.notable.feed(number, bare, folded)

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
        return self.tracebacks.waits or self.notable.waits

    @property
    def decisive(self) -> tuple[int, str] | None:
        """Line and words that say most about a failure: what was raised first."""
        return self.tracebacks.decisive

    def before(self, number: int, known: frozenset[int]) -> str | None:
        """Return the words of the line before ``number`` that most likely says why it came.

        Lines in ``known`` are explained otherwise; what only passes a failure on says nothing.
        """
        found = self._reason(number, known)
        return found and found[1][:_MOST_REPEATED]

    def behind(self, number: int, text: str) -> tuple[int, str]:
        """Return line and words of what a line passes on (an exit status), else that line."""
        if not _PASSED_ON.search(text):
            return number, text
        return self._reason(number, frozenset()) or (number, text)

    def _reason(self, number: int, known: frozenset[int]) -> tuple[int, str] | None:
        lines = [
            (line, text)
            for line, text in self.notable.lines()
            if number - _FAR < line < number
            and line not in known
            and weight(text) > _PLAIN_FAILURE
            and not _PASSED_ON.search(text)
            and not (_GREETS.match(text) or speaks(text))
        ]
        return max(lines, key=lambda one: (weight(one[1]), -one[0]), default=None)
