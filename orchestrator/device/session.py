"""One open connection to a device: run, put, get, jobs, identify. Synchronous.

See :class:`orchestrator.device.base.Session` for the contract of each method.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shlex
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import asyncssh

from orchestrator.device.agent_client import AgentClient
from orchestrator.device.base import Completed, DeviceSpec, FactLevel, Identity, JobResult, Progress
from orchestrator.device.connection import link_lost
from orchestrator.device.faults import CommandTimeout
from orchestrator.device.files import BLOCK, file_digest, write_through
from orchestrator.errors import ConfigError, DeviceError, escape_control

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from orchestrator.device.loop import LoopThread


class SshSession:
    """A session over asyncssh, for an SSH device or the embedded one."""

    def __init__(
        self, thread: LoopThread, spec: DeviceSpec, conn: asyncssh.SSHClientConnection
    ) -> None:
        self.spec = spec
        self.conn = conn
        self._thread = thread
        self._agent: AgentClient | None = None
        self._identities: dict[FactLevel, Identity] = {}
        self._closed = False

    # The contract.

    @property
    def home(self) -> PurePosixPath:
        """Return the login's home folder on the device, absolute."""
        return PurePosixPath(str(self.agent().hello["home"]))

    def identify(self, *, level: FactLevel = "full", refresh: bool = False) -> Identity:
        """Ask the device what it is; the answer is kept for the session."""
        from orchestrator.device.identity import read_identity

        if refresh:
            self._identities.clear()
        if level not in self._identities:
            asked = time.time()
            raw = self.facts(level)
            self._identities[level] = read_identity(raw, host_time=asked)
        return self._identities[level]

    def facts(self, level: FactLevel = "deep") -> dict[str, Any]:
        """Return the raw facts that :meth:`identify` reads (``hef doctor`` looks at them too)."""
        answer = self.ask("facts", level=level, python=shlex.split(self.spec.python))
        facts: dict[str, Any] = answer["facts"]
        return facts

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run one command to its end; a non-zero exit is a result, not an error."""
        words = tuple(str(word) for word in argv)
        settings = [f"{name}={value}" for name, value in (env or {}).items()]
        command = shlex.join((["env", *settings] if settings else []) + list(words))
        return self._thread.call(self._run(words, command, stdin, timeout))

    def put(self, local: Path, remote: PurePosixPath, *, progress: Progress | None = None) -> None:
        """Write one file there: temporary name, flushed, sha256 compared, renamed."""
        digest, size = file_digest(local)
        self.upload("put", local, 0, size, progress, path=str(remote), sha256=digest, size=size)

    def get(self, remote: PurePosixPath, local: Path) -> None:
        """Fetch one file; ``local`` is replaced only when all of it has come."""
        local.parent.mkdir(parents=True, exist_ok=True)
        with write_through(local) as stream:
            digest = hashlib.sha256()

            def take(block: bytes) -> None:
                digest.update(block)
                stream.write(block)

            answer = self._thread.call(self.agent().download("get", take, path=str(remote)))
            if answer["sha256"] != digest.hexdigest():
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
        """Run one Python file in a temporary folder on the device."""
        started = time.monotonic()
        sent = {**(files or {}), script.name: script}
        listed = []
        for name, path in sent.items():
            digest, size = file_digest(path)
            listed.append({"name": name, "sha256": digest, "bytes": size})
        opened = self.ask("job_open", files=listed)
        folder = PurePosixPath(str(opened["folder"]).replace("\\", "/"))
        try:
            for item in listed:
                if item["name"] in opened["missing"]:
                    self.upload(
                        "put", sent[str(item["name"])], 0, int(str(item["bytes"])), None,
                        path=str(folder / str(item["name"])), sha256=item["sha256"],
                        size=item["bytes"],
                    )  # fmt: skip
            log: list[str] = []
            events: list[Mapping[str, object]] = []

            def take(message: dict[str, Any]) -> None:
                event = _as_event(message.get("stdout"))
                if event is None:
                    log.append(str(message.get("stdout", message.get("stderr", ""))))
                    return
                events.append(event)
                if on_event is not None:
                    on_event(event)

            answer = self.ask(
                "job_run",
                sink=take,
                python=shlex.split(self.spec.python),
                script=script.name,
                request=dict(request or {}),
                env={"HAILORT_LOGGER_PATH": "NONE", **(env or {})},
                timeout=timeout,
            )
            if answer["timed_out"]:
                msg = f"{self.spec.name}: {script.name} ran past its limit of {timeout:.0f} s"
                raise CommandTimeout(msg, hint="\n".join(log[-5:]) or None)
            back: dict[str, Path] = {}
            if answer["code"] == 0:
                for name, target in (fetch or {}).items():
                    self.get(folder / name, target)
                    back[name] = target
        finally:
            with suppress(DeviceError):
                self.ask("job_close")
        return JobResult(
            code=int(answer["code"]),
            events=tuple(events),
            log="\n".join(log),
            files=back,
            seconds=time.monotonic() - started,
        )

    def close(self) -> None:
        """End the connection; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._thread.call(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # For the other modules of this room.

    def agent(self) -> AgentClient:
        """Return the session's agent, started when first needed."""
        if self._agent is None:
            self._agent = self._thread.call(self._start_agent())
        return self._agent

    def ask(
        self, do: str, *, sink: Callable[[dict[str, Any]], None] | None = None, **fields: object
    ) -> dict[str, Any]:
        """Send one request to the agent and return its answer."""
        return self._thread.call(self.agent().ask(do, sink=sink, **fields))

    def upload(
        self,
        do: str,
        source: Path,
        start: int,
        total: int,
        progress: Progress | None,
        **fields: object,
    ) -> dict[str, Any]:
        """Send a request with a file's bytes from ``start`` on."""
        blocks = _read_blocks(source, start, total, progress)
        return self._thread.call(self.agent().upload(do, blocks, **fields))

    # On the loop thread.

    async def _start_agent(self) -> AgentClient:
        try:
            return await AgentClient.start(self.conn, name=self.spec.name, python=self.spec.python)
        except (OSError, asyncssh.Error, EOFError) as error:
            raise link_lost(self.spec.name, "starting our helper", error) from error

    async def _run(
        self, words: tuple[str, ...], command: str, stdin: bytes | None, limit: float | None
    ) -> Completed:
        started = time.monotonic()
        shown = escape_control(shlex.join(words))
        try:
            process = await self.conn.create_process(command, encoding=None)
            try:
                async with asyncio.timeout(limit):
                    out, err = await process.communicate(stdin or b"")
                    await process.wait_closed()
            except TimeoutError:
                with suppress(OSError, asyncssh.Error):
                    process.kill()
                process.close()
                msg = f"{self.spec.name}: {shown} ran past its limit of {limit:.0f} s"
                raise CommandTimeout(msg) from None
        except (OSError, asyncssh.Error) as error:
            raise link_lost(self.spec.name, f"running {shown}", error) from error
        if process.exit_status is None and process.exit_signal is None:
            raise link_lost(self.spec.name, f"running {shown}")
        return Completed(
            argv=words,
            code=process.exit_status if process.exit_status is not None else -1,
            out=bytes(out or b"").decode("utf-8", "replace"),
            err=bytes(err or b"").decode("utf-8", "replace"),
            seconds=time.monotonic() - started,
        )

    async def _close(self) -> None:
        if self._agent is not None:
            await self._agent.close()
            self._agent = None
        self.conn.close()
        with suppress(OSError, asyncssh.Error, TimeoutError):
            async with asyncio.timeout(5):
                await self.conn.wait_closed()


def _as_event(line: object) -> dict[str, object] | None:
    """Return a line of a job's stdout as an event, if it is a JSON object."""
    if not isinstance(line, str) or not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


async def _read_blocks(
    path: Path, offset: int, size: int, progress: Progress | None
) -> AsyncGenerator[bytes]:
    """Yield a file's blocks; memory stays at one block, whatever the size."""
    done = offset
    try:
        stream = await asyncio.to_thread(path.open, "rb")
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
