"""Which cells of a matrix may start now: pure decisions about stages, slots and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Demand:
    """What a cell will do: the stages that it must make, by key, and the bytes that they take."""

    stages: Mapping[str, str]
    memory: int = 0


@dataclass(frozen=True)
class Capacity:
    """How many builds may run side by side, and in how many bytes (``None``: not known)."""

    jobs: int
    memory: int | None = None


def may_start(
    demand: Demand,
    running: Collection[Demand],
    published: Container[str],
    capacity: Capacity,
) -> bool:
    """Tell whether a cell may start beside those that run.

    It waits for a stage that one of them is making and it needs too, for a free slot, and for
    memory. What is larger than the machine runs alone.
    """
    if not running:
        return True
    if len(running) >= capacity.jobs:
        return False
    if any(
        key in other.stages and key not in published for other in running for key in demand.stages
    ):
        return False
    if capacity.memory is None or not demand.memory:
        return True
    return sum(one.memory for one in running) + demand.memory <= capacity.memory


def next_cells(
    pending: Mapping[int, Demand],
    running: Mapping[int, Demand],
    published: Container[str],
    capacity: Capacity,
) -> tuple[int, ...]:
    """Return the cells that may start now, in order; one that must wait lets others pass."""
    now = dict(running)
    chosen: list[int] = []
    for number, demand in pending.items():
        if len(now) >= capacity.jobs:
            break
        if may_start(demand, tuple(now.values()), published, capacity):
            now[number] = demand
            chosen.append(number)
    return tuple(chosen)


def time_left(
    to_come: Iterable[str],
    under_way: Iterable[tuple[str, float]],
    means: Mapping[str, float],
    jobs: int,
) -> float | None:
    """Return the seconds that a matrix will still take, ``None`` while nobody can know.

    ``to_come`` names the stages that are not begun, each as often as it must run; ``under_way``
    those that run, with the seconds since they began; ``means`` is how long a stage took so far.
    """
    work = longest = 0.0
    for stage in to_come:
        if stage not in means:
            return None
        work += means[stage]
        longest = max(longest, means[stage])
    for stage, elapsed in under_way:
        if stage not in means:
            return None
        rest = max(means[stage] - elapsed, 0.0)
        work += rest
        longest = max(longest, rest)
    return max(work / max(jobs, 1), longest)


def worst(codes: Sequence[int]) -> int:
    """Return the exit code of the worst cell: interrupted, no engine, failed, ... , verdict."""
    order = (130, 3, 1, 2, 6, 4, 5)
    return next((code for code in order if code in codes), max(codes, default=0))
