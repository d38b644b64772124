"""The line to the host: frames over stdin and stdout (Python 3.9).

A frame is one letter, four bytes of length (big-endian), the payload. J = JSON (a request or
its answer), D = data, E = end of the host's data, V = a line of a job (JSON), B = heartbeat, sent
by both ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import struct
import threading
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from .files import Json

#: Comes first, so that the host can skip what a login script printed.
MAGIC = b"\nHEFSMITH-AGENT-1\n"
HEADER = struct.Struct(">cI")

#: Seconds without a frame after which the host is taken for dead; it sends one every 3 s.
SILENCE = 20.0

#: Seconds between our own heartbeats: work on a slow card can be long without an answer.
BEAT = 3.0

#: Seconds that the main thread gets to clean up when the host has gone.
LAST_MOMENTS = 10.0


class Link:
    """Frames in and out; a thread of its own reads, so that a dead host is noticed at once."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, silence: float = SILENCE) -> None:
        self.gone = threading.Event()
        self.on_gone: list[Callable[[], None]] = []
        self._source, self._sink, self._silence = source, sink, silence
        self._frames: queue.Queue[tuple[bytes | None, bytes]] = queue.Queue(maxsize=64)
        self._waiting_since: float | None = None
        self._writing = threading.Lock()
        self._ending = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def receive(self) -> tuple[bytes, bytes]:
        """Return the next frame; ``EOFError`` when the host has gone."""
        kind, payload = self._frames.get()
        if kind is None:
            raise EOFError
        return kind, payload

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send one frame; any thread may."""
        with self._writing:
            self._sink.write(HEADER.pack(kind, len(payload)))
            self._sink.write(payload)
            self._sink.flush()

    def send_json(self, kind: bytes, value: Json) -> None:
        """Send one frame of JSON."""
        self.send(kind, json.dumps(value).encode("utf-8"))

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                self._waiting_since = time.monotonic()
                head = self._source.read(HEADER.size)
                if len(head) < HEADER.size:
                    break
                kind, length = HEADER.unpack(head)
                payload = self._source.read(length) if length else b""
                self._waiting_since = None
                if len(payload) < length:
                    break
                if kind != b"B":
                    self._frames.put((kind, payload))
        self._lose()

    def _beat(self) -> None:
        """Say that we are there; a thread of its own, since writing may wait for the host."""
        with contextlib.suppress(OSError, ValueError):
            while not self.gone.wait(BEAT):
                self.send(b"B")

    def _watch(self) -> None:
        while not self.gone.wait(1.0):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self._silence:
                self._lose()

    def _lose(self) -> None:
        with self._ending:
            if self.gone.is_set():
                return
            self.gone.set()
        for action in self.on_gone:
            with contextlib.suppress(Exception):
                action()
        with contextlib.suppress(queue.Full):
            self._frames.put((None, b""), timeout=LAST_MOMENTS / 2)
        # The main thread may hang in a write that nobody reads any more.
        time.sleep(LAST_MOMENTS)
        os._exit(4)
