"""Several builds as one command: ended in the middle, and two people with one store."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.pipeline.sharing import readthrough
from tests.chaos.builds import Ended, Place, at_write, die
from tests.chaos.count import Count, Ground
from tests.chaos.servers import KINDS, Served, serve
from tests.unit.matrix import trivial

MATRIX = ("build", "--all", "--jobs", "2", "--json")
CELLS = 4
#: Stages that one cell's job may have on its way when it ends: the one that runs, and one whose
#: files are being taken into the cache.
ON_THE_WAY = 2
Digests = dict[str, dict[str, str]]
Before = Callable[[], None]


def project(root: Path) -> Place:
    """Make a project with two models for two chips each."""
    place = Place.make(root)
    trivial.make_model(root, "two")
    return place


def at_event(number: int, act: Before, lag: int = 0) -> Before:
    """Return what calls ``act`` at the ``number``-th event of all jobs, ``lag`` writes later."""

    def begin() -> None:
        told, lock = trivial.TrivialRunning.lines, threading.Lock()
        seen = 0

        def lines(self: trivial.TrivialRunning) -> Iterator[str]:
            nonlocal seen
            for line in told(self):
                with lock:
                    seen += 1
                    if seen == number:
                        at_write(lag, act)() if lag else act()
                yield line

        trivial.TrivialRunning.lines = lines  # type: ignore[method-assign]

    return begin


def count_events(place: Place) -> tuple[int, Digests]:
    """Return how many events an undisturbed matrix has, and the digests of what it makes."""
    file = place.root / "events"

    def begin() -> None:
        lines = trivial.TrivialRunning.lines

        def told(self: trivial.TrivialRunning) -> Iterator[str]:
            for line in lines(self):
                with file.open("a") as log:
                    log.write(".")
                yield line

        trivial.TrivialRunning.lines = told  # type: ignore[method-assign]

    ended = place.hef(*MATRIX, before=begin)
    assert ended.code == 0, ended
    found, right = file.stat().st_size, digests(place)
    assert len(right) == CELLS
    file.unlink()
    place.forget()
    return found, right


def digests(place: Place) -> Digests:
    """Return the content of each finished build, by its folder."""
    found = {}
    for file in sorted(place.root.glob("artifacts/*/*/build.json")):
        document = json.loads(file.read_text())
        found[f"{document['model']} {document['arch']}"] = {
            one["path"]: one["sha256"] for one in document["files"]
        }
    return found


def kill_matrix(ground: Ground, count: Count) -> None:
    """End a matrix at a random event, or some writes after it; the same command ends it."""
    place = project(ground.folder)
    total, right = count_events(place)
    while count.more:
        number, lag = ground.chance.randint(1, total), ground.chance.choice([0, 0, 3, 9, 20])
        ended = place.hef(*MATRIX, before=at_event(number, die, lag))
        begun, finished = place.runs(), len(digests(place))
        if ended.code != -signal.SIGKILL or not begun or finished == CELLS:
            count.missed()  # not between the first stage and the last
        else:
            wrong = _goes_on(place, right, begun)
            where = f"event {number} of {total}, {lag} writes later, {len(begun)} stages begun"
            count.took(f"{where}: {wrong}", not wrong)
        place.forget()


def _goes_on(place: Place, right: Digests, begun: list[str]) -> str:
    """Run the same command once more; return what is wrong then, or nothing."""
    ended = place.hef(*MATRIX)
    if ended.code != 0 or not ended.plain:
        return str(ended)
    if digests(place) != right:
        return "another result"
    if left := place.leftovers():
        return f"left behind: {left}"
    again = [stage for stage, times in Counter(place.runs()).items() if times > 1]
    if len(again) > 2 * ON_THE_WAY:
        return f"of {len(begun)} stages these ran again: {again}"
    states = {cell["status"] for cell in json.loads(ended.out)["cells"]}
    return "" if states <= {"built", "cached"} else f"cells are {states}"


def users(ground: Ground, count: Count) -> None:
    """Two people build at once with one store, one is killed; who comes third makes nothing."""
    total, right = count_events(project(ground.folder / "alone"))
    for kind in KINDS:
        folder, held = ground.folder / kind, 0
        folder.mkdir()
        with serve(kind, folder) as served:
            for number in range(3 * count.wanted):
                if held * len(KINDS) >= count.wanted:
                    break
                # All of it is made by one or the other: this one sees about half of the events.
                at = ground.chance.randint(1, max(total // 3, 1))
                killed = at_event(at, die, ground.chance.choice([0, 5, 15]))
                wrong = _two(folder / str(number), served, killed, right)
                if wrong is None:
                    count.missed()
                else:
                    held += 1
                    count.took(f"{kind}, event {at}: {wrong}", not wrong)


def _patient() -> None:
    """Wait for a store on a busy machine: what is asked is whether all is there, not how soon."""
    readthrough.PATIENCE = 60.0


def _two(folder: Path, served: Served, killed: Before, right: Digests) -> str | None:
    """Return what went wrong, nothing when nothing did, and ``None`` when none was killed."""
    folder.mkdir()
    people = [project(folder / name) for name in ("alice", "bob", "carol")]
    alice, bob, carol = people
    if served.home is not None:
        for one in people:
            shutil.copytree(served.home, one.root / "home", dirs_exist_ok=True)
    address = f"{served.address}-{folder.name}"
    if "://" not in address:
        Path(address).mkdir()
    environ: dict[str, Any] = {"HEFSMITH_STORE": address, **served.environ}

    def begin() -> None:
        _patient()
        killed()

    first = alice.start(*MATRIX, before=begin, **environ)
    second = bob.start(*MATRIX, before=_patient, **environ)
    dead, other = alice.wait(first), bob.wait(second)
    if dead.code != -signal.SIGKILL:
        return None
    ends = [
        other,
        alice.hef(*MATRIX, before=_patient, **environ),
        *(_sent(one, environ) for one in (alice, bob)),
    ]
    third = carol.hef(*MATRIX, before=_patient, **environ)
    for ended in [*ends, third]:
        if ended.code != 0 or not ended.plain:
            return str(ended)
    if any(digests(one) != right for one in people):
        return "not all have the same"
    if made := carol.runs():
        return f"the third made {made}, and was told {third.err[-300:]}"
    checked = carol.hef("cache", "verify", "--store", "--json", **environ)
    return "" if checked.code == 0 else f"the store: {checked}"


def _sent(place: Place, environ: dict[str, Any]) -> Ended:
    return place.hef("cache", "push", **environ)
