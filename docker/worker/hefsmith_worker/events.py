"""The channel on which a job tells the host of its events, one JSON object a line.

:func:`open_channel` moves the process's real standard output away and points file descriptor
1 at standard error, so that nothing an SDK prints, from Python or from C, can end up among
the events.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import IO, Any, Dict, Iterator, Optional, Sequence, Tuple

from hefsmith_worker.contract.events import Artifact, Event, Message, Progress, Written
from hefsmith_worker.contract.findings import Finding

#: Bytes of files from which several threads hash them.
WORTH_SHARING = 32 << 20

#: Bytes of one file from which the host is told of it before it is hashed.
WORTH_NAMING = 4 << 20


class Channel:
    """Sends events; one per job, handed to every stage."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._stage: Optional[str] = None
        self._last_progress = 0.0
        self._known: Dict[Path, Tuple[Tuple[int, ...], str]] = {}
        #: Path and sha256 of every file that the running stage has announced.
        self.announced: Dict[str, str] = {}

    def send(self, event: Event) -> None:
        """Send one event with the running stage and the time."""
        self._stream.write(Message(event, self._stage, time.time()).to_line())
        self._stream.flush()

    def enter(self, stage: Optional[str]) -> None:
        """Say which stage the following events belong to."""
        self._stage = stage
        self.announced = {}

    def progress(self, done: int, total: int, unit: str) -> None:
        """Report progress, at most ten times a second, the last one always."""
        now = time.monotonic()
        if done < total and now - self._last_progress < 0.1:
            return
        self._last_progress = now
        self.send(Progress(int(done), int(total), unit))

    def finding(
        self,
        code: str,
        severity: str,
        message: str,
        asked: Any = None,
        got: Any = None,
        fix: str = "",
    ) -> None:
        """Report something that the user should know, as a :class:`Finding` has it."""
        self.send(Finding(code, severity, message, fix, asked, got))

    def artifact(self, role: str, path: Path, work: Path) -> None:
        """Announce a finished file below ``work`` with its sha256 and size in bytes."""
        self.artifacts([(role, path)], work)

    def artifacts(self, files: Sequence[Tuple[str, Path]], work: Path) -> None:
        """Announce finished files (role, path) in their order, each as soon as it is hashed.

        A file that was announced by an earlier stage and is as it was then is not read again.
        Large ones are named before that: the host can read them at the same time.
        """
        for _, path in files:
            size = path.stat().st_size
            if size >= WORTH_NAMING and not self._is_known(path):
                self.send(Written(path.relative_to(work).as_posix(), size))
        for (role, path), (digest, size) in zip(files, self._hashed([path for _, path in files])):
            name = path.relative_to(work).as_posix()
            self.announced[name] = digest
            self.send(Artifact(role, name, digest, size))

    def _hashed(self, paths: Sequence[Path]) -> Iterator[Tuple[str, int]]:
        if sum(path.stat().st_size for path in paths) < WORTH_SHARING:
            for path in paths:
                yield self._hash(path)
            return
        from concurrent.futures import ThreadPoolExecutor

        # Hashing lets other threads run.
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for answer in pool.map(self._hash, paths):
                yield answer

    def _hash(self, path: Path) -> Tuple[str, int]:
        mark = _mark(path)
        if not self._is_known(path):
            self._known[path] = (mark, sha256_of(path))
        return self._known[path][1], mark[0]

    def _is_known(self, path: Path) -> bool:
        known = self._known.get(path)
        return known is not None and known[0] == _mark(path)


def _mark(path: Path) -> Tuple[int, ...]:
    """Return what shows that a file was not written to: size, times and inode."""
    found = path.stat()
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as lower-case hex."""
    digest = hashlib.sha256()
    with open(str(path), "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def open_channel() -> Channel:
    """Take standard output for events; from here on printing goes to standard error."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return Channel(events)
