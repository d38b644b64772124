"""What every room does with files: written whole or not at all, digested, known by their maker."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import processes

if TYPE_CHECKING:
    from collections.abc import Iterator


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex; raises ``OSError``."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomic(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file that others see as it was or as it will be, and never between.

    Folders are made as needed. The text is UTF-8 with the line ends that it has. ``private``:
    only this user may read it. A file that was there keeps its permissions otherwise.
    Raises ``OSError``, and leaves nothing behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
        if not private:
            part.chmod(_mode(path))
        _move(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


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
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        removed += 1
    return removed
