"""Digests of files and folders, remembered by what the file system says of them.

A file that has kept its size, time and inode since it was hashed is not read again; that is
what lets a build of thousands of pictures find out in milliseconds that nothing changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK = 1 << 20

#: A file changed less than this long ago may change again without its time telling (seconds).
_SETTLED_NS = 2_000_000_000


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's content as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


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
    """Digests by path, kept in one JSON file; losing it costs time, never correctness."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = False
        self._known: dict[str, list[Any]] = {}
        try:
            loaded = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(loaded, dict):
                self._known = loaded
        except (OSError, ValueError):
            pass

    def file(self, path: Path) -> str:
        """Return the sha256 of a file."""
        return self._file_named(os.fspath(path))

    def _file_named(self, name: str) -> str:
        # Plain strings: this runs for thousands of pictures before anything else happens.
        status = os.stat(name)  # noqa: PTH116
        mark = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(name)
        if known is not None and known[:3] == mark:
            return str(known[3])
        path = Path(name)
        digest = sha256_file(path)
        after = path.stat()
        if time.time_ns() - after.st_mtime_ns > _SETTLED_NS:
            self._known[name] = [*mark, digest]
            self._changed = True
        return digest

    def learn(self, path: Path, digest: str, size: int) -> None:
        """Note the digest of a file of ours that was hashed as it was written.

        Nothing is noted of one that has another size, or whose time is so young that a later
        write might leave it as it is.
        """
        status = path.stat()
        if status.st_size == size and time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            mark = [status.st_size, status.st_mtime_ns, status.st_ino]
            self._known[os.fspath(path)] = [*mark, digest]
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

    def save(self) -> None:
        """Write what was learnt; failing to is no error."""
        if not self._changed:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_name(f"{self._file.name}.{os.getpid()}.part")
            part.write_text(json.dumps(self._known), encoding="utf-8")
            part.replace(self._file)
        except OSError:
            pass


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
