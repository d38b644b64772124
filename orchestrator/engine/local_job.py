"""A job of the local engine: a process of ours, or one that was left running on purpose."""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator import __version__, files, processes
from orchestrator.engine import process, registry
from orchestrator.engine.base import BEGIN, BuildRecord, Ending, EndKind, EngineInfo
from orchestrator.engine.endings import Evidence, tell_ending
from orchestrator.engine.facts import normal_architecture
from orchestrator.engine.lifecycle import free_bytes
from orchestrator.engine.sandbox import boxed_program
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

#: Seconds for the worker's own ladder (interrupt, terminate, kill its job), then for the rest.
POLITE = 6.5
FORCED = 2.0


def local_info() -> EngineInfo:
    """Return what is known of this machine."""
    return EngineInfo(
        kind="local",
        name=platform.node(),
        address="local",
        version=__version__,
        os=platform.platform(),
        architecture=normal_architecture(platform.machine().lower()),
        cpus=os.cpu_count(),
        memory=physical_memory(),
        product="local",
        boxed=False,
        sandbox="bubblewrap" if boxed_program() is not None else "",
    )


class LocalRunning:
    """A job as a process (:class:`orchestrator.engine.protocols.Running`)."""

    def __init__(
        self,
        record: BuildRecord,
        command: tuple[str, ...],
        env: Mapping[str, str],
        *,
        inputs: Path,
        detached: bool,
        waits: bool = False,
    ) -> None:
        self._record = record
        self._command = command
        self._env = dict(env)
        self._inputs = inputs
        self._detached = detached
        self._waits = waits
        self._process: subprocess.Popen[bytes] | None = None
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._open_streams = 0
        self._readers: list[threading.Thread] = []
        self._tail: deque[str] = deque(maxlen=40)
        self._asked = False
        self._begun = False
        self._ending: Ending | None = None
        self._left: LocalAttached | None = None

    @property
    def record(self) -> BuildRecord:
        """Return what identifies this build."""
        return self._record

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the job if it still runs, unless it is detached."""
        if self._ending is None and not self._detached:
            self.stop()

    def release(self) -> None:
        """Let the job begin."""
        if not self._waits:
            self.launch()
            return
        assert self._process is not None
        assert self._process.stdin is not None
        self._begun = True
        # Should it have ended meanwhile, its own words tell why.
        with contextlib.suppress(OSError):
            self._process.stdin.write(BEGIN)
            self._process.stdin.flush()

    def launch(self) -> None:
        """Start the process."""
        log = output_file(self._record.id)
        options = process.start_options(windows=process.WINDOWS)
        options |= {"stdin": subprocess.PIPE, "env": self._env, "cwd": self._inputs}
        if not self._detached:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
            )
            streams = (self._process.stdout, self._process.stderr)
            self._open_streams = len(streams)
            for stream in streams:
                assert stream is not None
                reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
                self._readers.append(reader)
                reader.start()
            return
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                self._command, stdout=sink, stderr=subprocess.STDOUT, **options
            )
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()
        self._record = replace(self._record, container=str(processes.find(self._process.pid)))
        registry.save(self._record)
        self._left = LocalAttached(self._record)
        # It is nobody's child from here on: Python must not wait for it, nor complain.
        self._process.returncode = 0

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._tail.append(text)
            self._queue.put(text)
        self._queue.put(None)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the job as they come."""
        if self._left is not None:
            yield from self._left.lines()
            return
        while self._open_streams:
            try:
                line = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            if line is None:
                self._open_streams -= 1
            else:
                yield line

    def interrupt(self) -> None:
        """Ask the program to stop."""
        self._asked = True
        if self._left is not None:
            self._left.interrupt()
        elif self._process is not None:
            process.interrupt(self._process)

    def stop(self) -> Ending:
        """Interrupt, wait, kill with all children; a second Ctrl-C kills at once."""
        if self._left is not None:
            return self._left.stop()
        if self._ending is not None:
            return self._ending
        self._asked = True
        if self._process is not None:
            gone = False
            # One that still waits for its word has nothing to put in order.
            if self._begun or not self._waits:
                with contextlib.suppress(KeyboardInterrupt):
                    process.interrupt(self._process)
                    gone = process.wait_gone(self._process, POLITE)
            if not gone:
                process.kill_tree(self._process.pid)
                process.wait_gone(self._process, FORCED)
        self._ending = Ending(EndKind.INTERRUPTED, 130, "stopped on request")
        self._clean_up()
        return self._ending

    def wait(self, *, told: bool = False) -> Ending:  # noqa: ARG002
        """Wait for the end and tell how it ended."""
        if self._left is not None:
            return self._left.wait()
        if self._ending is not None:
            return self._ending
        if self._process is None:
            msg = "the job was not released"
            raise EngineError(msg)
        for _ in self.lines():
            pass
        code = self._process.wait()
        evidence = Evidence(
            exit_code=128 - code if code < 0 else code,
            asked=self._asked,
            tail=tuple(self._tail),
            free=free_bytes(self._record),
        )
        self._ending = tell_ending(evidence, local_info())
        self._clean_up()
        return self._ending

    def sync(self) -> None:
        """Do nothing: results are written where they belong."""

    def _clean_up(self) -> None:
        forget(self._record, self._inputs)
        if self._process is None:
            return
        for reader in self._readers:
            reader.join(2.0)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def forget(record: BuildRecord, inputs: Path | None) -> None:
    """Drop what a build left beside its results."""
    if inputs is not None:
        files.remove_tree(inputs)
    registry.forget(record.id)
    for path in (output_file(record.id), status_file(record.id)):
        path.unlink(missing_ok=True)


