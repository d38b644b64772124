"""Where the bytes come from: a file that is read in pieces, or bytes in memory.

Files are not mapped into memory: when another program cuts a mapped file, the next access ends
the whole process (SIGBUS), and no exception tells why.
"""

from __future__ import annotations

import mmap
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, overload

from orchestrator.hef.errors import HefUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.hef.wire import Bytes

CHUNK: Final = 1 << 20
#: Bytes that are fetched when a reader looks at one of them.
_BLOCK: Final = 1 << 14


_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


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
        self.size = size
        self.name = name

    def read(self, offset: int, count: int) -> bytes:
        """See :class:`Source`."""
        try:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, count)
            while len(data) < count and (part := os.read(self._descriptor, count - len(data))):
                data += part
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return data

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """See :class:`Source`. Raises ``HefUnreadableError`` when the file shrinks meanwhile."""
        # Whole pages, as `orchestrator.reading.page_buffer` says why. This room goes alone into the
        # emulator's image, and needs no other.
        buffer = memoryview(mmap.mmap(-1, CHUNK))
        try:
            with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
                file.seek(start)
                while start < end:
                    count = file.readinto(buffer[: min(CHUNK, end - start)])
                    if not count:
                        raise _shrunk(self.name)
                    start += count
                    yield buffer[:count]
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def window(self, end: int) -> Bytes:
        """See :class:`Source`. Looking at bytes that are gone raises ``HefUnreadableError``."""
        return Window(self._exactly, end)

    def _exactly(self, offset: int, count: int) -> bytes:
        data = self.read(offset, count)
        if len(data) < count:
            raise _shrunk(self.name)
        return data

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class Window:
    """The first ``end`` bytes of a file as something to index; holds one block of them."""

    def __init__(self, read: Callable[[int, int], bytes], end: int) -> None:
        self._read = read
        self._end = end
        self._start = 0
        self._block = b""

    @overload
    def __getitem__(self, place: int, /) -> int: ...

    @overload
    def __getitem__(self, place: slice, /) -> bytes: ...

    def __getitem__(self, place: int | slice, /) -> int | bytes:
        """Return one byte, or a copy of those from start to stop (neither counts from the end)."""
        if isinstance(place, slice):
            start, stop, _ = place.indices(self._end)
            inside, count = start - self._start, max(stop - start, 0)
            if inside >= 0 and inside + count <= len(self._block):
                return self._block[inside : inside + count]
            return self._read(start, count)
        inside = place - self._start
        if not 0 <= inside < len(self._block):
            if not 0 <= place < self._end:
                raise IndexError(place)
            # Readers go forward, and what they skip is often larger than a block.
            self._block = self._read(place, min(_BLOCK, self._end - place))
            self._start, inside = place, 0
        return self._block[inside]


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
            message = f"{source} is {kind}"
            raise HefUnreadableError(message)
        descriptor = os.open(source, _FLAGS)
    except (OSError, ValueError) as error:
        raise _unreadable(str(source), error) from error
    file = FileSource(descriptor, os.fstat(descriptor).st_size, source.name)
    try:
        yield file
    finally:
        file.close()


def _shrunk(name: str) -> HefUnreadableError:
    return HefUnreadableError(
        f"{name} became shorter while it was read",
        status=14,
        hint="Another program is writing it; try again when that has ended.",
    )


def _unreadable(name: str, error: Exception) -> HefUnreadableError:
    reason = getattr(error, "strerror", None) or str(error)
    return HefUnreadableError(
        f"cannot read {name}: {reason}", hint="Check the path and its permissions."
    )
