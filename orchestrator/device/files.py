"""Files on this side of the link: digests, and writes that end whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of one data frame; large enough for speed, small enough for hundreds of devices.
BLOCK = 1 << 17


def file_digest(path: Path, length: int | None = None) -> tuple[str, int]:
    """Return the sha256 and the number of bytes of a file, or of its first ``length`` bytes."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20 if length is None else min(1 << 20, length - size)):
                digest.update(block)
                size += len(block)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    return digest.hexdigest(), size


@contextmanager
def write_through(path: Path) -> Iterator[IO[bytes]]:
    """Give a stream to a temporary file that replaces ``path`` when nothing went wrong."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
