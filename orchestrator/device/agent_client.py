"""The host's end of the line to the agent on a device. Runs on the loop thread.

The agent's modules (``agent/``) are sent as text with every session and loaded in memory
there; see ``agent/link.py`` for the frames.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import asyncssh

from orchestrator.device.agent_boot import agent_command, agent_payload, no_start
from orchestrator.device.faults import (
    DeviceBusy,
    DeviceFull,
    DeviceMisbehaves,
    DeviceSilent,
    FolderNotOurs,
)
from orchestrator.device.replies import HELLO, Call, Hello, Line, Refusal, read_line, read_reply
from orchestrator.device.unreached import link_lost
from orchestrator.errors import DeviceError, escape_control, last_line

MAGIC = b"\nHEFSMITH-AGENT-1\n"
_HEADER = struct.Struct(">cI")

#: Both ends send a frame so often; an end that sent nothing for ten times as long is lost.
BEAT_SECONDS = 3.0
SILENT_BEATS = 10

#: Multiplies the time that every request is given, and the goodbye.
PATIENCE = 1.0

START_SECONDS = 30.0
#: What a login script may print before our agent speaks, in bytes.
NOISE_LIMIT = 64 << 10

#: The largest payload of each kind of frame, in bytes: answers (the facts are the longest),
#: blocks of files, lines of jobs, heartbeats.
FRAME_LIMITS = {b"J": 8 << 20, b"D": 1 << 20, b"V": 2 << 20, b"B": 0}

#: Every request may take the seconds that it names and those that its bytes take at this rate.
SLOWEST = 8 << 10

#: A block that goes out must have gone in this time.
DRAIN_SECONDS = 60.0

#: How long a session's end waits for the agent to put its things in order.
GOODBYE_SECONDS = 15.0
LAST_SECONDS = 3.0

T = TypeVar("T")
LineSink = Callable[[Line], None]


@dataclass(eq=False)
class _Pending:
    """The request that is under way: what it takes, and what has come for it."""

    do: str
    seconds: float
    sink: LineSink | None = None
    write: Callable[[bytes], object] | None = None
    most: int = 0
    """How many bytes of data may come."""
    received: int = 0
    failure: Exception | None = None
    """What went wrong on this side while the answer was still coming."""
    answer: asyncio.Future[bytes] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class AgentClient:
    """One agent; one request at a time, and none of them for ever.

    An agent that breaks the protocol, is silent, or is interrupted in a request is given up:
    whatever it sends later would be taken for an answer to something else.
    """

    hello: Hello

    def __init__(self, spec_name: str, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self.name = escape_control(spec_name)
        self._process = process
        self._pending: _Pending | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = asyncio.Lock()
        self._stderr = bytearray()
        self._noise = bytearray()
        self._ended: Exception | None = None
        self._quiet_beats = 0

    @classmethod
    async def start(
        cls, conn: asyncssh.SSHClientConnection, *, name: str, python: str, login: str = "ssh"
    ) -> AgentClient:
        """Start the agent; :class:`DeviceLacks` when the device has no Python for it.

        ``login`` is the line that logs in there by hand.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                process = await conn.create_process(agent_command(python), encoding=None)
        except TimeoutError as error:
            raise _silent(escape_control(name), "starting the helper", START_SECONDS) from error
        self = cls(name, process)
        self._tasks.append(asyncio.ensure_future(self._collect_stderr()))
        # A login that runs no programs has ended by now; what it said of that comes next.
        with suppress(BrokenPipeError):
            process.stdin.write(agent_payload())
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._skip_noise()
        except (asyncio.IncompleteReadError, TimeoutError, BrokenPipeError) as error:
            lost = conn.is_closed()
            self._ended = error
            await self.close()
            if lost:
                raise
            # What still waited ends as its input does, with a status that says nothing.
            waited = isinstance(error, TimeoutError)
            status = None if waited else self._process.exit_status
            out, err = bytes(self._noise), bytes(self._stderr)
            raise no_start(
                self.name, python=python, login=login, out=out, err=err, status=status
            ) from error
        self._tasks.append(asyncio.ensure_future(self._read()))
        self._tasks.append(asyncio.ensure_future(self._beat()))
        try:
            self.hello = await self.ask(HELLO)
        except BaseException:
            await self.close()
            raise
        return self

    async def ask(
        self,
        call: Call[T],
        *,
        sink: LineSink | None = None,
        seconds: float = 0.0,
        **fields: object,
    ) -> T:
        """Send a request and return its answer; a refusal becomes the matching error.

        ``seconds`` are given beside those of the call itself.
        """
        return await self._hear(call, _Pending(call.do, call.seconds + seconds, sink), fields)

    async def upload(
        self, call: Call[T], blocks: AsyncGenerator[bytes], *, seconds: float, **fields: object
    ) -> T:
        """Send a request that takes data; ends early when the device refuses in between."""
        loop = asyncio.get_running_loop()
        async with self._asked(_Pending(call.do, call.seconds + seconds)) as one:
            await self._send_request(call.do, fields)
            began, sent = loop.time(), 0
            async with aclosing(blocks):
                async for block in blocks:
                    if one.answer.done():
                        break
                    self._send(b"D", block)
                    await self._drain()
                    sent += len(block)
                    if loop.time() - began > DRAIN_SECONDS + sent / SLOWEST:
                        raise self._give_up(self._too_slow(one, loop.time() - began))
            self._send(b"E", b"")
            await self._drain()
            return self._judge(call, await self._wait(one))

    async def download(
        self, call: Call[T], write: Callable[[bytes], object], *, most: int, **fields: object
    ) -> T:
        """Send a request that gives at most ``most`` bytes; ``write`` gets them in order."""
        one = _Pending(call.do, call.seconds, write=write, most=most)
        return await self._hear(call, one, fields)

    async def _hear(self, call: Call[T], one: _Pending, fields: Mapping[str, object]) -> T:
        """Send a request, and return its answer when all that comes before it was taken."""
        async with self._asked(one):
            await self._send_request(call.do, fields)
            payload = await self._wait(one)
            if one.failure is not None:
                raise one.failure
            return self._judge(call, payload)

    async def close(self, patience: float = GOODBYE_SECONDS) -> None:
        """Say goodbye and wait for the agent's end, as long as the link lasts.

        The agent undoes what must not stay when its input ends, so that is waited for in
        every case, but for a shorter time when it has been given up.
        """
        if self._process.exit_status is None:
            limit = min(patience, LAST_SECONDS) if self._ended else patience
            with suppress(OSError, asyncssh.Error, TimeoutError, DeviceError):
                async with asyncio.timeout(PATIENCE * limit):
                    if not self._ended:
                        self._send_json({"do": "bye"})
                    self._process.stdin.write_eof()
                    await self._process.wait_closed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._process.close()

    # Sending.

    @asynccontextmanager
    async def _asked(self, one: _Pending) -> AsyncIterator[_Pending]:
        """Make a request the one under way; one that ends without its answer ends the agent."""
        async with self._busy:
            self._pending = one
            try:
                yield one
            finally:
                if not one.answer.done():
                    one.answer.cancel()
                    self._give_up(link_lost(self.name, f"waiting for {one.do}"))
                self._pending = None

    async def _send_request(self, do: str, fields: Mapping[str, object]) -> None:
        self._send_json({"do": do, **fields})
        await self._drain()

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
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._process.stdin.drain()
        except TimeoutError as error:
            silent = _silent(self.name, "sending to it", DRAIN_SECONDS)
            raise self._give_up(silent) from error
        except (OSError, asyncssh.Error) as error:
            raise self._ended or self._lost(error) from error

    async def _beat(self) -> None:
        """Send heartbeats, and count how many there were since the agent was last heard.

        Beats are counted and not seconds: a host that slept, or waited for a password, has
        not listened either.
        """
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._quiet_beats += 1
            if self._quiet_beats > SILENT_BEATS:
                self._give_up(_silent(self.name, "talking to it", SILENT_BEATS * BEAT_SECONDS))
                return
            self._send(b"B", b"")

    # Hearing.

    async def _wait(self, one: _Pending) -> bytes:
        """Return the answer's bytes; the time for it grows with what comes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            left = began + PATIENCE * one.seconds + one.received / SLOWEST - loop.time()
            if left <= 0:
                raise self._give_up(self._too_slow(one, loop.time() - began))
            done, _ = await asyncio.wait({one.answer}, timeout=left)
            if done:
                return one.answer.result()

    def _judge(self, call: Call[T], payload: bytes) -> T:
        try:
            answer = read_reply(call.reply, payload)
        except ValueError as error:
            raise self._give_up(self._misbehaves(how=f"answered {call.do} with {error}")) from error
        if isinstance(answer, Refusal):
            raise refusal(self.name, answer)
        return answer

    async def _skip_noise(self) -> None:
        """Read past what a login script printed, to the agent's first mark."""
        while not self._noise.endswith(MAGIC):
            if len(self._noise) > NOISE_LIMIT:
                del self._noise[:-1000]
                raise TimeoutError
            self._noise += await self._process.stdout.readexactly(1)

    async def _read(self) -> None:
        stdout = self._process.stdout
        try:
            while True:
                kind, length = _HEADER.unpack(await stdout.readexactly(_HEADER.size))
                limit = FRAME_LIMITS.get(kind)
                if limit is None or length > limit:
                    raise self._misbehaves(how=f"sent a frame {kind!r} of {length} bytes")
                payload = await stdout.readexactly(length) if length else b""
                self._quiet_beats = 0
                self._take(kind, payload)
        except DeviceError as error:
            self._give_up(error)
        except (OSError, asyncssh.Error, EOFError) as error:
            self._give_up(self._lost(error))

    def _take(self, kind: bytes, payload: bytes) -> None:
        """Give a frame to the request that it belongs to."""
        one = self._pending
        if kind == b"B":
            return
        if one is None or one.answer.done():
            if kind == b"V":  # a last line of a job's child, after the job
                return
            raise self._misbehaves(how="sent something that nobody asked for")
        if kind == b"J":
            one.answer.set_result(payload)
        elif kind == b"D":
            one.received += len(payload)
            if one.write is None or one.received > one.most:
                raise self._misbehaves(how=f"sent more than {one.most} bytes for {one.do}")
            self._hand_over(one, one.write, payload)
        elif one.sink is not None:
            try:
                line = read_line(payload)
            except ValueError as error:
                raise self._misbehaves(how=f"sent a line with {error}") from error
            self._hand_over(one, one.sink, line)

    def _hand_over(self, one: _Pending, take: Callable[[T], object], what: T) -> None:
        """Call what belongs to somebody else; its error ends the request, not the reading."""
        if one.failure is not None:
            return
        try:
            take(what)
        except Exception as error:
            one.failure = error

    def _give_up(self, error: Exception) -> Exception:
        """End the agent for good; whoever waits gets the first reason."""
        if self._ended is None:
            self._ended = error
        if self._pending is not None and not self._pending.answer.done():
            self._pending.answer.set_exception(self._ended)
        return self._ended

    def _too_slow(self, one: _Pending, seconds: float) -> DeviceError:
        return _silent(self.name, f"waiting for {one.do}", seconds)

    def _misbehaves(self, *, how: str) -> DeviceError:
        return DeviceMisbehaves(
            f"{self.name}: hefsmith's helper on the device {escape_control(how)[:300]}",
            hint="It answered with something else: is it the device that you mean? Check its "
            "python3, and update hefsmith.",
        )

    def _lost(self, error: Exception | None) -> DeviceError:
        said = bytes(self._stderr).decode("utf-8", "replace").strip()
        if said and not isinstance(error, asyncssh.Error | OSError):
            last = escape_control(last_line(said, ""))[:300]
            return DeviceError(
                f"{self.name}: hefsmith's helper on the device ended: {last}",
                code="device.helper-ended",
            )
        if isinstance(error, asyncio.IncompleteReadError):
            error = None
        return link_lost(self.name, "talking to it", error)

    async def _collect_stderr(self) -> None:
        with suppress(OSError, asyncssh.Error):
            while block := await self._process.stderr.read(4096):
                self._stderr += block
                del self._stderr[:-8192]


