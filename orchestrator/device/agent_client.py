"""The host's end of the line to the agent on a device. Runs on the loop thread.

The agent's modules (``agent/``) are sent as text with every session and loaded in memory
there; see ``agent/link.py`` for the frames.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import struct
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from functools import cache
from importlib import resources
from typing import Any

import asyncssh

from orchestrator.device.agent import PARTS
from orchestrator.device.connection import link_lost
from orchestrator.device.faults import (
    DeviceBusy,
    DeviceFull,
    DeviceLacks,
    FolderNotOurs,
)
from orchestrator.errors import DeviceError, escape_control

MAGIC = b"\nHEFSMITH-AGENT-1\n"
_HEADER = struct.Struct(">cI")
_BEAT_SECONDS = 3.0
_START_SECONDS = 30.0
_PACKAGE = "hefsmith_agent"

Json = dict[str, Any]
EventSink = Callable[[Json], None]

_BOOT = """\
import json, sys, types
parts = json.loads(sys.stdin.buffer.read(%d).decode("utf-8"))
package = types.ModuleType("hefsmith_agent")
package.__path__ = []
sys.modules["hefsmith_agent"] = package
for name, text in parts:
    module = types.ModuleType("hefsmith_agent." + name)
    module.__package__ = "hefsmith_agent"
    sys.modules[module.__name__] = module
    exec(compile(text, "hefsmith_agent/" + name + ".py", "exec"), module.__dict__)
module.main()
"""


@cache
def agent_payload() -> bytes:
    """Return the agent's modules as one JSON list of (name, text), in loading order."""
    folder = resources.files("orchestrator.device.agent")
    parts = [(name, folder.joinpath(f"{name}.py").read_text(encoding="utf-8")) for name in PARTS]
    return json.dumps(parts).encode("utf-8")


def agent_command(python: str) -> str:
    """Return the shell line that starts the agent. ``-I``: the login's environment stays out."""
    return shlex.join([*shlex.split(python), "-I", "-c", _BOOT % len(agent_payload())])


