"""What a job on a device prints: its events, and a log that stays small whatever it says."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from orchestrator.errors import escape_control
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.device.replies import Line

#: Lines that are kept of a log: so many of its start, so many of its end.
HEAD_LINES = 500
TAIL_LINES = 2000

#: Characters of a line that are kept.
LINE_CHARACTERS = 4000

#: Events that are kept: a benchmark has some hundreds.
MOST_EVENTS = 20_000
EVENT_CHARACTERS = 4 << 20


class JobLog:
    """Takes the lines of one job."""

    def __init__(self, on_event: Callable[[Mapping[str, object]], None] | None = None) -> None:
        self.events: list[Mapping[str, object]] = []
        self._on_event = on_event
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lines = 0
        self._characters = 0

    def take(self, line: Line) -> None:
        """Note a line; one of stdout that is a JSON object is an event."""
        event = as_event(line.stdout) if line.stdout is not None else None
        if event is None:
            self._note(line.stdout if line.stdout is not None else line.stderr or "")
            return
        self._characters += len(line.stdout or "")
        # Progress is shown and gone; what tells a result comes last and is always kept.
        if len(self.events) >= MOST_EVENTS or self._characters > EVENT_CHARACTERS:
            self._forget()
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _forget(self) -> None:
        """Drop the older half of the events."""
        del self.events[1 : len(self.events) // 2 + 1]
        self._characters //= 2

    def _note(self, text: str) -> None:
        self._lines += 1
        kept = text[:LINE_CHARACTERS]
        if len(self._head) < HEAD_LINES:
            self._head.append(kept)
        else:
            self._tail.append(kept)

    @property
    def text(self) -> str:
        """The log, with a line that says how much of its middle was left out."""
        dropped = self._lines - len(self._head) - len(self._tail)
        middle = [f"... {dropped} lines left out ..."] if dropped else []
        return "\n".join([*self._head, *middle, *self._tail])

    def last(self, count: int) -> list[str]:
        """Return the last lines."""
        return [*self._head, *self._tail][-count:]


def as_event(line: str) -> dict[str, object] | None:
    """Return a line of a job's stdout as an event, if it is a JSON object."""
    if not line.startswith("{"):
        return None
    try:
        event = parse_json(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def number_of(value: object) -> float | None:
    """Return a value of an event as a number, ``None`` for anything that measures nothing."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if -1e15 < value < 1e15 and math.isfinite(value) else None


def whole_of(value: object) -> int:
    """Return a value of an event as a count, 0 for anything that counts nothing."""
    number = number_of(value)
    return int(number) if number is not None and number >= 0 and number.is_integer() else 0


def text_of(value: object) -> str | None:
    """Return a value of an event as one line for a screen."""
    return None if value is None else escape_control(str(value)[:1000])
