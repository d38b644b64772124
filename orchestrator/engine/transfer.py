"""Files as tar streams: what goes to an engine that cannot see ours.

Nothing is held in memory: a stream is made in blocks. What comes back is taken by
:mod:`orchestrator.engine.results`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import files
from orchestrator.engine.base import Input, Progress, Report, ignore
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BLOCK = 1024 * 1024

#: Files of ours in a build folder that never travel.
MARKS = frozenset({".hefsmith-mark", ".hefsmith-answer"})


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file (``size`` bytes) or folder of a tree; ``name`` is relative, with slashes."""

    name: str
    path: Path
    folder: bool
    size: int
    executable: bool = False


#: Stands for what cannot be handed over: it reads as an empty file.
NOTHING = Path(os.devnull)
_NO_BYTES = hashlib.sha256().hexdigest()


def list_tree(root: Path, *, prefix: str = "", lenient: bool = False) -> tuple[ArchiveMember, ...]:
    """Return the entries of a file or folder, sorted by name; links are followed.

    Raises :class:`EngineError` for what is neither file nor folder, for broken links, and for
    links that lead in circles. ``lenient`` lists those inside a folder as empty files instead:
    a set of pictures with one bad entry is read without it, and the entry is named.
    """
    entries: list[ArchiveMember] = []
    _collect(root, prefix or root.name, entries, (), lenient)
    return tuple(entries)


def _collect(
    path: Path, name: str, entries: list[ArchiveMember], above: tuple[str, ...], lenient: bool
) -> None:
    try:
        _collect_one(path, name, entries, above, lenient)
    except EngineError:
        if not lenient or not above:
            raise
        entries.append(ArchiveMember(name, NOTHING, False, 0))


def _collect_one(
    path: Path, name: str, entries: list[ArchiveMember], above: tuple[str, ...], lenient: bool
) -> None:
    try:
        found = path.stat()
    except OSError as error:
        msg = f"cannot read {escape_control(str(path))}: {error.strerror or error}"
        raise EngineError(
            msg, hint="Remove the broken link or fix the permissions.", code="engine.input"
        ) from error
    if stat.S_ISREG(found.st_mode):
        executable = bool(found.st_mode & stat.S_IXUSR)
        entries.append(ArchiveMember(name, path, False, found.st_size, executable))
    elif stat.S_ISDIR(found.st_mode):
        real = os.path.realpath(path)
        if real in above:
            msg = f"{escape_control(str(path))} is a link to a folder that holds it"
            raise EngineError(msg, hint="Remove the link.", code="engine.input")
        entries.append(ArchiveMember(name, path, True, 0))
        for child in sorted(path.iterdir(), key=lambda one: one.name):
            if child.name not in MARKS:
                _collect(child, f"{name}/{child.name}", entries, (*above, real), lenient)
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
        for entry in list_tree(one.path, prefix=".", lenient=True):
            target = place / entry.name
            if entry.folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            if entry.path == NOTHING:
                target.touch()
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
        return files.sha256_of(root)
    total = hashlib.sha256(b"hefsmith tree 1\n")
    for entry in list_tree(root, prefix=".", lenient=True):
        digest = "folder" if entry.folder else _NO_BYTES
        if not entry.folder and entry.path != NOTHING:
            digest = files.sha256_of(entry.path)
        total.update(f"{digest} {entry.name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def pack(
    entries: Iterable[ArchiveMember],
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


def _changed(entry: ArchiveMember) -> EngineError:
    return EngineError(
        f"{escape_control(str(entry.path))} changed while it was being sent",
        hint="Let whatever writes to it finish, then run the same command again.",
        code="engine.input",
    )
