"""Files as tar streams: what goes to an engine that cannot see ours, and what comes back.

Nothing is held in memory: a stream is made and read in blocks. What comes out of the box was
written by a program that we do not trust, so only plain files and folders are taken.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from orchestrator.engine.base import EngineLostError, Input, Progress, Report, ignore
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BLOCK = 1024 * 1024

#: Block for unpacking: what fits a processor's cache is copied twice as fast.
SMALL_BLOCK = 64 * 1024

#: Most zeros that end a tar stream: two blocks, filled up to twenty.
TRAILER = 10 * 1024 + 512

#: Files of ours in a build folder that never travel.
MARKS = frozenset({".hefsmith-mark", ".hefsmith-answer"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file (``size`` bytes) or folder of a tree; ``name`` is relative, with slashes."""

    name: str
    path: Path
    folder: bool
    size: int
    executable: bool = False


def list_tree(root: Path, *, prefix: str = "") -> tuple[Entry, ...]:
    """Return the entries of a file or folder, sorted by name; links are followed.

    Raises :class:`EngineError` for what is neither file nor folder, for broken links, and for
    links that lead in circles.
    """
    entries: list[Entry] = []
    _collect(root, prefix or root.name, entries, ())
    return tuple(entries)


def _collect(path: Path, name: str, entries: list[Entry], above: tuple[str, ...]) -> None:
    try:
        found = path.stat()
    except OSError as error:
        msg = f"cannot read {escape_control(str(path))}: {error.strerror or error}"
        raise EngineError(
            msg, hint="Remove the broken link or fix the permissions.", code="engine.input"
        ) from error
    if stat.S_ISREG(found.st_mode):
        executable = bool(found.st_mode & stat.S_IXUSR)
        entries.append(Entry(name, path, False, found.st_size, executable))
    elif stat.S_ISDIR(found.st_mode):
        real = os.path.realpath(path)
        if real in above:
            msg = f"{escape_control(str(path))} is a link to a folder that holds it"
            raise EngineError(msg, hint="Remove the link.", code="engine.input")
        entries.append(Entry(name, path, True, 0))
        for child in sorted(path.iterdir(), key=lambda one: one.name):
            if child.name not in MARKS:
                _collect(child, f"{name}/{child.name}", entries, (*above, real))
    else:
        msg = f"{escape_control(str(path))} is neither a file nor a folder"
        raise EngineError(msg, hint="Remove it from the input.", code="engine.input")


