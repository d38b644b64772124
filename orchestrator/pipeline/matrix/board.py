"""How far the cells of a matrix are: what a live table shows, kept by one lock."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from orchestrator.pipeline.matrix.schedule import time_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.pipeline.matrix.schedule import Demand
    from orchestrator.pipeline.news import Event

State = Literal["waiting", "running", "built", "cached", "failed", "stopped"]


@dataclass
class Line:
    """One cell as a table shows it. Times are of the monotonic clock, in seconds."""

    name: str
    state: State = "waiting"
    stage: str | None = None
    stage_began: float = 0.0
    done: int = 0
    total: int | None = None
    unit: str = ""
    began: float = 0.0
    seconds: float = 0.0
    warnings: int = 0
    error: str = ""
    begun: set[str] = field(default_factory=set)


class Board:
    """The state of all cells; threads tell it news, a view reads it."""

    def __init__(self, names: Sequence[str], jobs: int) -> None:
        self.lines = [Line(name) for name in names]
        self.jobs = jobs
        self.began = time.monotonic()
        self.lock = threading.RLock()
        self._demands: dict[int, Demand] = {}
        self._published: set[str] = set()
        self._times: dict[str, list[float]] = {}

    def planned(self, demands: dict[int, Demand]) -> None:
        """Take what the cells will do."""
        self._demands = demands

    def published(self, key: str) -> None:
        """Note that a stage is in the cache."""
        with self.lock:
            self._published.add(key)

    def start(self, number: int) -> None:
        """Note that a cell begins."""
        with self.lock:
            self.lines[number].state = "running"
            self.lines[number].began = time.monotonic()

    def hear(self, number: int, event: Event) -> None:
        """Take news of a cell."""
        line = self.lines[number]
        with self.lock:
            if event.kind == "started" and event.stage is not None:
                line.stage, line.stage_began = event.stage, time.monotonic()
                line.done, line.total = 0, None
                line.begun.add(event.stage)
            elif event.kind == "progress" and event.done is not None:
                line.done, line.total, line.unit = event.done, event.total, event.unit or ""
            elif event.kind == "finished" and event.stage is not None:
                self._times.setdefault(event.stage, []).append(event.seconds or 0.0)
                if line.stage == event.stage:
                    line.stage = None
            elif event.kind == "finding" and event.finding is not None:
                line.warnings += event.finding.severity != "info"

    def end(self, number: int, state: State, error: str = "") -> None:
        """Note how a cell ended."""
        with self.lock:
            line = self.lines[number]
            line.seconds = time.monotonic() - line.began if line.began else 0.0
            line.state, line.error = state, error

    def counts(self) -> Counter[State]:
        """Return how many cells are in each state."""
        with self.lock:
            return Counter(line.state for line in self.lines)

    def left(self) -> float | None:
        """Return the seconds that are left, ``None`` while nobody can know.

        A stage that several cells share counts once.
        """
        now = time.monotonic()
        with self.lock:
            means = {stage: sum(known) / len(known) for stage, known in self._times.items()}
            under_way: list[tuple[str, float]] = []
            coming: dict[str, str] = {}
            for number, demand in self._demands.items():
                line = self.lines[number]
                if line.state not in ("waiting", "running"):
                    continue
                if line.state == "running" and line.stage is not None:
                    under_way.append((line.stage, now - line.stage_began))
                coming.update(_unbegun(demand, line, self._published))
            return time_left(
                coming.values(), [one for one in under_way if one[0] in means], means, self.jobs
            )


def _unbegun(demand: Demand, line: Line, published: set[str]) -> Iterable[tuple[str, str]]:
    return [
        (key, stage)
        for key, stage in demand.stages.items()
        if key not in published and stage not in line.begun
    ]