def output_file(build: str) -> Path:
    """Return where a detached build's output goes."""
    return registry.folder() / f"{build}.out"


def status_file(build: str) -> Path:
    """Return where the guard of a detached build writes the exit status."""
    return registry.folder() / f"{build}.status"


def follow_file(path: Path, runs: Callable[[], bool]) -> Iterator[str]:
    """Yield the lines of a file that a process writes, until that process has ended."""
    with path.open("rb") as stream:
        rest = b""
        while True:
            ended = not runs()
            data = stream.read()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip("\r")
                if not text.startswith('{"event": "guard"'):
                    yield text
            if ended:
                if rest:
                    yield rest.decode("utf-8", "replace")
                return
            if not data:
                time.sleep(0.1)


class LocalAttached:
    """A detached build of the local engine, seen from another process."""

    def __init__(self, record: BuildRecord) -> None:
        self._record = record
        self._asked = False
        self._ending: Ending | None = None

    @property
    def record(self) -> BuildRecord:
        """Return what identifies this build."""
        return self._record

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the build alone."""

    def _runs(self) -> bool:
        return processes.is_alive(self._record.container)

    def _pid(self) -> int:
        """Return the number to send a signal to; only what runs here for certain has one."""
        named = processes.parse(self._record.container)
        if named is None or not processes.is_of_here(named):
            msg = f"the build {self._record.id} runs on another machine or in a container"
            raise EngineError(msg, hint="Stop it there.", code="engine.elsewhere")
        return named.pid

    def release(self) -> None:
        """Do nothing: it runs."""

    def lines(self) -> Iterator[str]:
        """Yield the lines from the beginning."""
        yield from follow_file(output_file(self._record.id), self._runs)

    def interrupt(self) -> None:
        """Ask the program to stop."""
        self._asked = True
        pid = self._pid()
        if not self._runs():
            return
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM if process.WINDOWS else signal.SIGINT)

    def stop(self) -> Ending:
        """Interrupt, wait, kill with all children."""
        self.interrupt()
        deadline = time.monotonic() + POLITE
        while self._runs() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._runs():
            process.kill_tree(self._pid())
        return self._end()

    def wait(self, *, told: bool = False) -> Ending:  # noqa: ARG002
        """Wait for the end and tell how it ended."""
        self._pid()
        while self._runs():
            time.sleep(0.1)
        return self._end()

    def _end(self) -> Ending:
        if self._ending is not None:
            return self._ending
        try:
            code = int(status_file(self._record.id).read_text(encoding="ascii"))
        except (OSError, ValueError):
            # The guard writes it last of all, unless it was killed.
            code = 137
        tail = tuple(follow_file(output_file(self._record.id), lambda: False))[-40:]
        evidence = Evidence(exit_code=code, asked=self._asked, tail=tail)
        self._ending = tell_ending(evidence, local_info())
        forget(self._record, Path(self._record.volume) if self._record.volume else None)
        return self._ending

    def sync(self) -> None:
        """Do nothing: results are written where they belong."""


def physical_memory() -> int | None:
    """Return the bytes of memory of this machine, ``None`` if the system does not tell."""
    if sys.platform == "win32":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
