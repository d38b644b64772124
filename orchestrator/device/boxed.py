"""Programs of the embedded device that run in a container instead of this machine.

For installations without the emulator's libraries: the container has them. What carries the bytes
is given by whoever knows engines; ``jobs/channels.py`` is its other end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import threading
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.device.base import DeviceSpec

_HEADER = struct.Struct(">cII")

#: Bytes that one frame may have; more than that was not sent by our own program.
_FRAME_LIMIT = 1 << 20

_BLOCK = 1 << 16

#: Bytes of what the container said last that are kept for its error.
_LAST_WORDS = 200

#: Docker's number of the stream that carries the frames; the other one is for errors.
_STDOUT = 1

HOME = "/tmp/pi"  # noqa: S108  the container's own


class Carrier(Protocol):
    """A program in a container with its standard streams."""

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (stream, data) until it ends."""

    def send(self, data: bytes) -> bool:
        """Write to its standard input; tell whether that could be done."""

    def close(self) -> None:
        """End the program and remove its container."""


class CarrierMaker(Protocol):
    """Starts a program in the emulator's image."""

    def __call__(self, program: str, env: Mapping[str, str], /) -> Carrier:
        """Start it; ``program`` is the text of a Python script."""


def program() -> str:
    """Return the text of the program that serves commands in the container."""
    place = resources.files("orchestrator.device").joinpath("jobs", "channels.py")
    return place.read_text(encoding="utf-8")


def surroundings(spec: DeviceSpec) -> dict[str, str]:
    """Return the environment of the device's programs in the container."""
    env = {"HOME": HOME, "USER": "pi", "LOGNAME": "pi", "SHELL": "/bin/sh"}
    return env | emulation(spec, "/tmp/hailo0")  # noqa: S108


def emulation(spec: DeviceSpec, node: str) -> dict[str, str]:
    """Return the variables by which a stand-in for HailoRT knows what it is, and its device."""
    known = {
        "HEFSMITH_EMULATED_NODE": node,
        "HEFSMITH_EMULATED_CHIP": spec.emulated_chip,
        "HEFSMITH_EMULATED_HAILORT": spec.emulated_hailort,
    }
    return {name: value for name, value in known.items() if value is not None}


class BoxInput:
    """The standard input of one command, with the methods of an asyncio writer."""

    def __init__(self, box: BoxedCommands, channel: int) -> None:
        self._box = box
        self._channel = channel
        self._closed = False
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep bytes until :meth:`drain`."""
        self._kept.append(data)

    async def drain(self) -> None:
        """Send what was written."""
        data, self._kept = b"".join(self._kept), []
        for start in range(0, len(data), _BLOCK):
            part = data[start : start + _BLOCK]
            if not await asyncio.to_thread(self._box.send, b"I", self._channel, part):
                msg = "the container of the embedded device has gone"
                raise BrokenPipeError(msg)

    def close(self) -> None:
        """Tell the command that no more comes."""
        if not self._closed:
            self._closed = True
            self._box.send(b"E", self._channel)


class BoxedProcess:
    """One command in the container, with what :class:`asyncio.subprocess.Process` has of it."""

    def __init__(self, box: BoxedCommands, channel: int) -> None:
        self.stdin = BoxInput(box, channel)
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()
        self.returncode: int | None = None
        self._box = box
        self._channel = channel
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Return the exit status when the command has ended."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal the command and its children."""
        name = signal.Signals(number).name.removeprefix("SIG")
        self._box.send(b"K", self._channel, name.encode("ascii"))

    def take(self, kind: bytes, data: bytes) -> None:
        """Take a frame of this channel; called on the loop's thread."""
        if self._ended.is_set():
            return
        if kind == b"1":
            self.stdout.feed_data(data)
        elif kind == b"2":
            self.stderr.feed_data(data)
        elif kind == b"X":
            self.returncode = int(data)
            self.stdout.feed_eof()
            self.stderr.feed_eof()
            self._ended.set()


class BoxedCommands:
    """The commands that run in one container."""

    def __init__(self, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self._carrier = carrier
        self._loop = loop
        self._processes: dict[int, BoxedProcess] = {}
        self._gone = threading.Event()
        self._said = bytearray()
        self._sending = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="hefsmith-device", daemon=True)
        self._reader.start()

    def spawn(self, command: str) -> BoxedProcess:
        """Start one command of the device's shell."""
        if self._gone.is_set():
            raise self._lost()
        channel = len(self._processes) + 1
        process = BoxedProcess(self, channel)
        self._processes[channel] = process
        self.send(b"O", channel, json.dumps(command).encode("utf-8"))
        if self._gone.is_set():
            # It went after the question above: nobody else would tell this command.
            self._hand_on(channel, b"X", b"-9")
        return process

    def send(self, kind: bytes, channel: int, data: bytes = b"") -> bool:
        """Send one frame; tell whether the container took it."""
        with self._sending:
            return self._carrier.send(_HEADER.pack(kind, channel, len(data)) + data)

    def close(self) -> None:
        """End every command and remove the container; blocks, as no thread starts at the end."""
        self._carrier.close()
        self._reader.join(5.0)

    def _lost(self) -> DeviceError:
        last = bytes(self._said).decode("utf-8", "replace").strip()
        msg = f"the container of the embedded device has ended {last}".rstrip()
        return DeviceError(msg, hint="Run the same command again.", code="device.box")

    def _read(self) -> None:
        """Hand the container's frames to their channels; a thread of its own."""
        buffer = bytearray()
        for stream, data in self._carrier.frames():
            if stream != _STDOUT:
                self._said += data
                del self._said[:-_LAST_WORDS]
                continue
            buffer += data
            while len(buffer) >= _HEADER.size:
                kind, channel, size = _HEADER.unpack_from(buffer)
                if size > _FRAME_LIMIT:
                    self._carrier.close()
                    break
                if len(buffer) < _HEADER.size + size:
                    break
                payload = bytes(buffer[_HEADER.size : _HEADER.size + size])
                del buffer[: _HEADER.size + size]
                self._hand_on(channel, kind, payload)
        self._gone.set()
        for channel in list(self._processes):
            self._hand_on(channel, b"X", b"-9")

    def _hand_on(self, channel: int, kind: bytes, data: bytes) -> None:
        process = self._processes.get(channel)
        if process is not None:
            # The loop may be closed already when the last frames come.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(process.take, kind, data)
