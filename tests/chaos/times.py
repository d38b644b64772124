"""A clock that jumps, and several builds of one recipe at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from tests.chaos.builds import Place, at_write, count_writes, die
from tests.chaos.count import Count, Ground

_REAL = time.time
YEAR = 365 * 86400.0


def shifted(seconds: float, jumps_at: float | None = None) -> Callable[[], None]:
    """Return what lets a process see another time; ``jumps_at``: only that long after its start."""

    def begin() -> None:
        since = time.monotonic()

        def now() -> float:
            late = jumps_at is None or time.monotonic() - since > jumps_at
            return _REAL() + (seconds if late else 0)

        time.time = now
        time.time_ns = lambda: int(now() * 1e9)

    return begin


def clock(ground: Ground, count: Count) -> None:
    """The clock is wrong by up to 30 years, jumps in mid-build, or files are from the future."""
    place = Place.make(ground.folder)
    assert place.hef().code == 0
    right = place.digests()
    while count.more:
        if ground.chance.random() < 0.6:
            place.forget()
        shift = ground.chance.choice([-30, -1, 1, 30]) * YEAR * ground.chance.random()
        jump = ground.chance.choice([None, 0.05, 0.15])
        for file in place.root.rglob("*"):
            if ground.chance.random() < 0.3 and not file.is_symlink():
                moment = max(1.0, _REAL() + shift)
                os.utime(file, (moment, moment))
        ended = place.hef(before=shifted(shift, jump))
        after = place.hef()
        held = ended.code == after.code == 0 and ended.plain and place.digests() == right
        count.took(f"{shift / YEAR:.1f} years, {jump}: {ended}; {after}", held)


def together(ground: Ground, count: Count) -> None:
    """Two to four builds of one recipe at once, one of which may be killed at a write."""
    place = Place.make(ground.folder)
    total = count_writes(place)
    assert place.hef().code == 0
    right = place.digests()
    while count.more:
        place.forget()
        number = ground.chance.randint(1, total)
        first = place.start(before=at_write(number, die))
        rest = [place.start() for _ in range(ground.chance.randint(1, 3))]
        ends = [place.wait(first), *(place.wait(one) for one in rest)]
        held = all(one.code == 0 and one.plain for one in ends[1:]) and place.digests() == right
        once = ends[0].code != -signal.SIGKILL and len(place.runs()) != len(set(place.runs()))
        left = place.leftovers() if place.hef().code == 0 else ["the next build fails"]
        said = [str(one) for one in ends]
        count.took(f"write {number}: {said}; {left}; twice: {once}", held and not left and not once)
