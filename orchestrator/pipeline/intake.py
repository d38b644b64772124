"""What a job has announced: read once, hashed and kept for the cache while the job goes on.

The bytes are a stranger's, and so are their names: only plain files inside the build folder
count. A large file is written into the cache in the very pass that hashes it, so that what is
kept there is what was checked, and nobody waits for it at the end of a stage.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract import names

from orchestrator import files
from orchestrator.pipeline.cache import LINKED_ROLES
from orchestrator.reading import page_buffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future, ThreadPoolExecutor

    from orchestrator.pipeline.cache import CachedFile

#: Bytes from which a file is kept for the cache while it is hashed.
WORTH_KEEPING = 1 << 20

_BLOCK = 1 << 20

#: Kept copies are dated back by so much (ns), so that any later write to one shows in its time.
_BACK = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """What the file system says of a file; a job cannot write to it and keep all of them."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was read: its mark, its sha256, and the copy that is kept of it."""

    mark: Mark
    sha256: str
    kept: Path | None = None


class ArtifactIntake:
    """The announced files of one build, in ``staging``.

    ``keeping`` is a folder on the cache's disk that takes copies, ``None`` to keep none; it is
    made when it is needed, and is gone after :meth:`close`.
    """

    def __init__(self, staging: Path, keeping: Path | None = None) -> None:
        self._real = os.path.realpath(staging)
        self._keeping = keeping
        self._folder: Path | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[str, Future[Seen | None]] = {}
        self._seen: dict[str, Seen] = {}
        #: What the build will say of a file's content.
        self._said: dict[str, str] = {}

    def expect(self, path: str, size: int, *, keep: bool) -> None:
        """Begin to read a file that a job has told of; it need not be here yet."""
        pending = self._pending.get(path)
        if pending is None or pending.done():
            self._pending[path] = self._submit(path, size, keep=keep and size >= WORTH_KEEPING)

    def _submit(self, name: str, size: int, *, keep: bool) -> Future[Seen | None]:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            # Hashing lets other threads run: outputs of segmentation come to a gigabyte.
            self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "hefsmith-intake")
        return self._pool.submit(self._read, name, size, keep=keep)

    def here(self, files: Iterable[CachedFile], *, keep: bool = False) -> bool:
        """Tell whether all of a stage's files are here as they were announced."""
        files = list(files)
        for file in files:
            pending = self._pending.get(file.path)
            if pending is None or (pending.done() and pending.result() is None):
                # It was not here when it was announced, and may have come since.
                keeps = keep and file.role not in LINKED_ROLES
                self.expect(file.path, file.bytes, keep=keeps)
        whole = True
        for file in files:
            seen = self._pending.pop(file.path).result()
            if seen is None or seen.sha256 != file.sha256:
                # It may have become whole since; what was written twice within one tick of the
                # file system's clock has the same mark, and other bytes.
                self._seen.pop(file.path, None)
                seen = self._read(file.path, file.bytes, keep=False)
            if seen is None or seen.sha256 != file.sha256:
                whole = False
        if whole:
            self._said.update({file.path: file.sha256 for file in files})
        return whole

    def kept(self, files: Iterable[CachedFile]) -> Mapping[str, Path]:
        """Return the copies that are kept of files, by their path."""
        found: dict[str, Path] = {}
        for file in files:
            seen = self._seen.get(file.path)
            if seen is not None and seen.kept is not None and seen.sha256 == file.sha256:
                found[file.path] = seen.kept
        return found

    def trust(self, files: Iterable[CachedFile]) -> None:
        """Take files that we have put into the build folder ourselves as they are now."""
        for file in files:
            mark = self._mark(file.path)
            if mark is not None:
                self._seen[file.path] = Seen(mark, file.sha256)
                self._said[file.path] = file.sha256

    def changed(self) -> list[str]:
        """Return the files that are no longer what was said of them, now that no job runs."""
        again: dict[str, Future[Seen | None] | None] = {}
        for path in self._said:
            mark, seen = self._mark(path), self._seen.get(path)
            if mark is None:
                again[path] = None
            elif seen is None or mark != seen.mark:
                again[path] = self._submit(path, mark.size, keep=False)
        return [
            path
            for path, reading in again.items()
            if reading is None
            or (seen := reading.result()) is None
            or seen.sha256 != self._said[path]
        ]

    def close(self) -> None:
        """Stop reading, and drop the copies that nobody took."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        if self._folder is not None:
            files.remove_tree(self._folder)
            self._folder = None

    # Files

    def _place(self, name: str) -> Path | None:
        """Return where a file with that name is; ``None`` for a name that leads elsewhere."""
        if names.fault(name) is not None:
            return None
        path = os.path.join(self._real, *names.parts(name))  # noqa: PTH118
        return Path(path) if os.path.realpath(path) == path else None

    def _mark(self, name: str) -> Mark | None:
        place = self._place(name)
        try:
            found = None if place is None else place.lstat()
        except OSError:
            return None
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        return Mark(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def _read(self, name: str, size: int, *, keep: bool) -> Seen | None:
        """Return what a file holds, read now unless it was; ``None`` if it is not whole here."""
        mark = self._mark(name)
        if mark is None or mark.size != size:
            return None
        seen = self._seen.get(name)
        if seen is not None and seen.mark == mark:
            return seen
        place = self._place(name)
        assert place is not None
        kept: Path | None = None
        try:
            # Never a pipe, on which we would hang, nor a link that took the file's place.
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            number = os.open(place, flags | getattr(os, "O_BINARY", 0))
            with FileIO(number, "rb") as source:
                digest, kept = self._take(source, keep=keep)
        except OSError:
            return None
        if self._mark(name) != mark:
            return None
        seen = self._seen[name] = Seen(mark, digest, kept)
        return seen

    def _take(self, source: FileIO, *, keep: bool) -> tuple[str, Path | None]:
        """Hash a file, and copy it in the same pass; a cache that is full takes no copy."""
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            sink, kept = self._open_copy(stack) if keep else (None, None)
            buffer = page_buffer(_BLOCK)
            while count := source.readinto(buffer):
                digest.update(buffer[:count])
                if sink is None:
                    continue
                try:
                    write_all(sink, buffer[:count])
                except OSError:
                    sink.close()
                    assert kept is not None
                    kept.unlink()
                    sink = kept = None
        if kept is not None:
            status = kept.stat()
            os.utime(kept, ns=(status.st_atime_ns, status.st_mtime_ns - _BACK))
        return digest.hexdigest(), kept

    def _open_copy(self, stack: contextlib.ExitStack) -> tuple[FileIO | None, Path | None]:
        if self._keeping is None:
            return None, None
        try:
            if self._folder is None:
                self._keeping.mkdir(parents=True, exist_ok=True)
                self._folder = Path(tempfile.mkdtemp(prefix=".intake-", dir=self._keeping))
            number, name = tempfile.mkstemp(dir=self._folder)
            # As other files of the cache, and not for the owner's eyes alone.
            os.chmod(name, 0o644)  # noqa: PTH101
            return stack.enter_context(FileIO(number, "wb")), Path(name)
        except OSError:
            return None, None


def write_all(sink: FileIO, data: memoryview) -> None:
    """Write all of ``data``: a single call may take less when the disk is nearly full."""
    while data:
        data = data[sink.write(data) :]
