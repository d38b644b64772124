"""Reading what somebody else wrote: regular files only, up to a size, JSON up to a depth.

What is refused is an ``OSError`` or a ``ValueError``, as an unreadable or a damaged file is,
so that whoever reads a file already has the words for it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from hefsmith_worker import regular
from hefsmith_worker.regular import open_regular, parse_json, too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["open_regular", "open_tar", "parse_json", "read_json", "read_regular", "read_text"]

#: Bytes of a file that people write: recipes, settings, labels, lists, NMS configurations.
TEXT_LIMIT = 16 << 20

#: Bytes of a model script; the longest of the Model Zoo has some 10 KB.
SCRIPT_LIMIT = 256 << 10

#: Bytes of a log.
LOG_LIMIT = 1 << 30

#: Bytes of a file that programs write: manifests, reports, indexes of golden samples.
RECORD_LIMIT = 256 << 20


def read_regular(path: Path, *, limit: int = TEXT_LIMIT) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes, or raise ``OSError``."""
    return regular.read_regular(path, limit)


def read_text(path: Path, *, limit: int = TEXT_LIMIT) -> str:
    """Return the UTF-8 text of a regular file; ``UnicodeDecodeError`` for anything else."""
    return read_regular(path, limit=limit).decode("utf-8")


def read_json(path: Path, *, limit: int = RECORD_LIMIT) -> Any:
    """Return the JSON value of a regular file; ``OSError`` and ``ValueError`` as above."""
    return parse_json(read_regular(path, limit=limit))


#: A packed archive may unpack to so many bytes, and to so many times its own size: weights
#: shrink by a tenth, text to a tenth, and what shrinks more is no archive of a network.
PACKED_BYTES = 64 << 20
PACKED_TIMES = 20

#: What reading a damaged archive raises, besides ``OSError`` and ``EOFError``.
DAMAGED = (tarfile.TarError, zlib.error, lzma.LZMAError)

_PACKERS: dict[bytes, Callable[[IO[bytes], Literal["rb"]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, also a packed one.

    Raises ``OSError`` and ``tarfile.TarError``; also ``EOFError``, ``zlib.error`` and
    ``lzma.LZMAError`` for damaged ones.
    """
    with open_regular(path) as stream:
        packer = _PACKERS.get(stream.read(2))
        stream.seek(0)
        if packer is None:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                yield tar
            return
        size = stream.seek(0, 2)
        stream.seek(0)
        with packer(stream, "rb") as unpacked:
            limit = PACKED_BYTES + PACKED_TIMES * size
            inner = _Unpacked(cast("IO[bytes]", unpacked), path, limit)
            with tarfile.open(fileobj=cast("IO[bytes]", inner), mode="r:") as tar:
                yield tar


class _Unpacked:
    """A packed stream that ends with an error where a bomb would go off."""

    def __init__(self, stream: IO[bytes], path: Path, limit: int) -> None:
        self._stream, self._path, self._limit = stream, path, limit

    def _check(self, place: int) -> None:
        if place > self._limit:
            raise too_large(self._path, self._limit)

    def read(self, count: int = -1) -> bytes:
        here = self._stream.tell()
        self._check(here + max(count, 0))
        return self._stream.read(count if count >= 0 else self._limit + 1 - here)

    def seek(self, place: int, whence: int = 0) -> int:
        if whence == 0:
            self._check(place)
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()
