"""Open what somebody else named: regular files only, so that nothing waits or never ends."""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, Optional, Union, cast

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path, limit: Optional[int] = None, follow: bool = True) -> BufferedReader:
    """Open a regular file of at most ``limit`` bytes; never waits, as opening a pipe would.

    Without ``follow`` a link is refused (``ELOOP``), where the system can.
    Raises ``OSError``: ``EFBIG`` for a larger file, ``EINVAL`` or ``EISDIR`` for another kind,
    ``EAGAIN`` for a file of the kernel that waits for more.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= 0 if follow else getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(str(path), flags | getattr(os, "O_NOCTTY", 0))
    try:
        check_regular(path, limit, os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes; ``OSError`` as above.

    The limit holds for what is read, too: a file may grow meanwhile, or say less than it has.
    """
    with open_regular(path, limit) as stream:
        content = cast("Optional[bytes]", stream.read(limit + 1))
    if content is None:  # one of the kernel that waits for more
        raise OSError(errno.EAGAIN, "it has no end", str(path))
    if len(content) > limit:
        raise too_large(path, limit)
    return content


def parse_json(content: Union[bytes, str]) -> Any:
    """Return a JSON value; ``ValueError`` also for one that is nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error


def check_regular(
    path: Path, limit: Optional[int] = None, found: Optional[os.stat_result] = None
) -> None:
    """Raise ``OSError`` as :func:`open_regular` does, for those who let others open the file."""
    known = os.stat(str(path)) if found is None else found
    if not stat.S_ISREG(known.st_mode):
        kind = _KINDS.get(stat.S_IFMT(known.st_mode), "something else")
        code = errno.EISDIR if stat.S_ISDIR(known.st_mode) else errno.EINVAL
        raise OSError(code, "%s, not a regular file" % kind, str(path))
    if limit is not None and known.st_size > limit:
        raise too_large(path, limit)
    if known.st_size == 0 and known.st_dev == _kernel_device():
        raise OSError(errno.EINVAL, "the kernel's, not a regular file", str(path))


def too_large(path: Path, limit: int) -> OSError:
    """Return the error for a file that is larger than it may be."""
    size = "%d MB" % (limit >> 20) if limit >= 1 << 20 else "%d KB" % (limit >> 10)
    return OSError(errno.EFBIG, "larger than %s" % size, str(path))


def _kernel_device() -> Optional[int]:
    """Return the device number of ``/proc``: its files say 0 bytes, and some wait or never end."""
    try:
        return os.stat("/proc/self").st_dev
    except OSError:
        return None
