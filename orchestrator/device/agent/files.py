"""Files on the device: digests, whole writes, names that stay inside, a lock (Python 3.9)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

BLOCK = 1 << 18


class Refused(Exception):
    """A request that cannot be done; ``code`` tells the host which error to raise."""

    def __init__(self, message: str, *, code: str, **more: object) -> None:
        super().__init__(message)
        self.code = code
        self.answer: Json = dict(more, error=code, message=message)


def as_refusal(error: Exception) -> Refused:
    """Return any error as an answer for the host."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, OSError):
        no_room = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        known = {
            **dict.fromkeys(no_room, "full"),
            **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.ELOOP), "no_folder"),
            errno.EROFS: "read_only",
            errno.EIO: "disk_fails",
        }
        code = known.get(error.errno or 0, "os")
        where = f"{error.filename}: " if error.filename else ""
        return Refused(f"{where}{error.strerror or error}", code=code)
    return Refused(f"{type(error).__name__}: {error}", code="failed")


def sha256_of(path: Path, length: int | None = None) -> str:
    """Return the sha256 of a file, or of its first ``length`` bytes."""
    digest = hashlib.sha256()
    left = length
    with path.open("rb") as stream:
        while block := stream.read(BLOCK if left is None else min(BLOCK, left)):
            digest.update(block)
            if left is not None:
                left -= len(block)
    return digest.hexdigest()


def has_content(path: Path, sha256: str, size: int) -> bool:
    """Say whether a file is there with exactly this content.

    A digest is remembered for this process by what tells a changed file (inode, size, time of
    the last write), so that links to one file are read once.
    """
    try:
        known = path.stat()
        if known.st_size != size:
            return False
        mark = _mark(known)
        if mark not in _DIGESTS:
            _DIGESTS[mark] = sha256_of(path)
    except OSError:
        return False
    return _DIGESTS[mark] == sha256


def remember(path: Path, sha256: str) -> None:
    """Note the digest of a file that was computed while it was written."""
    _DIGESTS[_mark(path.stat())] = sha256


_DIGESTS: dict[tuple[int, ...], str] = {}


def _mark(known: os.stat_result) -> tuple[int, ...]:
    return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns


def flush_folder(path: Path) -> None:
    """Make renames in a folder last over a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def flush_file(path: Path) -> None:
    """Make the content of a file last over a power cut."""
    with path.open("rb") as stream, contextlib.suppress(OSError):
        os.fsync(stream.fileno())


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole, or not at all."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    with draft.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    flush_folder(path.parent)


def read_json(path: Path) -> Any:
    """Return the JSON value of a file, or ``None`` when there is none."""
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError):
        return None


def remove_tree(path: Path) -> None:
    """Remove a folder, also one with read-only files in it."""

    def unlock(function: Callable[[str], object], name: str, _: object) -> None:
        with contextlib.suppress(OSError):
            Path(name).chmod(stat.S_IRWXU)
            function(name)

    shutil.rmtree(path, onerror=unlock)


def safe_name(name: str) -> str:
    """Return a name that stays inside its folder, or refuse it."""
    if not name or name in (".", "..") or name[0] == "-" or any(c in name for c in "/\\\0"):
        msg = f"not a file name: {name!r}"
        raise Refused(msg, code="bad_name")
    return name


def copy_or_link(source: Path, target: Path) -> None:
    """Put the same content under a second name, without a second copy where links work."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class FileLock:
    """A lock that the system frees when the process that holds it ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note = path.with_name(f"{path.name}.holder")
        self._stream: IO[bytes] | None = None

    def acquire(self, wait: float, who: Json) -> None:
        """Take the lock, or refuse after ``wait`` seconds with the holder's own note."""
        stream = self.path.open("a+b")
        deadline = time.monotonic() + wait
        while not _try_lock(stream):
            if time.monotonic() >= deadline:
                stream.close()
                msg = "another hefsmith is changing this model on this device"
                raise Refused(msg, code="busy", holder=read_json(self.note) or {})
            time.sleep(0.1)
        self._stream = stream
        write_whole(self.note, json.dumps(dict(who, since=time.time())).encode("utf-8"))

    def release(self) -> None:
        """Give the lock back; safe to call twice."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _try_lock(stream: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(1 << 30)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
