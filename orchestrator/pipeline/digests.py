"""Digests of files and folders, remembered by what the file system says of them.

A file that has kept its size, times, inode and device since it was hashed is not read again;
that is what lets a build of thousands of pictures find out in milliseconds that nothing changed.
The time of the last change of status (ctime) is among them: a program can set a file's own time
back, but not that one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError
from orchestrator.files import sha256_of, write_atomic
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


#: A file changed less than this long ago may change again without its time telling (seconds).
_SETTLED_NS = 2_000_000_000


def canonical(document: object) -> bytes:
    """Return the one JSON spelling of a document: sorted keys, no spaces, UTF-8.

    Names of files that are no UTF-8 go back to their bytes.
    """
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogateescape")


def digest_of(document: object) -> str:
    """Return the sha256 of a document's canonical JSON."""
    return hashlib.sha256(canonical(document)).hexdigest()


class DigestMemory:
    """Digests by path, kept in one JSON file; losing it costs time, never correctness.

    With ``reads`` every file is read, whatever is remembered of it.
    """

    def __init__(self, file: Path, *, reads: bool = False) -> None:
        self._file = file
        self._reads = reads
        self._changed = False
        #: Seconds between two writings: a command of many builds need not write after each.
        self.spacing = 0.0
        self._written = time.monotonic()
        self._known: dict[str, list[Any]] = {}
        try:
            loaded = read_json(file)
            if isinstance(loaded, dict):
                self._known = loaded
        except (OSError, ValueError):
            pass

    def reading(self) -> DigestMemory:
        """Return this memory as one that reads every file; what it learns is kept here."""
        found = copy(self)
        found._reads = True  # noqa: SLF001
        self._changed = True
        return found

    def file(self, path: Path) -> str:
        """Return the sha256 of a file."""
        return self._file_named(os.fspath(path))

    def _file_named(self, name: str) -> str:
        # Plain strings: this runs for thousands of pictures before anything else happens.
        status = os.stat(name)  # noqa: PTH116
        mark = _mark(status)
        known = self._known.get(name)
        if not self._reads and known is not None and known[:-1] == mark:
            return str(known[-1])
        path = Path(name)
        digest = sha256_of(path)
        after = path.stat()
        if _mark(after) == mark and _settled(after):
            self._known[name] = [*mark, digest]
            self._changed = True
        return digest

    def derived(self, digest: str, kind: str, find: Callable[[], list[str]]) -> list[str]:
        """Return what ``find`` makes of the file with a digest; it is asked once."""
        key = f"{kind}:{digest}"
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = list(find())
            self._changed = True
        return known

    def learn(self, path: Path, digest: str, size: int) -> None:
        """Note the digest of a file of ours that was hashed as it was written.

        Nothing is noted of one that has another size, or whose time is so young that a later
        write might leave it as it is.
        """
        status = path.stat()
        if status.st_size == size and _settled(status):
            self._known[os.fspath(path)] = [*_mark(status), digest]
            self._changed = True

    def tree(self, path: Path) -> str:
        """Return one digest of a file, or of a folder's files with their relative names.

        A file in a folder that may not be read, or is just going, counts by its name: whoever
        needs it tells so. A single file that may not be read is a :class:`ConfigError`.
        """
        if path.is_file():
            try:
                return self.file(path)
            except OSError as error:
                msg = f"{path}: {error.strerror or error}"
                raise ConfigError(msg, hint=f"chmod a+r {path}", code="file.unreadable") from error
        entries: list[list[str | None]] = []
        for relative in sorted(files_below(path)):
            try:
                entries.append([relative, self.file(path / relative)])
            except OSError:
                entries.append([relative, None])
        return digest_of(entries)

    def save(self, *, now: bool = False) -> None:
        """Write what was learnt; failing to is no error. ``now`` does so within the spacing too."""
        if not self._changed or (not now and time.monotonic() - self._written < self.spacing):
            return
        self._written = time.monotonic()
        # Builds of a matrix share one memory: a copy is taken in one step.
        with contextlib.suppress(OSError):
            write_atomic(self._file, json.dumps(dict(self._known)))


def _mark(status: os.stat_result) -> list[int]:
    """Return what a file keeps as long as nobody writes to it or puts another in its place."""
    found = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    return list(found)


def _settled(status: os.stat_result) -> bool:
    return time.time_ns() - status.st_mtime_ns > _SETTLED_NS


def files_below(folder: Path) -> Iterable[str]:
    """Yield the relative names (forward slashes) of all files below a folder.

    Links to folders are followed once: a loop ends where it comes back.
    """
    seen: set[tuple[int, int]] = set()
    pending = [(os.fspath(folder), "")]
    while pending:
        current, prefix = pending.pop()
        try:
            status = os.stat(current)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen and status.st_ino:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list(os.scandir(current))
        except OSError:
            continue
        for entry in entries:
            if entry.name == "__pycache__":
                continue
            try:
                if entry.is_dir():
                    pending.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file():
                    yield prefix + entry.name
            except OSError:
                continue  # a link to itself
