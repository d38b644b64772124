"""What a family of faults counts, and what runs beside it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Count:
    """The faults of one family: those that took effect, and those by which something was lost."""

    wanted: int
    tried: int = 0
    idle: int = 0
    lost: list[str] = field(default_factory=list)
    #: why a family cannot run here, such as a missing program
    skipped: str | None = None

    @property
    def more(self) -> bool:
        """Whether there is more to try; one whose faults hit nothing ends, too."""
        return self.skipped is None and self.tried < self.wanted and self.idle < 3 * self.wanted

    def took(self, what: str, held: bool) -> None:
        """Count a fault that took effect; ``held``: nothing was lost by it."""
        self.tried += 1
        if not held:
            self.lost.append(what[:600])

    def missed(self) -> None:
        """A fault came too late, or hit nothing."""
        self.idle += 1


@dataclass(frozen=True)
class Ground:
    """Where a family runs: a folder of its own, and chance that can be repeated."""

    folder: Path
    chance: random.Random


Run = Callable[[Ground, Count], None]


@dataclass(frozen=True)
class Family:
    """A kind of fault. ``short`` and ``long`` are how many are wanted in either form."""

    name: str
    what: str
    short: int
    long: int
    run: Run
