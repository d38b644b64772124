"""The one stream to a container: its output comes in, our words go out.

Docker multiplexes standard output and error as frames with a header of eight bytes. The same
socket carries standard input, so one connection serves a whole build, over SSH too.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from typing import TYPE_CHECKING, Any

from orchestrator.engine.failures import lost_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT, STDERR = 1, 2

#: A line longer than this is handed on in pieces, in bytes.
LONGEST_LINE = 4 * 1024**2


class LineSplitter:
    """Joins the frames of the two streams into lines, each stream for itself."""

    def __init__(self) -> None:
        self._rest = {STDOUT: b"", STDERR: b""}

    def feed(self, stream: int, data: bytes) -> Iterator[tuple[int, str]]:
        """Yield the lines that ``data`` completes, as (stream, line)."""
        *lines, rest = (self._rest.get(stream, b"") + data).split(b"\n")
        if len(rest) > LONGEST_LINE:
            lines.append(rest)
            rest = b""
        self._rest[stream] = rest
        for line in lines:
            yield stream, decode(line)

    def flush(self) -> Iterator[tuple[int, str]]:
        """Yield what is left without a line end."""
        for stream, rest in self._rest.items():
            if rest:
                yield stream, decode(rest)
            self._rest[stream] = b""


def split_lines(frames: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """Yield the lines of frames as (stream, line), with what is left at the end."""
    splitter = LineSplitter()
    for stream, data in frames:
        yield from splitter.feed(stream, data)
    yield from splitter.flush()


def decode(line: bytes) -> str:
    """Return a line as text: UTF-8 with what is not replaced, without a carriage return."""
    return line.decode("utf-8", "replace").rstrip("\r")


class Wire:
    """A container's standard streams over the socket that ``attach`` gives."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._writing = threading.Lock()
        self._closed = False

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (stream, data) until the other side ends or :meth:`close` is called.

        The end, and an error on the way, look the same on purpose: neither proves anything.
        """
        ends: tuple[type[Exception], ...] = (*lost_errors(), ValueError)
        try:
            while True:
                header = self._read(8)
                if header is None:
                    return
                stream, size = struct.unpack(">BxxxL", header)
                data = self._read(size)
                if data is None:
                    return
                yield stream, data
        except ends:
            return

    def _read(self, size: int) -> bytes | None:
        from docker.utils.socket import read

        parts: list[bytes] = []
        left = size
        while left:
            part = read(self._sock, left)
            if not part:
                return None
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def send(self, data: bytes) -> bool:
        """Write to the container's standard input; tell whether the socket took it."""
        sock = getattr(self._sock, "_sock", self._sock)
        ends: tuple[type[Exception], ...] = (*lost_errors(), ValueError)
        with self._writing:
            if self._closed:
                return False
            try:
                sock.sendall(data)
            except ends:
                return False
            return True

    def close(self) -> None:
        """End the connection; a reader in another thread comes back too."""
        with self._writing:
            self._closed = True
        close_socket(self._sock)


def close_socket(sock: Any) -> None:
    """Close a socket of the SDK such that a reader in another thread wakes up."""
    import socket

    raw = getattr(sock, "_sock", sock)
    with contextlib.suppress(*lost_errors(), AttributeError, TypeError, ValueError):
        raw.shutdown(socket.SHUT_RDWR)
    # Both layers, or the socket stays open until somebody collects garbage.
    for layer in (sock, raw):
        with contextlib.suppress(*lost_errors(), AttributeError, ValueError):
            layer.close()


class LogStream:
    """The output that the engine kept of a container, from the beginning.

    The SDK's own call mixes the two streams and never closes its connection.
    """

    def __init__(self, api: Any, container: str, *, follow: bool) -> None:
        asked = {"stdout": 1, "stderr": 1, "follow": int(follow), "tail": "all"}
        url = f"{api.base_url}/v{api.api_version}/containers/{container}/logs"
        self._response = api.get(url, params=asked, stream=True, timeout=(10.0, None))
        if self._response.status_code >= 400:
            import docker.errors

            said = self._response.text
            self._response.close()
            raise docker.errors.APIError(said, self._response, said)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (stream, data) until the end, like :meth:`Wire.frames`."""
        ends: tuple[type[Exception], ...] = (*lost_errors(), ValueError, AttributeError)
        try:
            while len(header := self._response.raw.read(8)) == 8:
                stream, size = struct.unpack(">BxxxL", header)
                data = self._response.raw.read(size)
                yield stream, data
                if len(data) < size:
                    return
        except ends:
            return
        finally:
            self._response.close()

    def close(self) -> None:
        """End the connection; a reader in another thread comes back too."""
        body = getattr(getattr(self._response.raw, "_fp", None), "fp", None)
        if body is not None:
            close_socket(getattr(body, "raw", body))
        # Not the response itself: its lock is the reader's, who closes it.


def open_wire(api: Any, container: str, *, output: bool = True) -> Wire:
    """Attach to a container's streams, before it starts or, without ``output``, at any time.

    Output of the past is not asked for here: the SDK loses what arrives in one piece with the
    header of the answer.
    """
    asked = {"stdin": 1, "stdout": int(output), "stderr": int(output), "stream": 1, "logs": 0}
    sock = api.attach_socket(container, params=asked)
    raw = getattr(sock, "_sock", sock)
    # The client's time limit is for requests; a job may be silent for an hour.
    with contextlib.suppress(AttributeError, OSError):
        raw.settimeout(None)
    return Wire(sock)
