"""What a build tells while it runs; the command line shows it, tests listen to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hefsmith_worker.contract.findings import Finding


class Observer(Protocol):
    """Takes news of a build. Every method returns at once and never raises."""

    def note(self, text: str) -> None:
        """Take one sentence, such as which engine was chosen."""

    def stage_cached(self, stage: str) -> None:
        """A stage came from the cache."""

    def stage_started(self, stage: str) -> None:
        """A stage begins (also ``image``, ``ship``, ``validate``, which are no worker stages)."""

    def progress(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """A stage has done so much of so much."""

    def finding(self, finding: Finding) -> None:
        """Something to know turned up."""

    def stage_finished(self, stage: str, seconds: float) -> None:
        """A stage is done."""

    def log(self, line: str) -> None:
        """A line that the SDK printed."""


class Silent:
    """An observer that listens to nothing."""

    def note(self, text: str) -> None:
        """Drop it."""

    def stage_cached(self, stage: str) -> None:
        """Drop it."""

    def stage_started(self, stage: str) -> None:
        """Drop it."""

    def progress(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Drop it."""

    def finding(self, finding: Finding) -> None:
        """Drop it."""

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Drop it."""

    def log(self, line: str) -> None:
        """Drop it."""
