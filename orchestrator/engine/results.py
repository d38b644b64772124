"""What comes out of the box: files of a program that we do not trust.

They come as a tar stream from an engine that does not see our files, or lie in the shared build
folder already. Only plain files and folders are taken, each whole or not at all.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from hefsmith_worker.contract import names

from orchestrator.engine.base import EngineLostError, Progress, Report, ignore
from orchestrator.engine.transfer import MARKS
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Bytes and pieces that are gathered for one write. Streams come in pieces of 32 KiB.
GATHERED = 1024 * 1024
MOST_PIECES = 512

#: Most zeros that end a tar stream: two blocks, filled up to twenty.
TRAILER = 10 * 1024 + 512


class Forward:
    """An iterator of blocks as the file that ``tarfile`` reads headers from; goes on only.

    The content of a file is taken with :meth:`piece`, as it came and without a copy.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        """Return how many bytes were taken."""
        return self._position

    def piece(self, most: int) -> memoryview:
        """Take the next bytes, at most so many; none at the end of the stream."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return self._rest
            self._rest = memoryview(block)
        part, self._rest = self._rest[:most], self._rest[most:]
        self._position += len(part)
        return part

    def read(self, size: int) -> bytes:
        """Take so many bytes, fewer only at the end of the stream."""
        parts = []
        while size and (part := self.piece(size)):
            parts.append(part)
            size -= len(part)
        self._last = b"".join(parts)
        return self._last

    def seek(self, position: int) -> None:
        """Drop what comes before ``position``; what was taken cannot be had again."""
        if position < self._position:
            msg = "the archive leads out of its folder"
            raise tarfile.StreamError(msg)
        while self._position < position and self.piece(position - self._position):
            pass

    def ended_well(self, offset: int) -> bool:
        """Take what is left, and tell whether after ``offset`` come only the zeros of an end.

        ``tarfile`` takes a cut or a damaged header in mid-stream for the end, without a word.
        """
        zeros = self._position - len(self._last) == offset and not any(self._last)
        while part := self.piece(GATHERED):
            zeros = zeros and self._position - offset <= TRAILER and not any(part)
        return zeros and 1024 <= self._position - offset <= TRAILER


def unpack(
    blocks: Iterator[bytes],
    target: Path,
    *,
    what: str = "results",
    total: int | None = None,
    report: Report = ignore,
) -> tuple[str, ...]:
    """Write a tar stream's files below ``target`` and return their names.

    Names are relative to the folder that was asked for. A file appears whole or not at all.
    Links, devices and names that lead out are left out: the box has no business with them.
    Raises :class:`EngineLostError` when the stream ends early.
    """
    names: list[str] = []
    done = 0

    def tell(written: int) -> None:
        nonlocal done
        done += written
        report(Progress(what, done, total))

    stream = Forward(blocks)
    try:
        # Not the mode for streams: that one copies every byte four times.
        with tarfile.TarFile(fileobj=cast("IO[bytes]", stream), mode="r") as tar:
            for member in tar:
                place = safe_place(member.name, target)
                if place is None:
                    continue
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif member.isreg() and not member.issparse():
                    write_whole(stream, member.size, place, tell)
                    names.append(place.relative_to(target).as_posix())
            whole = stream.ended_well(tar.offset)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _cut_off(what) from error
    if not whole:
        raise _cut_off(what)
    return tuple(names)


def _cut_off(what: str) -> EngineLostError:
    return EngineLostError(
        f"the stream of {what} from the engine ended early", hint="Run the same command again."
    )


def safe_place(name: str, target: Path) -> Path | None:
    """Return where a tar member goes below ``target``, ``None`` if it may not go anywhere."""
    if names.fault(name) is not None:
        return None
    inner = names.parts(name)
    if inner[-1] in MARKS:
        return None
    place = target.joinpath(*inner)
    # A folder that became a link since (nobody but a hostile job makes one) leads out.
    if place.parent.resolve() != target.resolve().joinpath(*inner[:-1]):
        return None
    return place


def write_whole(stream: Forward, size: int, place: Path, tell: Callable[[int], None]) -> None:
    """Write the next ``size`` bytes to ``place`` by way of a temporary file beside it.

    ``tell`` learns of every portion that was written, in bytes. Raises ``EOFError`` when the
    stream ends before.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    try:
        with part.open("wb", buffering=0) as sink:
            while size > 0:
                pieces, gathered = _gather(stream, size)
                write_all(sink, pieces, gathered)
                size -= gathered
                tell(gathered)
        part.replace(place)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        msg = f"the disk is full: {escape_control(str(place))} cannot be written"
        raise EngineError(
            msg, hint="Free space and run the same command again.", code="engine.disk-full"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _gather(stream: Forward, size: int) -> tuple[list[memoryview], int]:
    """Take pieces of the next ``size`` bytes, as many as are written at once, and count them."""
    pieces: list[memoryview] = []
    gathered = 0
    while gathered < min(size, GATHERED) and len(pieces) < MOST_PIECES:
        piece = stream.piece(size - gathered)
        if not piece:
            raise EOFError
        pieces.append(piece)
        gathered += len(piece)
    return pieces, gathered


def write_all(sink: IO[bytes], pieces: list[memoryview], size: int) -> None:
    """Write all of ``pieces``, ``size`` bytes together, in one call where the system can."""
    written = os.writev(sink.fileno(), pieces) if hasattr(os, "writev") else 0
    if written == size:
        return
    left = memoryview(b"".join(pieces))[written:]
    while left:
        left = left[sink.write(left) :]


def sweep(folder: Path) -> tuple[str, ...]:
    """Remove what a hostile job may leave in a shared folder, and return its names.

    A link could make us read or publish a file of the host; a pipe would hang whoever opens it.
    Links that stay inside the folder are kept.
    """
    removed: list[str] = []
    root = os.path.realpath(folder)
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                inside = os.path.realpath(path).startswith(root + os.sep)
                if inside:
                    continue
            elif stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                continue
            path.unlink()
            removed.append(path.relative_to(folder).as_posix())
    return tuple(removed)
