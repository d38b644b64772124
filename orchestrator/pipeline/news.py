"""News of builds as values, for programs that would rather get a call than be an observer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hefsmith_worker.contract.findings import Finding

EventKind = Literal["note", "cached", "started", "progress", "finding", "finished", "log"]


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news. What does not belong to its ``kind`` is ``None``.

    ``note`` and ``log`` have ``text``; ``cached``, ``started``, ``progress`` and ``finished``
    name the ``stage``; ``progress`` has ``done`` of ``total`` (``None`` when that is not known)
    in ``unit``; ``finished`` has ``seconds``; ``finding`` has the ``finding``. ``model``, ``arch``
    and ``set`` tell which build it is about, where that is known.
    """

    kind: EventKind
    model: str | None = None
    arch: str | None = None
    set: str | None = None
    stage: str | None = None
    text: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    seconds: float | None = None
    finding: Finding | None = None


OnEvent = Callable[[Event], None]


class Teller:
    """An observer that makes events of what it hears. ``about`` is (model, chip, set).

    A callback that raises is warned of once and not called again: it must not cost a build.
    """

    def __init__(
        self, tell: OnEvent, about: tuple[str | None, str | None, str | None] = (None, None, None)
    ) -> None:
        self._tell: OnEvent | None = tell
        self.about = about

    def direct(self, tell: OnEvent) -> None:
        """Tell somebody else from now on."""
        self._tell = tell

    def _send(self, event: Event) -> None:
        """Tell an event of the build that this is about."""
        model, arch, set_name = self.about
        self.forward(replace(event, model=model, arch=arch, set=set_name))

    def forward(self, event: Event) -> None:
        """Tell an event as it is."""
        if self._tell is None:
            return
        try:
            self._tell(event)
        except Exception as error:
            self._tell = None
            warnings.warn(
                f"on_event raised {error!r}; it is not called again", RuntimeWarning, stacklevel=2
            )

    def note(self, text: str) -> None:
        """Tell one sentence."""
        self._send(Event("note", text=text))

    def stage_cached(self, stage: str) -> None:
        """Tell that a stage came from the cache."""
        self._send(Event("cached", stage=stage))

    def stage_started(self, stage: str) -> None:
        """Tell that a stage begins."""
        self._send(Event("started", stage=stage))

    def progress(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Tell how far a stage is."""
        self._send(Event("progress", stage=stage, done=done, total=total, unit=unit))

    def finding(self, finding: Finding) -> None:
        """Tell a finding."""
        self._send(Event("finding", stage=finding.stage, text=finding.message, finding=finding))

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Tell that a stage is done."""
        self._send(Event("finished", stage=stage, seconds=seconds))

    def log(self, line: str) -> None:
        """Tell a line that the SDK printed."""
        self._send(Event("log", text=line))
