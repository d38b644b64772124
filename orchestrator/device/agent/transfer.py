"""Files over the line, in order, so that a part is always a true prefix (Python 3.9)."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import IO, TYPE_CHECKING

from .files import BLOCK, Json, Refused, as_refusal, remember, sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from .link import Link


def describe_part(path: Path) -> Json:
    """Return how much of a file has arrived, and the sha256 of that much."""
    try:
        size = path.stat().st_size
    except OSError:
        return {"offset": 0, "prefix": None}
    return {"offset": size, "prefix": sha256_of(path, size)}


def receive_file(link: Link, part: Path, offset: int, sha256: str, size: int) -> bool:
    """Write D frames to ``part`` from ``offset`` on until E, and compare the digest.

    The part stays when the line is cut, for a resume. A refusal (no room) is sent at once and
    what still comes is dropped; then the answer has been given and False is returned.
    """
    receiver = _Receiver(link, part, offset)
    try:
        while True:
            kind, payload = link.receive()
            if kind == b"E":
                break
            receiver.take(payload)
    finally:
        receiver.close()
    if receiver.refused:
        return False
    if part.stat().st_size != size or receiver.digest.hexdigest() != sha256:
        part.unlink()
        msg = "the file that arrived differs from the one that was sent"
        raise Refused(msg, code="digest")
    remember(part, sha256)
    return True


class _Receiver:
    """One file that is being written; the first error ends the writing, not the reading."""

    def __init__(self, link: Link, part: Path, offset: int) -> None:
        self.digest = hashlib.sha256()
        self.refused = False
        self._link = link
        self._stream: IO[bytes] | None = None
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            self._stream = part.open("r+b" if offset else "wb")
            self._read_prefix(self._stream, offset)
        except (OSError, Refused) as error:
            self._refuse(error)

    def _read_prefix(self, stream: IO[bytes], offset: int) -> None:
        left = offset
        while left:
            block = stream.read(min(BLOCK, left))
            if not block:
                msg = "the part that had arrived became shorter"
                raise Refused(msg, code="incomplete")
            self.digest.update(block)
            left -= len(block)
        stream.seek(offset)
        stream.truncate()

    def take(self, payload: bytes) -> None:
        """Write one block, unless something has gone wrong before."""
        if self.refused or self._stream is None:
            return
        try:
            self._stream.write(payload)
        except OSError as error:
            self._refuse(error)
        else:
            self.digest.update(payload)

    def close(self) -> None:
        """Flush to the disk and close."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            if not self.refused:
                self._refuse(error)
        finally:
            with contextlib.suppress(OSError):
                self._stream.close()

    def _refuse(self, error: Exception) -> None:
        self.refused = True
        if not self._link.gone.is_set():
            self._link.send_json(b"J", as_refusal(error).answer)


def send_file(link: Link, path: Path) -> Json:
    """Send a file as D frames; return its size and digest."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
            link.send(b"D", block)
    return {"sha256": digest.hexdigest(), "bytes": size}
