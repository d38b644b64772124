"""Reading what somebody else wrote: regular files only, up to a size, JSON up to a depth.

What is refused is an ``OSError`` or a ``ValueError``, as an unreadable or a damaged file is,
so that whoever reads a file already has the words for it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a file that people write: recipes, settings, labels, lists, NMS configurations.
TEXT_LIMIT = 16 << 20

#: Bytes of a file that programs write: manifests, reports, indexes of golden samples.
RECORD_LIMIT = 256 << 20

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path, *, limit: int | None = None) -> IO[bytes]:
    """Open a regular file of at most ``limit`` bytes; never waits, as opening a pipe would.

    Raises ``OSError``, with ``EFBIG`` for a larger file and ``EINVAL`` for another kind.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags | getattr(os, "O_NOCTTY", 0))
    try:
        _check(path, os.fstat(handle), limit)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check(path: Path, found: os.stat_result, limit: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(code, f"{kind}, not a regular file", str(path))
    if limit is not None and found.st_size > limit:
        raise _too_large(path, limit)


def read_regular(path: Path, *, limit: int = TEXT_LIMIT) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    The limit holds for what is read, too: files of ``/proc`` say 0 bytes and have more.
    """
    with open_regular(path, limit=limit) as stream:
        content: bytes | None = stream.read(limit + 1)
    if content is None:  # a file of /proc that waits for more
        raise OSError(errno.EAGAIN, "it has no end", str(path))
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def read_text(path: Path, *, limit: int = TEXT_LIMIT) -> str:
    """Return the UTF-8 text of a regular file; ``UnicodeDecodeError`` for anything else."""
    return read_regular(path, limit=limit).decode("utf-8")


def parse_json(content: bytes | str) -> Any:
    """Return a JSON value; ``ValueError`` also for one that is nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error


def read_json(path: Path, *, limit: int = RECORD_LIMIT) -> Any:
    """Return the JSON value of a regular file; ``OSError`` and ``ValueError`` as above."""
    return parse_json(read_regular(path, limit=limit))


def _too_large(path: Path, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit / 1e6:.0f} MB", str(path))
