"""Where the bytes come from: a file, mapped and read in pieces, or bytes in memory."""

from __future__ import annotations

import mmap
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.hef.errors import HefUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.hef.wire import Bytes

CHUNK = 1 << 20


class Source(Protocol):
    """Random access to the bytes of one HEF."""

    size: int
    name: str

    def read(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes at ``offset``."""
        ...

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes from ``start`` to ``end`` in pieces, each good until the next."""
        ...

    def window(self, end: int) -> Bytes:
        """Return something indexable that holds the first ``end`` bytes without copying them."""
        ...


class MemorySource:
    """A HEF that is already in memory."""

    name = "HEF"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        return self._data[offset : offset + count]

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """See :class:`Source`."""
        yield memoryview(self._data)[start:end]

    def window(self, end: int) -> Bytes:  # noqa: ARG002
        """See :class:`Source`."""
        return self._data


class FileSource:
    """A HEF on disk. Checksums read it piece by piece, so that pages do not pile up as memory."""

    def __init__(self, descriptor: int, size: int, name: str) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self.size = size
        self.name = name

    def read(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        try:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = bytearray()
            while len(data) < count and (part := os.read(self._descriptor, count - len(data))):
                data += part
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return bytes(data)

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """See :class:`Source`. Raises ``HefUnreadableError`` when the file shrinks meanwhile."""
        buffer = memoryview(bytearray(CHUNK))
        try:
            with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
                file.seek(start)
                while start < end:
                    count = file.readinto(buffer[: min(CHUNK, end - start)])
                    if not count:
                        message = f"{self.name} became shorter while it was read"
                        raise HefUnreadableError(message, status=14)
                    start += count
                    yield buffer[:count]
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def window(self, end: int) -> Bytes:
        """See :class:`Source`."""
        if self._map is None:
            try:
                self._map = mmap.mmap(self._descriptor, end, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise _unreadable(self.name, error) from error
        return self._map

    def close(self) -> None:
        """Let go of the map and the file."""
        if self._map is not None:
            self._map.close()
        os.close(self._descriptor)


@contextmanager
def open_source(source: Path | bytes) -> Iterator[Source]:
    """Open a path, or wrap bytes. Raises ``HefUnreadableError``; never waits for a pipe."""
    if not isinstance(source, Path):
        yield MemorySource(bytes(source))
        return
    try:
        # Only plain files have a size to check against; opening a FIFO would wait for ever.
        state = source.stat()
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "not a plain file"
            message = f"{source} is {kind}, not a HEF"
            raise HefUnreadableError(message)
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise _unreadable(str(source), error) from error
    file = FileSource(descriptor, os.fstat(descriptor).st_size, source.name)
    try:
        yield file
    finally:
        file.close()


def _unreadable(name: str, error: Exception) -> HefUnreadableError:
    reason = getattr(error, "strerror", None) or str(error)
    return HefUnreadableError(
        f"cannot read {name}: {reason}", hint="check the path and its permissions"
    )
