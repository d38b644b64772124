"""Doubts what may only be a symptom: of the first exception of a chain, of an exception that the
list does not know, of an installation that stopped before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.diagnose.ranking import possible
from orchestrator.diagnose.tracebacks import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.diagnose.finding import Diagnosis
    from orchestrator.diagnose.installs import Installs
    from orchestrator.diagnose.matcher import Hit
    from orchestrator.diagnose.post.session import Session
    from orchestrator.diagnose.tracebacks import Tracebacks


@dataclass(frozen=True)
class Symptoms:
    """What a log of one file shows that a finding may follow from."""

    tracebacks: Tracebacks
    session: Session
    installs: Installs

    def doubt(
        self, found: Sequence[Diagnosis], hits: Sequence[Hit], last: dict[str, int]
    ) -> list[Diagnosis]:
        """Return ``found`` with each symptom as possible; ``hits`` are all that tell of a failure,
        and ``last`` the last line of each entry."""
        found = [self._doubt_missing(self._of_chain(one, found)) for one in found]
        for first, line, said in self.tracebacks.ends():
            words = words_of(said)
            if not any(
                first <= hit.line <= line
                or first <= last[hit.entry.id] <= line
                or words & words_of(hit.text)
                for hit in hits
            ):
                found = [self._doubt_beside(one, first, line) for one in found]
        return found

    def _of_chain(self, finding: Diagnosis, found: Sequence[Diagnosis]) -> Diagnosis:
        """Return a finding from a later exception of a chain as possible, unless the first
        exception is explained, too."""
        if finding.severity != "fatal" or finding.line is None:
            return finding
        cause = self.tracebacks.cause_of(finding.line)
        if cause is None or any(one.line == cause for one in found):
            return finding
        return possible(finding, "the first exception of the chain means the same")

    def _doubt_missing(self, one: Diagnosis) -> Diagnosis:
        """Return as possible what misses something, where its installation stopped before."""
        stopped = self.installs.before(one.id, one.line or 0)
        if one.severity != "fatal" or stopped is None:
            return one
        return possible(one, f"line {stopped} is not what stopped its installation")

    def _doubt_beside(self, one: Diagnosis, first: int, line: int) -> Diagnosis:
        """Return a finding as possible that an exception unknown to the list stands beside."""
        if one.severity != "fatal" or one.line is None:
            return one
        if not self.session.same_run(one.line, line):
            return one
        # What was raised is no consequence of what ended the program before.
        if one.line > first and self.tracebacks.inner_at(one.line):
            return one
        return possible(one, f"line {line}, which ended the program, comes of the same")