def has_foreign_links(root: Path) -> bool:
    """Tell whether a folder holds links that lead nowhere once it is mounted elsewhere.

    A link inside the folder that is relative still works there; any other does not.
    """
    top = os.path.realpath(root)
    waiting = [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for one in found:
                if one.is_symlink():
                    absolute = Path(one.path).readlink().is_absolute()
                    real = os.path.realpath(one.path)
                    if absolute or not real.startswith(top + os.sep):
                        return True
                elif one.is_dir(follow_symlinks=False):
                    waiting.append(one.path)
    return False


def stage_links(inputs: Sequence[Input], staging: Path) -> tuple[Input, ...]:
    """Return inputs without foreign links: such a folder is laid out anew below ``staging``.

    Files are linked hard where the file system allows it, else copied. An engine that shares
    our folders sees then what one that gets copies sees. ``staging`` is made only if needed.
    """
    staged = []
    for one in inputs:
        if not one.path.is_dir() or not has_foreign_links(one.path):
            staged.append(one)
            continue
        place = staging / one.name
        for entry in list_tree(one.path, prefix="."):
            target = place / entry.name
            if entry.folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            try:
                os.link(os.path.realpath(entry.path), target)
            except OSError:
                shutil.copy2(entry.path, target)
        staged.append(replace(one, path=place))
    return tuple(staged)


def digest_tree(root: Path) -> str:
    """Return the sha256 of a file's bytes, or of a folder's names and its files' digests.

    Times, owners and modes do not count: a copy has the same digest.
    """
    if root.is_file():
        return _digest_file(root)
    total = hashlib.sha256(b"hefsmith tree 1\n")
    for entry in list_tree(root, prefix="."):
        digest = "folder" if entry.folder else _digest_file(entry.path)
        total.update(f"{digest} {entry.name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pack(
    entries: Iterable[Entry],
    *,
    uid: int = 0,
    gid: int = 0,
    what: str = "inputs",
    report: Report = ignore,
) -> Iterator[bytes]:
    """Yield a tar stream of ``entries``: modes 0644 and 0755, no times, the given owner.

    Raises :class:`EngineError` when a file changes its size while it is read.
    """
    listed = list(entries)
    total = sum(entry.size for entry in listed)
    done = 0
    for entry in listed:
        info = tarfile.TarInfo(entry.name)
        info.uid, info.gid = uid, gid
        info.type = tarfile.DIRTYPE if entry.folder else tarfile.REGTYPE
        info.mode = 0o755 if entry.folder or entry.executable else 0o644
        info.size = entry.size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if entry.folder:
            continue
        left = entry.size
        with entry.path.open("rb") as stream:
            while left:
                block = stream.read(min(BLOCK, left))
                if not block:
                    raise _changed(entry)
                left -= len(block)
                done += len(block)
                yield block
                report(Progress(what, done, total))
            if stream.read(1):
                raise _changed(entry)
        if entry.size % 512:
            yield bytes(512 - entry.size % 512)
    yield bytes(1024)


def _changed(entry: Entry) -> EngineError:
    return EngineError(
        f"{escape_control(str(entry.path))} changed while it was being sent",
        hint="Let whatever writes to it finish, then run the same command again.",
        code="engine.input",
    )


class _Reader:
    """A file object over an iterator of blocks, enough for ``tarfile``'s stream mode."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self._total = 0
        self._tail = b""

    def read(self, size: int) -> bytes:
        parts: list[memoryview] = []
        left = size
        while left:
            if not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._note(block)
                self._rest = memoryview(block)
                continue
            part, self._rest = self._rest[:left], self._rest[left:]
            parts.append(part)
            left -= len(part)
        return parts[0].tobytes() if len(parts) == 1 else b"".join(parts)

    def _note(self, block: bytes) -> None:
        self._total += len(block)
        self._tail = (self._tail + block[-TRAILER:])[-TRAILER:]

    def ended_well(self, offset: int) -> bool:
        """Read what is left, and tell whether after ``offset`` come only the zeros of an end.

        ``tarfile`` takes a cut or a damaged header in mid-stream for the end, without a word.
        """
        for block in self._blocks:
            self._note(block)
        after = self._total - offset
        return 1024 <= after <= TRAILER and not any(self._tail[-after:])


def unpack(
    blocks: Iterator[bytes],
    target: Path,
    *,
    what: str = "results",
    total: int | None = None,
    report: Report = ignore,
) -> tuple[str, ...]:
    """Write a tar stream's files below ``target`` and return their names.

    The first part of each name (the folder that was asked for) is dropped. A file appears whole
    or not at all. Links, devices and names that lead out are left out: the box has no business
    with them. Raises :class:`EngineLostError` when the stream ends early.
    """
    names: list[str] = []
    done = 0
    try:
        reader = _Reader(blocks)
        with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r|", bufsize=SMALL_BLOCK) as tar:
            for member in tar:
                place = safe_place(member.name, target)
                if place is None or not (member.isdir() or member.isreg()):
                    continue
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                source = tar.extractfile(member)
                if source is None:
                    continue
                write_whole(source, place)
                names.append(place.relative_to(target).as_posix())
                done += member.size
                report(Progress(what, done, total))
            whole = reader.ended_well(tar.offset)
    except (tarfile.TarError, EOFError) as error:
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
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or any(part == ".." or "\\" in part for part in parts):
        return None
    inner = [part for part in parts if part != "."][1:]
    if not inner or inner[-1] in MARKS or ":" in inner[0]:
        return None
    place = target.joinpath(*inner)
    # A folder that became a link since (nobody but a hostile job makes one) leads out.
    if place.parent.resolve() != target.resolve().joinpath(*inner[:-1]):
        return None
    return place


def write_whole(source: IO[bytes], place: Path) -> None:
    """Write ``source`` to ``place`` by way of a temporary file beside it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    try:
        with part.open("wb") as sink:
            shutil.copyfileobj(source, sink, SMALL_BLOCK)
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
