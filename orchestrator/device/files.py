"""Files on this side of the link: their digests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError, escape_control
from orchestrator.reading import open_regular, page_buffer

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of one data frame; large enough for speed, small enough for hundreds of devices.
BLOCK = 1 << 17


def file_digest(path: Path, length: int | None = None) -> tuple[str, int]:
    """Return the sha256 and the number of bytes of a file, or of its first ``length`` bytes."""
    digest = hashlib.sha256()
    size = 0
    # One buffer: blocks of their own stay with each thread of a fleet, a few MiB apiece.
    buffer = page_buffer(BLOCK)
    try:
        with open_regular(path) as stream:
            while count := stream.readinto(
                buffer if length is None else buffer[: min(BLOCK, length - size)]
            ):
                digest.update(buffer[:count])
                size += count
    except OSError as error:
        msg = f"{escape_control(str(path))}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    return digest.hexdigest(), size
