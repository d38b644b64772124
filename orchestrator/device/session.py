"""One open connection to a device: run, put, get, jobs, identify. Synchronous."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self, TypeVar

import asyncssh

from orchestrator.device.address import ssh_command
from orchestrator.device.agent_client import GOODBYE_SECONDS, LAST_SECONDS, AgentClient
from orchestrator.device.base import (
    Completed,
    DeviceSpec,
    FactLevel,
    Identity,
    JobResult,
    Progress,
    is_done,
)
from orchestrator.device.faults import CommandTimeout, DeviceMisbehaves
from orchestrator.device.files import BLOCK, file_digest
from orchestrator.device.joblog import JobLog
from orchestrator.device.replies import (
    FACTS,
    GET,
    JOB_CLOSE,
    JOB_OPEN,
    JOB_RUN,
    PUT,
    Call,
    Facts,
    Received,
)
from orchestrator.device.unreached import link_lost, no_session
from orchestrator.errors import ConfigError, DeviceError, escape_control, shorten
from orchestrator.files import replacing
from orchestrator.reading import open_regular

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from orchestrator.device.agent_client import LineSink
    from orchestrator.device.loop import LoopThread

T = TypeVar("T")

#: The group by which programs that share a chip find each other; public programs use this word.
SHARED_GROUP = "SHARED"

#: Bytes that one command may print; what it prints beyond that ends it.
OUTPUT_LIMIT = 16 << 20

#: Bytes that a file that is fetched may have: outputs of a validation are far smaller.
FETCH_LIMIT = 4 << 30

#: Bytes a second that a device hashes or copies at least, for the time that it is given.
CARD_RATE = 2 << 20


def sharing(spec: DeviceSpec) -> dict[str, str]:
    """Return the variable by which programs on the device share its chip, where they shall."""
    return {"HEFSMITH_SHARED_GROUP": SHARED_GROUP} if spec.shared else {}


class SshSession:
    """One open connection over asyncssh, to an SSH device or the embedded one.

    Use as a context manager; methods may be called from any thread.
    """

    def __init__(
        self, thread: LoopThread, spec: DeviceSpec, conn: asyncssh.SSHClientConnection
    ) -> None:
        self.spec = spec
        self.conn = conn
        self._thread = thread
        self._agent: AgentClient | None = None
        self._identities: dict[FactLevel, Identity] = {}
        self._closed = False

    @property
    def home(self) -> PurePosixPath:
        """Return the login's home folder on the device, absolute."""
        return PurePosixPath(self.agent().hello.home)

    def identify(self, *, level: FactLevel = "full", refresh: bool = False) -> Identity:
        """Ask the device what it is; the answer is kept for the session.

        ``quick`` reads chip and HailoRT version only, ``deep`` adds what ``hef doctor`` needs.
        """
        from orchestrator.device.identity import read_identity

        if refresh:
            self._identities.clear()
        if level not in self._identities:
            asked = time.time()
            raw = self.facts(level)
            self._identities[level] = read_identity(raw, host_time=asked)
        return self._identities[level]

    def facts(self, level: FactLevel = "deep") -> Facts:
        """Return the raw facts that :meth:`identify` reads (``hef doctor`` looks at them too)."""
        return self.ask(FACTS, level=level, python=shlex.split(self.spec.python)).facts

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        shown: str | None = None,
    ) -> Completed:
        """Run one command to its end; a non-zero exit is a result, not an error.

        ``shown`` names it in what a person reads; its words do else.

        Raises :class:`CommandTimeout` and :class:`LinkLost`.
        """
        words = tuple(str(word) for word in argv)
        settings = [f"{name}={value}" for name, value in (env or {}).items()]
        command = shlex.join((["env", *settings] if settings else []) + list(words))
        work = self._run(words, command, stdin, timeout, shorten(shown or shlex.join(words)))
        doing = f"{self.spec.name}: running {shorten(shown or words[0], 60)}"
        return self._thread.call(work, doing=doing)

    def put(self, local: Path, remote: PurePosixPath, *, progress: Progress | None = None) -> None:
        """Write one file there: temporary name, flushed, sha256 compared, renamed.

        Relative paths are below the home folder. Parent folders are made.
        """
        digest, size = file_digest(local)
        self.upload(PUT, local, 0, size, progress, path=str(remote), sha256=digest, size=size)

    def get(self, remote: PurePosixPath, local: Path, *, most: int = FETCH_LIMIT) -> None:
        """Fetch one file of at most ``most`` bytes; ``local`` is replaced only by all of it."""
        with replacing(local) as stream:
            digest = hashlib.sha256()

            def take(block: bytes) -> None:
                digest.update(block)
                stream.write(block)

            work = self.agent().download(GET, take, most=most, path=str(remote))
            answer = self._thread.call(work, doing=f"{self.spec.name}: fetching {remote.name}")
            if answer.sha256 != digest.hexdigest():
                msg = f"{self.spec.name}: {remote} changed while it was read"
                raise DeviceError(msg, code="device.digest")

    def run_job(
        self,
        script: Path,
        *,
        files: Mapping[str, Path] | None = None,
        request: Mapping[str, object] | None = None,
        fetch: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        on_event: Callable[[Mapping[str, object]], None] | None = None,
    ) -> JobResult:
        """See :meth:`orchestrator.device.base.JobRunner.run_job`."""
        started = time.monotonic()
        sent = {**(files or {}), script.name: script}
        listed = []
        for name, path in sent.items():
            digest, size = file_digest(path)
            listed.append({"name": name, "sha256": digest, "bytes": size})
        total = sum(int(str(item["bytes"])) for item in listed)
        opened = self.ask(JOB_OPEN, seconds=total / CARD_RATE, files=listed)
        folder = PurePosixPath(opened.folder.replace("\\", "/"))
        log = JobLog(on_event)
        try:
            for item in listed:
                if item["name"] in opened.missing:
                    self.upload(
                        PUT, sent[str(item["name"])], 0, int(str(item["bytes"])), None,
                        path=str(folder / str(item["name"])), sha256=item["sha256"],
                        size=item["bytes"],
                    )  # fmt: skip
            answer = self.ask(
                JOB_RUN,
                sink=log.take,
                seconds=timeout,
                python=shlex.split(self.spec.python),
                script=script.name,
                request=dict(request or {}),
                env={"HAILORT_LOGGER_PATH": "NONE", **sharing(self.spec), **(env or {})},
                timeout=timeout,
            )
            if answer.timed_out:
                msg = f"{self.spec.name}: {script.name} ran past its limit of {timeout:.0f} s"
                raise CommandTimeout(msg, hint="\n".join(log.last(5)) or None)
            back: dict[str, Path] = {}
            if answer.code == 0 or is_done(log.events):
                for name, target in (fetch or {}).items():
                    self.get(folder / name, target)
                    back[name] = target
        finally:
            with suppress(DeviceError):
                self.ask(JOB_CLOSE)
        return JobResult(
            code=answer.code,
            events=tuple(log.events),
            log=log.text,
            files=back,
            seconds=time.monotonic() - started,
        )

    def close(self, patience: float = GOODBYE_SECONDS) -> None:
        """End the connection; safe to call twice.

        The device gets ``patience`` seconds to put its things in order.
        """
        if not self._closed:
            self._closed = True
            self._thread.call(self._close(patience), doing=f"{self.spec.name}: saying goodbye")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        # Whoever pressed Ctrl-C has waited enough.
        hurry = kind is not None and not issubclass(kind, Exception)
        self.close(LAST_SECONDS if hurry else GOODBYE_SECONDS)

    # For the other modules of this room.

    def agent(self) -> AgentClient:
        """Return the session's agent, started when first needed."""
        if self._agent is None:
            work = self._start_agent()
            self._agent = self._thread.call(work, doing=f"{self.spec.name}: starting the helper")
        return self._agent

    def ask(
        self,
        call: Call[T],
        *,
        sink: LineSink | None = None,
        seconds: float = 0.0,
        **fields: object,
    ) -> T:
        """Send one request to the agent and return its answer."""
        work = self.agent().ask(call, sink=sink, seconds=seconds, **fields)
        # A job has its own events to show.
        doing = None if sink else f"{self.spec.name}: waiting for {call.do.replace('_', ' ')}"
        return self._thread.call(work, doing=doing)

    def upload(
        self,
        call: Call[Received],
        source: Path,
        start: int,
        total: int,
        progress: Progress | None,
        **fields: object,
    ) -> Received:
        """Send a request with a file's bytes from ``start`` on."""
        blocks = _read_blocks(source, start, total, progress)
        work = self.agent().upload(call, blocks, seconds=total / CARD_RATE, **fields)
        return self._thread.call(work)

    # On the loop thread.

    async def _start_agent(self) -> AgentClient:
        try:
            return await AgentClient.start(
                self.conn,
                name=self.spec.name,
                python=self.spec.python,
                login=escape_control(ssh_command(self.spec)),
            )
        except (OSError, asyncssh.Error, EOFError) as error:
            raise no_session(self.spec.name, "starting the helper", error, self.conn) from error

    async def _run(
        self, words: tuple[str, ...], command: str, stdin: bytes | None, limit: float, shown: str
    ) -> Completed:
        started = time.monotonic()
        time_left = asyncio.timeout(limit)
        try:
            async with time_left:
                process = await self.conn.create_process(command, encoding=None)
                try:
                    out, err = await _communicate(process, stdin or b"")
                    await process.wait_closed()
                except BaseException:
                    with suppress(OSError, asyncssh.Error):
                        process.kill()
                    process.close()
                    raise
        except TimeoutError as error:
            if not time_left.expired():
                raise link_lost(self.spec.name, f"running {shown}", error) from error
            msg = f"{self.spec.name}: {shown} ran past its limit of {limit:.0f} s"
            raise CommandTimeout(msg, hint=self._hint_by_hand()) from None
        except OverflowError as error:
            msg = f"{self.spec.name}: {shown} printed more than {OUTPUT_LIMIT >> 20} MB"
            raise DeviceMisbehaves(msg, hint=self._hint_by_hand()) from error
        except (OSError, asyncssh.Error) as error:
            raise no_session(self.spec.name, f"running {shown}", error, self.conn) from error
        if process.exit_status is None and process.exit_signal is None:
            raise link_lost(self.spec.name, f"running {shown}")
        return Completed(
            argv=words,
            code=process.exit_status if process.exit_status is not None else -1,
            out=out.decode("utf-8", "replace"),
            err=err.decode("utf-8", "replace"),
            seconds=time.monotonic() - started,
        )

    def _hint_by_hand(self) -> str:
        return f"Log in there and see what it does: {escape_control(ssh_command(self.spec))}"

    async def _close(self, patience: float) -> None:
        if self._agent is not None:
            await self._agent.close(patience)
            self._agent = None
        self.conn.close()
        with suppress(OSError, asyncssh.Error, TimeoutError):
            async with asyncio.timeout(min(patience, 5)):
                await self.conn.wait_closed()


