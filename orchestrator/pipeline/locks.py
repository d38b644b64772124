"""Locks between processes: who waits says for whom, and a process that dies gives its lock back.

The system frees a lock when its process ends, however that ends. Who holds one is written beside
it, for those that wait; nobody decides by that.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator import files, processes
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Seconds after which a wait is told.
QUIET = 2.0


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock, and since when (epoch seconds)."""

    process: processes.Process
    since: float


def describe(holder: Holder | None, here: processes.Place, what: str) -> str:
    """Return the sentence for somebody who waits until ``what`` is done."""
    if holder is None:
        return f"waiting: another hef {what} (Ctrl-C ends the wait)"
    there = holder.process.place
    where = "" if there.host == here.host else " on another machine"
    if not where and there.namespace != here.namespace:
        where = " in a container"
    clock = time.strftime("%H:%M:%S", time.localtime(holder.since))
    return (
        f"waiting: another hef (process {holder.process.pid}{where}, since {clock}) {what} "
        "(Ctrl-C ends the wait)"
    )


@contextlib.contextmanager
def hold(
    file: Path,
    *,
    what: str = "is at work here",
    tell: Callable[[str], None] | None = None,
    waiting: Callable[[], None] | None = None,
    signed: bool = True,
) -> Iterator[bool]:
    """Hold the lock ``file``, that one process holds at a time; yields whether that is so.

    ``signed`` writes down who holds it, which takes as long as the lock itself.

    ``waiting`` is called before a wait, ``tell`` with a sentence when it takes more than two
    seconds, and when another one has got the lock meanwhile. Where no file can be written or
    locked there is no lock: one goes on without.
    """
    import filelock

    lock = filelock.FileLock(file)
    told: Holder | str | None = "nobody"
    first = True
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                # In short steps: Windows interrupts no longer wait.
                lock.acquire(timeout=0 if first else QUIET)
                break
            except filelock.Timeout:
                if first and waiting is not None:
                    waiting()
                elif not first and tell is not None and (holder := read_holder(file)) != told:
                    tell(describe(holder, processes.place(), what))
                    told = holder
                first = False
    except (OSError, NotImplementedError):
        yield False
        return
    try:
        if signed:
            _sign(file)
        yield True
    finally:
        if signed:
            with contextlib.suppress(OSError):
                _note_of(file).unlink(missing_ok=True)
        lock.release()


def read_holder(file: Path) -> Holder | None:
    """Return who holds a lock, as far as that is written."""
    try:
        document = read_json(_note_of(file))
        process = processes.parse(str(document["process"]))
        return Holder(process, float(document["since"])) if process is not None else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sign(file: Path) -> None:
    note = {"process": str(processes.this_process()), "since": time.time()}
    with contextlib.suppress(OSError):
        files.write_atomic(_note_of(file), json.dumps(note))


def _note_of(file: Path) -> Path:
    # The lock itself is emptied by everybody who asks for it.
    return file.with_name(f"{file.name}.holder")
