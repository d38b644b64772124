"""What several acts take, one after the other in turns, on a machine that others use too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def fastest(times: int, *acts: Callable[[], object]) -> list[float]:
    """Return the shortest run of each in seconds; they take turns, so that they share the load."""
    taken: list[list[float]] = [[] for _ in acts]
    for _ in range(times):
        for number, act in enumerate(acts):
            started = time.perf_counter()
            act()
            taken[number].append(time.perf_counter() - started)
    return [min(one) for one in taken]