async def _communicate(
    process: asyncssh.SSHClientProcess[bytes], stdin: bytes
) -> tuple[bytes, bytes]:
    """Give a process its input and return its outputs; ``OverflowError`` when they do not end."""

    async def read(stream: asyncssh.SSHReader[bytes]) -> bytes:
        found = bytearray()
        while block := await stream.read(BLOCK):
            found += block
            if len(found) > OUTPUT_LIMIT:
                raise OverflowError
        return bytes(found)

    async def write() -> None:
        with suppress(BrokenPipeError):
            process.stdin.write(stdin)
            await process.stdin.drain()
            if stdin:
                process.stdin.write_eof()

    tasks = [asyncio.ensure_future(one) for one in (read(process.stdout), read(process.stderr))]
    writing = asyncio.ensure_future(write())
    try:
        out, err = await asyncio.gather(*tasks)
    finally:
        for task in (*tasks, writing):
            task.cancel()
        await asyncio.gather(*tasks, writing, return_exceptions=True)
    return out, err


async def _read_blocks(
    path: Path, offset: int, size: int, progress: Progress | None
) -> AsyncGenerator[bytes]:
    """Yield a file's blocks; memory stays at one block, whatever the size."""
    done = offset
    try:
        stream = await asyncio.to_thread(open_regular, path)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    with stream:
        stream.seek(offset)
        while block := stream.read(BLOCK):
            yield block
            done += len(block)
            if progress is not None:
                progress(done, size)
