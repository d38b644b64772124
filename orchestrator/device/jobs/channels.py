"""Runs in the emulator's container: many commands over one pair of streams.

A device that is a container has no SSH server of its own. The host's server gives each command a
channel here. A frame is a header (kind, channel, length) and its bytes; kinds from the host:
``O`` open with a JSON command, ``I`` input, ``E`` end of input, ``K`` signal by name; kinds from
here: ``1`` output, ``2`` errors, ``X`` exit status (negative: the number of a signal). All ends
when standard input does.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Iterator

HEADER = struct.Struct(">cII")
BLOCK = 1 << 16

_writing = threading.Lock()


def send(kind: bytes, channel: int, data: bytes = b"") -> None:
    """Write one frame to the host."""
    with _writing:
        sys.stdout.buffer.write(HEADER.pack(kind, channel, len(data)) + data)
        sys.stdout.buffer.flush()


def receive() -> Iterator[tuple[bytes, int, bytes]]:
    """Yield the host's frames until it goes."""
    source = sys.stdin.buffer
    while True:
        header = source.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        kind, channel, size = HEADER.unpack(header)
        data = source.read(size)
        if len(data) < size:
            return
        yield kind, channel, data


class Command:
    """One command in a session of its own, with threads that carry its streams."""

    def __init__(self, channel: int, command: str) -> None:
        self.channel = channel
        self.waiting: queue.Queue[bytes | None] = queue.Queue()
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=os.environ["HOME"],
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.readers = [
            threading.Thread(target=self.carry, args=(b"1", self.process.stdout), daemon=True),
            threading.Thread(target=self.carry, args=(b"2", self.process.stderr), daemon=True),
        ]
        others = [threading.Thread(target=one, daemon=True) for one in (self.feed, self.end)]
        for thread in (*self.readers, *others):
            thread.start()

    def carry(self, kind: bytes, stream: IO[bytes]) -> None:
        """Send what the command prints."""
        while True:
            data = os.read(stream.fileno(), BLOCK)
            if not data:
                return
            send(kind, self.channel, data)

    def feed(self) -> None:
        """Give the command its input; one that no longer reads gets no more."""
        source = self.process.stdin
        assert source is not None
        with suppress(OSError):
            while True:
                data = self.waiting.get()
                if data is None:
                    break
                source.write(data)
                source.flush()
            source.close()

    def end(self) -> None:
        """Tell how it ended, after all that it printed."""
        for reader in self.readers:
            reader.join()
        send(b"X", self.channel, str(self.process.wait()).encode("ascii"))

    def signal(self, name: str) -> None:
        """Signal the command and its children, as sshd does."""
        number = getattr(signal, "SIG" + name, signal.SIGTERM)
        if sys.platform != "win32":  # it runs in a container of Linux
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


def main() -> None:
    """Serve until the host goes."""
    Path(os.environ["HOME"]).mkdir(parents=True, exist_ok=True)
    node = os.environ.get("HEFSMITH_EMULATED_NODE")
    if node:
        Path(node).touch()
    commands: dict[int, Command] = {}
    for kind, channel, data in receive():
        if kind == b"O":
            try:
                commands[channel] = Command(channel, json.loads(data.decode("utf-8")))
            except OSError as error:
                send(b"2", channel, str(error).encode("utf-8", "replace"))
                send(b"X", channel, b"127")
            continue
        command = commands.get(channel)
        if command is None:
            continue
        if kind == b"K":
            command.signal(data.decode("ascii"))
        else:
            command.waiting.put(data if kind == b"I" else None)
    for command in commands.values():
        command.signal("KILL")


if __name__ == "__main__":
    main()
