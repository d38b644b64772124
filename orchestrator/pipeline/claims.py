"""Who makes which stage: processes and threads that need the same one wait for one of them.

A build holds the lock of each stage that it will make, and gives it back as soon as the stage is
in the cache: what another build shares with it (the export, the calibration set) is made once,
and what it does not share goes on side by side.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.pipeline.cache import CacheEntry, StageCache
    from orchestrator.pipeline.plan import Plan


@contextlib.contextmanager
def claim(
    cache: StageCache,
    made: Plan,
    *,
    tell: Callable[[str], None] | None = None,
    waiting: Callable[[], None] | None = None,
    alone: bool = False,
) -> Iterator[None]:
    """Hold the build and the stages that it must make, see :mod:`orchestrator.pipeline.locks`.

    Whoever comes through may find that the cache has got some of them meanwhile. With ``alone``
    nothing is shared: only the same build waits.
    """
    held: dict[str, contextlib.AbstractContextManager[bool]] = {}

    def give_back(entry: CacheEntry) -> None:
        if (lock := held.pop(entry.key, None)) is not None:
            lock.__exit__(None, None, None)

    with cache.lock(made.key, tell=tell, waiting=waiting):
        cache.listeners.append(give_back)
        try:
            # All in one order, so that nobody waits for somebody who waits for him.
            for key, name in sorted((one.key, one.name) for one in made.stages if one.runs):
                if alone:
                    break
                what = f"makes the same stage ({name})"
                lock = cache.lock(key, what=what, tell=tell, waiting=waiting, signed=False)
                lock.__enter__()
                held[key] = lock
                if (there := cache.find(key)) is not None:
                    # Who planned when we did still waits for it.
                    give_back(there)
            yield
        finally:
            cache.listeners.remove(give_back)
            for lock in held.values():
                lock.__exit__(None, None, None)