def _silent(name: str, doing: str, seconds: float) -> DeviceSilent:
    return DeviceSilent(
        f"{name}: no answer for {seconds:.0f} s while {doing}",
        hint="It is reached, but does not go on: is its disk or its chip stuck? Look there "
        "with: dmesg --human; then restart it and run the same command again.",
    )


_REFUSALS: Mapping[str, type[DeviceError]] = {"full": DeviceFull, "not_ours": FolderNotOurs}


def _hint_of(code: str) -> str | None:
    """Return what to do about a request that the device refused."""
    return {
        "full": "Free some room there (df -h), or keep fewer releases: --keep 2",
        "not_ours": "Move that folder away, or name the model otherwise.",
        "read_only": "Is its overlay file system on (sudo raspi-config), or does its card fail? "
        "dmesg --human",
        "no_folder": "On the device: ls -ld ~/.hefsmith; mount the disk that it leads to, or move "
        "it away.",
        "disk_fails": "Its card or disk fails; look there with: dmesg --human",
        "os": "Look at the folder's owner and rights on the device.",
        "service": "Allow it: sudo visudo, or run: sudo systemctl stop/start by hand.",
    }.get(code)


def refusal(name: str, answer: Refusal) -> DeviceError:
    """Return the error for a request that the device refused."""
    message = escape_control(answer.message)[:1000]
    code = escape_control(answer.error)[:60]
    if code == "busy":
        who = escape_control(answer.holder.who if answer.holder else "unknown")
        return DeviceBusy(
            f"{name}: {message} ({who})",
            hint="Wait for it to end and run the same command again.",
            code="device.ship-in-progress",
        )
    kind = _REFUSALS.get(code, DeviceError)
    told = None if code == "full" else f"device.{code}"
    return kind(f"{name}: {message}", hint=_hint_of(code), code=told)
