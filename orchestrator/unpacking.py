"""Tar archives that may be packed, and may be bombs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from hefsmith_worker.regular import open_regular, too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
