"""What a build tells while it runs; the command line shows it, tests listen to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Finding:
    """Something that the user should know; ``severity`` is error, warning or info."""

    code: str
    severity: str
    message: str
    stage: str | None = None
    asked: Any = None
    got: Any = None
    fix: str | None = None

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Finding:
        """Read a worker's ``finding`` event, or a finding out of the cache."""
        return cls(
            code=str(event.get("code", "unknown")),
            severity=str(event.get("severity", "info")),
            message=str(event.get("message", "")),
            stage=event.get("stage"),
            asked=event.get("asked"),
            got=event.get("got"),
            fix=event.get("fix"),
        )


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
