"""Disks that are full, files that may not grow, folders that may not be written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.builds import Ended, Place, at_write, count_writes, small_files
from tests.chaos.count import Count, Ground


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Have a disk of so much at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={kilobytes}k,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Tell whether this user may mount."""
    try:
        with small_disk(folder / "probe", 64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def full_host(ground: Ground, count: Count) -> None:
    """Build while the cache, the results, the data or the scratch folder have a small disk."""
    if not can_mount(ground.folder):
        count.skipped = "mounting needs root"
        return
    place = Place.make(ground.folder / "place")
    assert place.hef().code == 0
    right = place.digests()
    while count.more:
        place.forget()
        name = ground.chance.choice(["cache", "artifacts", "data", "tmp"])
        with small_disk(place.root / name, ground.chance.randint(1, 40) * 4):
            ended = place.hef()
            full = "No space left" in ended.err or "full" in ended.err or ended.code != 0
        if not full:
            count.missed()
            continue
        after = place.hef()
        held = (
            ended.plain
            and (ended.code == 0 or "No space left" in ended.err)
            and _names(ended, place)
            and after.code == 0
            and place.digests() == right
        )
        count.took(f"{name}: {ended}; {after}", held)


def _names(ended: Ended, place: Place) -> bool:
    """Tell whether a command that failed named a path."""
    return ended.code == 0 or str(place.root) in ended.err or "artifacts" in ended.err


def full_at_a_write(ground: Ground, count: Count) -> None:
    """From a random write on, each new file of the build ends early, as on a full disk."""
    place = Place.make(ground.folder)
    total = count_writes(place)
    assert place.hef().code == 0
    right = place.digests()
    while count.more:
        place.forget()
        number = ground.chance.randint(1, total)
        limit = ground.chance.choice([0, 10, 100, 600])
        ended = place.hef(before=at_write(number, small_files(limit)))
        after = place.hef()
        if ended.code == 0 and not ended.err.count("arge"):
            count.missed()
            continue
        held = ended.plain and after.code == 0 and after.plain and place.digests() == right
        left = place.leftovers()
        count.took(f"write {number}, {limit} bytes: {ended}; {after}; {left}", held and not left)


def full_device(ground: Ground, count: Count) -> None:
    """The device's disk fills at a random point of an upload."""
    if not can_mount(ground.folder):
        count.skipped = "mounting needs root"
        return
    from orchestrator.device.agent.store import ReleaseStore, release_id
    from tests.unit.device.die_everywhere import bring, check, record_of

    home = ground.folder / "home"
    while count.more:
        with small_disk(home, ground.chance.randint(6, 30) * 4):
            store = ReleaseStore(home / "net", "net")
            (home / "net").mkdir()
            done, before = 0, None
            try:
                for number in range(1, 12):
                    bring(store, number, keep=20)
                    store.lock.release()
                    done, before = number, store.current()
            except OSError:
                with contextlib.suppress(Exception):
                    store.lock.release()
                # The last one counts when it was there before what failed, such as tidying up.
                after = release_id(record_of(done + 1)[0])
                wrong = check(store, {before, after}, "full") if done else []
                count.took(f"after {done} releases: {wrong}", not wrong)
            else:
                count.missed()


def no_permission(ground: Ground, count: Count) -> None:
    """A folder may not be written, by somebody who is not root: told by name, nothing lost."""
    if os.geteuid() != 0:
        count.skipped = "becoming somebody else needs root"
        return
    place = Place.make(ground.folder)
    os.chmod(ground.folder.parent, 0o755)
    nobody = 65534

    def become() -> None:
        os.setgid(nobody)
        os.setuid(nobody)

    def own(mode: int = 0o755) -> None:
        for one in [place.root, *place.root.rglob("*")]:
            os.chown(one, nobody, nobody, follow_symlinks=False)

    own()
    ended = place.hef(before=become)
    assert ended.code == 0, ended
    right = place.digests()
    while count.more:
        fresh = ground.chance.random() < 0.5
        if fresh:
            place.forget()
        names = [
            "cache",
            "artifacts",
            "data",
            "tmp",
            "cache/stages",
            "artifacts/one",
            "cache/locks",
        ]
        folder = place.root / ground.chance.choice(names)
        folder.mkdir(parents=True, exist_ok=True)
        own()
        os.chown(folder, 0, 0)
        folder.chmod(ground.chance.choice([0o555, 0o500, 0o000]))
        ended = place.hef(before=become)
        folder.chmod(0o755)
        own()
        after = place.hef(before=become)
        told = ended.code == 0 or (ended.code in (1, 2) and str(folder) in ended.err)
        held = ended.plain and told and after.code == 0 and place.digests() == right
        count.took(f"{folder.relative_to(place.root)}: {ended}; {after}", held)
        if not held:
            shutil.rmtree(place.root / "artifacts", ignore_errors=True)