class AgentClient:
    """One agent; one request at a time."""

    def __init__(self, spec_name: str, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self.name = spec_name
        self.hello: Json = {}
        self._process = process
        self._answers: asyncio.Queue[Json | Exception] = asyncio.Queue()
        self._data: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=32)
        self._sink: EventSink | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = asyncio.Lock()
        self._stderr = bytearray()
        self._noise = bytearray()
        self._ended: Exception | None = None

    @classmethod
    async def start(
        cls, conn: asyncssh.SSHClientConnection, *, name: str, python: str
    ) -> AgentClient:
        """Start the agent; :class:`DeviceLacks` when the device has no Python for it."""
        process = await conn.create_process(agent_command(python), encoding=None)
        self = cls(name, process)
        self._tasks.append(asyncio.ensure_future(self._collect_stderr()))
        process.stdin.write(agent_payload())
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._skip_noise()
        except (asyncio.IncompleteReadError, TimeoutError, BrokenPipeError) as error:
            lost = conn.is_closed()
            await self.close()
            if lost:
                raise
            raise self._no_start(python) from error
        self._tasks.append(asyncio.ensure_future(self._read()))
        self._tasks.append(asyncio.ensure_future(self._beat()))
        self.hello = await self.ask("hello")
        return self

    async def ask(self, do: str, *, sink: EventSink | None = None, **fields: object) -> Json:
        """Send a request and return its answer; a refusal becomes the matching error."""
        async with self._busy:
            self._sink = sink
            self._send_json({"do": do, **fields})
            await self._drain()
            return await self._answer()

    async def upload(self, do: str, blocks: AsyncGenerator[bytes], **fields: object) -> Json:
        """Send a request that takes data; ends early when the device refuses in between."""
        async with self._busy:
            self._send_json({"do": do, **fields})
            async with aclosing(blocks):
                async for block in blocks:
                    if not self._answers.empty():
                        break
                    self._send(b"D", block)
                    await self._drain()
            self._send(b"E", b"")
            await self._drain()
            return await self._answer()

    async def download(self, do: str, write: Callable[[bytes], object], **fields: object) -> Json:
        """Send a request that gives data; ``write`` gets the blocks in their order."""
        async with self._busy:
            self._send_json({"do": do, **fields})
            await self._drain()
            while True:
                block = asyncio.ensure_future(self._data.get())
                answer = asyncio.ensure_future(self._answers.get())
                await asyncio.wait({block, answer}, return_when=asyncio.FIRST_COMPLETED)
                if block.done():
                    answer.cancel()
                    payload = block.result()
                    if answer.done() and not answer.cancelled():
                        self._answers.put_nowait(answer.result())
                    if payload is None:
                        return await self._answer()
                    write(payload)
                    continue
                block.cancel()
                return self._judge(answer.result())

    async def close(self) -> None:
        """Say goodbye and wait for the agent's end, as long as the link lasts."""
        if self._ended is None and self._process.exit_status is None:
            with suppress(OSError, asyncssh.Error, TimeoutError, DeviceError):
                async with asyncio.timeout(15):
                    if self.hello:
                        self._send_json({"do": "bye"})
                    self._process.stdin.write_eof()
                    await self._process.wait_closed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._process.close()

    def _send(self, kind: bytes, payload: bytes) -> None:
        if self._ended is not None:
            raise self._ended
        try:
            self._process.stdin.write(_HEADER.pack(kind, len(payload)) + payload)
        except (OSError, asyncssh.Error) as error:
            raise self._lost(error) from error

    def _send_json(self, value: Mapping[str, object]) -> None:
        self._send(b"J", json.dumps(value).encode("utf-8"))

    async def _drain(self) -> None:
        try:
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error) as error:
            raise self._ended or self._lost(error) from error

    async def _answer(self) -> Json:
        return self._judge(await self._answers.get())

    def _judge(self, answer: Json | Exception) -> Json:
        if isinstance(answer, Exception):
            self._answers.put_nowait(answer)
            raise answer
        if "error" in answer:
            raise refusal(self.name, answer)
        return answer

    async def _skip_noise(self) -> None:
        """Read past what a login script printed, to the agent's first mark."""
        while not self._noise.endswith(MAGIC):
            self._noise += await self._process.stdout.readexactly(1)

    async def _read(self) -> None:
        stdout = self._process.stdout
        error: Exception | None = None
        try:
            while True:
                kind, length = _HEADER.unpack(await stdout.readexactly(_HEADER.size))
                payload = await stdout.readexactly(length) if length else b""
                if kind == b"D":
                    await self._data.put(payload)
                elif kind == b"E":
                    await self._data.put(None)
                elif kind == b"V":
                    if self._sink is not None:
                        self._sink(json.loads(payload))
                else:
                    await self._answers.put(json.loads(payload))
        except (OSError, asyncssh.Error, EOFError, ValueError) as caught:
            error = caught
        self._ended = self._lost(error)
        await self._answers.put(self._ended)

    def _lost(self, error: Exception | None) -> DeviceError:
        said = bytes(self._stderr).decode("utf-8", "replace").strip()
        if said and not isinstance(error, asyncssh.Error | OSError):
            last = escape_control(said.splitlines()[-1])
            return DeviceError(
                f"{self.name}: our helper on the device ended: {last}",
                code="device.helper-ended",
            )
        if isinstance(error, asyncio.IncompleteReadError):
            error = None
        return link_lost(self.name, "talking to it", error)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self._send(b"B", b"")

    async def _collect_stderr(self) -> None:
        with suppress(OSError, asyncssh.Error):
            while block := await self._process.stderr.read(4096):
                self._stderr += block
                del self._stderr[:-8192]

    def _no_start(self, python: str) -> DeviceLacks:
        said = bytes(self._stderr or self._noise).decode("utf-8", "replace").strip()
        last = escape_control(said.splitlines()[-1]) if said else "it said nothing"
        return DeviceLacks(
            f"{self.name}: {escape_control(python)} (3.9 or newer) does not run there: {last}",
            hint="On the device: sudo apt install python3"
            if not said or "not found" in said
            else f"Log in there and see what this prints: {escape_control(python)} --version",
        )


_REFUSALS: Mapping[str, tuple[type[DeviceError], str | None]] = {
    "full": (DeviceFull, "Free some room there (df -h), or keep fewer releases: --keep 2"),
    "not_ours": (FolderNotOurs, "Move that folder away, or name the model otherwise."),
    "os": (DeviceError, "Look at the folder's owner and rights on the device."),
    "service": (DeviceError, "Allow it: sudo visudo, or run: sudo systemctl stop/start by hand."),
}


def refusal(name: str, answer: Json) -> DeviceError:
    """Return the error for a request that the device refused."""
    message = escape_control(str(answer.get("message", "refused")))
    code = str(answer["error"])
    if code == "busy":
        holder = answer.get("holder") or {}
        who = escape_control(str(holder.get("who") or "unknown"))
        return DeviceBusy(
            f"{name}: {message} ({who})",
            hint="Wait for it to end and run the same command again.",
            code="device.ship-in-progress",
        )
    kind, hint = _REFUSALS.get(code, (DeviceError, None))
    return kind(f"{name}: {message}", hint=hint, code=None if code == "full" else f"device.{code}")
