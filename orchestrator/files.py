"""What every room does with files: written whole or not at all, digested, known by their maker."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hefsmith_worker.regular import open_regular

from orchestrator import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How long another process may take to change a list.
CHANGE_SECONDS = 10.0


def sha256_of(path: Path) -> str:
    """Return the sha256 of a regular file's bytes, in hex; raises ``OSError``."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomic(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file that others see as it was or as it will be, and never between.

    Folders are made as needed. The text is UTF-8 with the line ends that it has. ``private``:
    only this user may read it. A file that was there keeps its permissions otherwise.
    Raises ``OSError`` that names ``path``, and leaves nothing behind then.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path, private=private, needed=len(data)) as stream:
        stream.write(data)


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Let one process at a time read a list and write it anew: each would drop what another one
    added in between. Where nothing can be locked, or is for too long, one goes on without."""
    import filelock

    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, NotImplementedError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
            held.enter_context(lock.acquire(timeout=CHANGE_SECONDS))
        yield


@contextlib.contextmanager
def replacing(
    path: Path, *, private: bool = False, needed: int | None = None
) -> Iterator[IO[bytes]]:
    """Give a stream to a new file that takes the place of ``path`` when nothing went wrong.

    As :func:`write_atomic`, for what is written piece by piece. What the system refuses names
    ``path``, says what is there now and, of a full disk, how many bytes are ``needed``.
    """
    # Noted before any is made: the folders of a write that fails go with it, and no other's.
    made = [one for one in (path.parent, *path.parent.parents) if not os.path.lexists(one)]
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part"
        )
        part = Path(name)
        with os.fdopen(number, "wb") as stream:
            yield stream
        if not private:
            part.chmod(_mode(path))
        _move(part, path)
    except BaseException as error:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        refused: OSError | None = None
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            refused = _in_words(error, path, needed)  # asks the folder what is free there
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # refused where another wrote into it meanwhile
        if refused is not None:
            raise refused from error
        raise


def relative(path: Path, folder: Path) -> str:
    """Return a path as a file in ``folder`` names it, on every system with slashes."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.resolve().as_posix()


#: What a system answers where one may look and not write.
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
#: What a system answers to a write that it does not do.
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSALS = {*FULL, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}


def _in_words(error: OSError, path: Path, needed: int | None) -> OSError:
    kept = "what was there is kept" if path.exists() else "nothing was written"
    room = ""
    if error.errno in FULL and needed is not None:
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            room = f"; {_size(needed)} are needed, {_size(free)} are free"
    return OSError(error.errno, f"{error.strerror}: {kept}{room}", str(path))


def free_at(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or would be; of no disk, very many."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return 1 << 62


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


@contextlib.contextmanager
def scratch(stem: str) -> Iterator[Path]:
    """Give a folder of this process in the temporary one, removed at the block's end.

    Those of the same ``stem`` whose process is gone are removed first.
    """
    folder = make_scratch(stem)
    try:
        yield folder
    finally:
        remove_tree(folder)


def make_scratch(stem: str) -> Path:
    """Make such a folder; its maker removes it, or else a later process does."""
    place = Path(tempfile.gettempdir())
    remove_abandoned(place, stem)
    folder = place / marked_name(stem)
    folder.mkdir(mode=0o700)
    return folder


def remove_tree(folder: Path) -> bool:
    """Remove a folder and all that is in it, links as links; tell whether it is gone.

    What is read-only is made writable first, which Windows wants of files and Linux of folders.
    A file that a scanner or a reader holds on Windows gets a moment to be let go. What cannot be
    removed stays behind, and that is no error: a later process finds it again.
    """

    def unlock(act: Callable[..., object], name: str, _: object) -> None:
        tries = act in (os.unlink, os.rmdir)
        if not os.path.lexists(name):
            return
        for pause in (0.0, *(PAUSES if os.name == "nt" else ())):
            time.sleep(pause)
            with contextlib.suppress(OSError):
                for one in (Path(name).parent, Path(name)):
                    if not one.is_symlink() and (one == folder or folder in one.parents):
                        one.chmod(stat.S_IMODE(one.stat().st_mode) | 0o700)
                if tries:
                    act(name)
                return

    shutil.rmtree(folder, onerror=unlock)
    if os.path.lexists(folder):
        # A folder that could not be listed was not emptied, only unlocked.
        shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)


def _mode(path: Path) -> int:
    """Return the permissions that a file has, else what this process gives to new ones."""
    with contextlib.suppress(OSError):
        return path.stat().st_mode & 0o777
    return 0o666 & ~_umask()


def _umask() -> int:
    # The system tells it only by setting it, which other threads would notice.
    with contextlib.suppress(OSError):
        for line in (
            Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split("\n")
        ):
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


#: Pauses in seconds between tries on Windows, where nobody moves a file onto an open one.
PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def _move(part: Path, path: Path) -> None:
    """Put a file in another's place; somebody who reads that one right now gets time to end."""
    for pause in PAUSES if os.name == "nt" else ():
        try:
            part.replace(path)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    part.replace(path)


def marked_name(stem: str) -> str:
    """Return a new name for a file or folder that tells which process made it."""
    return f"{stem}-{processes.this_process()}.{secrets.token_hex(3)}"


def abandoned(folder: Path, stem: str) -> Iterator[Path]:
    """Yield what stands in ``folder`` under a :func:`marked_name` of a process that is gone.

    ``stem`` is a glob pattern. Names of another form count by their age alone.
    """
    try:
        found = sorted(folder.glob(f"{stem}-*"))
    except OSError:
        return
    for path in found:
        maker = re.search(r"-(\d+(?:-\w+){4})(?:\.|$)", path.name, re.ASCII)
        try:
            age = time.time() - path.lstat().st_mtime
        except OSError:
            continue
        if not processes.is_alive(maker[1] if maker else "", age=age):
            yield path


def remove_abandoned(folder: Path, stem: str) -> int:
    """Remove what :func:`abandoned` yields and return how much there was of it."""
    removed = 0
    for path in abandoned(folder, stem):
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        removed += 1
    return removed
