"""A container that runs: its lines, its stop, its end.

One attach socket serves the whole build. When it breaks, the engine is asked what became of the
container; if that still runs, its output goes on from where it was.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engine import registry
from orchestrator.engine.base import (
    BEGIN,
    WORK,
    BuildRecord,
    Ending,
    EndKind,
    EngineInfo,
    EngineLostError,
    Report,
    ignore,
)
from orchestrator.engine.box import BEAT
from orchestrator.engine.endings import SIGKILL, SIGTERM, Evidence, tell_ending
from orchestrator.engine.failures import all_errors
from orchestrator.engine.process_watch import ProcessWatch, watch
from orchestrator.engine.results import sweep, unpack
from orchestrator.engine.wire import LogStream, Wire, open_wire, split_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from orchestrator.engine.client import Connection

#: The ladder: signal, and the seconds that it gets. Together well under 10 s.
LADDER = (("SIGINT", 3.0), ("SIGTERM", 2.0), ("SIGKILL", 2.0))

#: How the guard's report begins; it is ours and not the job's.
GUARD_LINE = '{"event": "guard"'

#: The line that the guard starts the job at.
GO = b"go\n"

#: Seconds in which the process of a job that is done must be gone, to be taken for ended.
SEEN_WITHIN = 3.0
SEEN_AT_ONCE = 0.2

#: Seconds in which an engine must have noted the end of a job whose process is gone.
NOTED_WITHIN = 30.0

#: Seconds that a request may take while we stop a job.
URGENT = 3.0

#: Seconds between questions whether the engine is there, and how many may fail in a row.
PING_EVERY = 15.0
PINGS_LOST = 3


@dataclass(frozen=True, slots=True)
class State:
    """What the engine says of a container."""

    running: bool
    exit_code: int
    oom_killed: bool
    error: str


class Pulse(threading.Thread):
    """Tells a far job that we live, and notices an engine that does not answer any more."""

    def __init__(self, running: DockerRunning, *, beat: bool) -> None:
        super().__init__(name="hefsmith-pulse", daemon=True)
        self._running = running
        self._beat = beat
        self._over = threading.Event()

    def run(self) -> None:
        """Beat and ping until :meth:`end`."""
        lost = 0
        pinged = time.monotonic()
        while not self._over.wait(BEAT if self._beat else PING_EVERY):
            if self._beat:
                self._running.beat()
            if time.monotonic() - pinged < PING_EVERY:
                continue
            pinged = time.monotonic()
            lost = 0 if self._running.ping() else lost + 1
            if lost >= PINGS_LOST:
                # The reader wakes up and looks for itself.
                self._running.hang_up()
                lost = 0

    def end(self) -> None:
        """Stop; does not wait."""
        self._over.set()


class DockerRunning:
    """A job in a container (:class:`orchestrator.engine.base.Running`)."""

    def __init__(
        self,
        connection: Connection,
        record: BuildRecord,
        *,
        info: EngineInfo,
        wire: Wire | None,
        beat: bool,
        memory_limit: int | None,
        waits: bool = False,
        before_release: Callable[[], None] | None = None,
        stops_on_leave: bool = True,
        report: Report = ignore,
    ) -> None:
        self._connection = connection
        self._record = record
        self._info = info
        self._wire = wire
        self._beats = beat
        self._memory_limit = memory_limit
        self._waits = waits
        self._watch: ProcessWatch | None = None
        #: Removals of containers that go on; the engine gives its own list.
        self.removals: list[threading.Thread] = []
        self._before_release = before_release
        self._stops_on_leave = stops_on_leave
        self._report = report
        self._tail: deque[str] = deque(maxlen=40)
        self._taken = {1: 0, 2: 0}
        self._asked = False
        self._broken = False
        self._over = False
        self._left = False
        self._lost = False
        self._log: LogStream | None = None
        self._ending: Ending | None = None
        self._pulse: Pulse | None = None
        # A thread reads, so that Ctrl-C in the caller's loop never tears a frame apart.
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="hefsmith-reader", daemon=True)
        self._reader.start()

    @property
    def record(self) -> BuildRecord:
        """Return what identifies this build."""
        return self._record

    @property
    def tail(self) -> tuple[str, ...]:
        """Return the last lines."""
        return tuple(self._tail)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the job if it still runs, unless it is detached; remove what it leaves."""
        if self._ending is not None:
            return
        if self._stops_on_leave:
            self.stop()
        else:
            self.let_go()

    # Output

    def first_line(self, seconds: float) -> str | None:
        """Return the next line, ``None`` when the output is over or nothing comes in time."""
        try:
            line = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        self._over = line is None
        return line

    def lines(self) -> Iterator[str]:
        """Yield the lines of the job; see :meth:`orchestrator.engine.base.Running.lines`."""
        while not self._over:
            try:
                # With a time limit, since Windows cannot interrupt a wait without one.
                line = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            if line is None:
                self._over = True
            elif not line.startswith(GUARD_LINE):
                yield line

    def _read(self) -> None:
        """Read to the end of the job, over broken connections, into the queue."""
        try:
            frames = self._wire.frames() if self._wire is not None else self._logs()
            while True:
                self._take(frames)
                if self._left or self._seen_to_end():
                    return
                state = self._look()
                if state is None or not (state.running or self._broken):
                    return
                if not state.running and self._wire is None:
                    return
                frames = self._resume(running=state.running)
        finally:
            self._queue.put(None)

    def _seen_to_end(self) -> bool:
        """Tell whether the job is over, before the engine has noted it.

        Its output has ended; with the engine there, that is not a connection that broke.
        """
        gone = self._watch is not None and self._watch.gone(SEEN_AT_ONCE)
        return gone and self.ping()

    def _take(self, frames: Iterator[tuple[int, bytes]]) -> None:
        """Queue the lines of ``frames``, without those that we have from an earlier attempt."""
        skip = dict(self._taken)
        if self._wire is not None and not self._broken:
            skip = {}
        for stream, line in split_lines(frames):
            if skip.get(stream, 0) > 0:
                skip[stream] -= 1
                continue
            self._taken[stream] = self._taken.get(stream, 0) + 1
            self._tail.append(line)
            self._queue.put(line)

    def _resume(self, *, running: bool) -> Iterator[tuple[int, bytes]]:
        """Return the output again from its beginning, after the connection broke."""
        if self._broken:
            time.sleep(0.3)
        self._broken = True
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        if self._beats and running:
            with contextlib.suppress(*all_errors()):
                self._wire = open_wire(self._connection.api, self._record.container, output=False)
        return self._logs()

    def _logs(self) -> Iterator[tuple[int, bytes]]:
        """Yield the output that the engine kept, from the beginning, and what still comes."""
        try:
            stream = LogStream(self._connection.api, self._record.container, follow=True)
        except all_errors():
            return
        self._log = stream
        yield from stream.frames()

    # The engine's view

    def _look(self) -> State | None:
        """Return the container's state; reconnects when the engine is gone.

        ``None``: the engine did not come back, or has no such container any more.
        """
        import docker.errors

        # An engine may need seconds to note the end of what is gone, and then tells how it ended.
        gone = self._watch is not None and self._watch.gone(0.0)
        deadline = time.monotonic() + (NOTED_WITHIN if gone else 2.0)
        while not self._lost:
            try:
                found = self._connection.api.inspect_container(self._record.container)
            except docker.errors.NotFound:
                return None
            except all_errors():
                self._broken = True
                self._lost = not self._connection.reconnect(1.5 if self._asked else None)
                continue
            state = read_state(found)
            # The stream ends a moment before the engine has noted the end.
            if not state.running or self._broken or time.monotonic() > deadline:
                return state
            time.sleep(0.03)
        return None

    def exit_code(self) -> int | None:
        """Return the status that the container left with, ``None`` if nobody can tell."""
        state = self._look()
        return state.exit_code if state is not None else None

    def beat(self) -> None:
        """Tell the job that we live."""
        wire = self._wire
        if wire is not None and not wire.send(b"\n"):
            self.hang_up()

    def ping(self) -> bool:
        """Tell whether the engine answers."""
        try:
            api = self._connection.api
            response = api.get(f"{api.base_url}/_ping", timeout=URGENT * 2)
        except all_errors():
            return False
        return bool(response.ok)

    def hang_up(self) -> None:
        """Close a connection that is dead, so that the reader comes back."""
        for stream in (self._wire, self._log):
            if stream is not None:
                stream.close()

    # Start and stop

    def start_pulse(self) -> None:
        """Begin to watch the engine."""
        if self._pulse is None:
            self._pulse = Pulse(self, beat=self._beats)
            self._pulse.start()

    def warm(self) -> None:
        """Let a program that waits be loaded; it begins at the release."""
        self._say(GO)
        self.start_pulse()

    def release(self) -> None:
        """Let the job begin."""
        if self._before_release is not None:
            with self._connection.calls("sending the build folder"):
                self._before_release()
            self._before_release = None
        self._say(BEGIN if self._waits else GO)
        self.start_pulse()

    def _say(self, word: bytes) -> None:
        if self._wire is None or not self._wire.send(word):
            msg = f"the engine at {self._info.address} went away before the job began"
            raise EngineLostError(msg, hint="Run the same command again.")

    def detach(self) -> None:
        """Let the job run on without us."""
        self._stops_on_leave = False

    def interrupt(self) -> None:
        """Ask the program to stop; returns at once."""
        self._asked = True
        with self._connection.calls("interrupting the job"):
            self._signal("SIGINT")

    def _signal(self, name: str) -> None:
        import docker.errors

        # 404 and 409: it is gone already.
        with contextlib.suppress(docker.errors.NotFound):
            try:
                self._connection.api.kill(self._record.container, name)
            except docker.errors.APIError as error:
                if "is not running" not in str(error) and error.status_code != 409:
                    raise

    def stop(self) -> Ending:
        """Climb the ladder; an impatient second Ctrl-C goes to the next rung at once."""
        if self._ending is not None:
            return self._ending
        self._asked = True
        patience = self._connection.set_timeout(URGENT)
        gone = False
        for name, seconds in LADDER:
            try:
                self._signal(name)
                gone = self._wait_gone(seconds)
            except KeyboardInterrupt:
                continue
            except all_errors():
                self._lost = not self._connection.reconnect(1.5)
                if self._lost:
                    break
                continue
            if gone:
                break
        detail = "stopped on request"
        hint = None
        if not gone:
            detail = "stopped on request, but the engine does not answer"
            hint = "What is left there is removed when hef next uses that engine."
        self._ending = Ending(EndKind.INTERRUPTED, 130, detail, hint)
        undisturbed(self._clean_up)
        self._connection.set_timeout(patience)
        return self._ending

    def _wait_gone(self, seconds: float) -> bool:
        import docker.errors

        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self._connection.api.inspect_container(self._record.container)
            except docker.errors.NotFound:
                return True
            if not read_state(found).running:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)

    def watch(self) -> None:
        """Look for the job's process among those of this system, if it can be there."""
        with contextlib.suppress(*all_errors(), KeyError):
            found = self._connection.api.inspect_container(self._record.container)
            self._watch = watch(str(found["Id"]), int(found["State"].get("Pid") or 0))

    def wait(self, *, told: bool = False) -> Ending:
        """Wait for the end, bring the results over, and tell how it ended."""
        if self._ending is not None:
            return self._ending
        if told and self._watch is not None and self._watch.gone(SEEN_WITHIN):
            self._ending = Ending(EndKind.OK, 0, "done")
            self.sync()
            undisturbed(self._leave_behind)
            return self._ending
        for _ in self.lines():
            pass
        state = self._look()
        code = state.exit_code if state is not None else None
        if code in {SIGKILL, SIGTERM} and not self._asked and not self._connection.answers():
            # Engines end their containers before they go themselves.
            self._broken = True
            if not self._connection.reconnect():
                code = None
        evidence = Evidence(
            exit_code=code,
            oom_killed=state is not None and state.oom_killed,
            asked=self._asked,
            restarted=self._broken,
            tail=[*self._tail, *([state.error] if state is not None and state.error else [])],
            memory_limit=self._memory_limit,
            free=free_bytes(self._record),
        )
        ending = tell_ending(evidence, self._info)
        if ending.kind is not EndKind.ENGINE_LOST:
            self.sync()
        self._ending = ending
        undisturbed(self._clean_up)
        return ending

    def sync(self) -> None:
        """Bring the results so far to the build folder."""
        work = self._record.work
        if self._record.transfer == "bind":
            sweep(work)
            return
        with self._connection.calls("fetching the results"):
            # With the dot names begin in the folder. Without it Docker writes the folder's own
            # name before them, and Podman nothing at all if it is a volume.
            blocks, _ = self._connection.api.get_archive(self._record.container, f"{WORK}/.")
            unpack(iter(blocks), work, what="fetching the results", report=self._report)

    def let_go(self) -> None:
        """Close the connection to the job, whatever becomes of it."""
        self._left = True
        if self._pulse is not None:
            self._pulse.end()
        self.hang_up()
        self._reader.join(2.0)
        if self._watch is not None:
            self._watch.close()

    def _leave_behind(self) -> None:
        """Have the container removed, whose processes are gone, and do not wait for that.

        What the engine does not come to is removed at the next start.
        """
        self.let_go()
        removal = threading.Thread(
            target=remove_container, args=(self._connection, self._record), daemon=True
        )
        removal.start()
        self.removals.append(removal)
        registry.forget(self._record.id)

    def _clean_up(self) -> None:
        self.let_go()
        if self._lost:
            # An engine that hangs would keep us for minutes; the next start removes the rest.
            discard_staged(self._record)
        else:
            remove_container(self._connection, self._record)
        registry.forget(self._record.id)


def read_state(found: Any) -> State:
    """Return the state in what ``inspect`` says of a container (JSON)."""
    state = found.get("State") or {}
    return State(
        running=bool(state.get("Running") or state.get("Restarting")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
    )


def free_bytes(record: BuildRecord) -> int | None:
    """Return the bytes left where the build folder is, ``None`` if it is gone."""
    try:
        return shutil.disk_usage(record.work).free
    except OSError:
        return None


def remove_container(connection: Connection, record: BuildRecord) -> bool:
    """Remove a build's container, its volume of results and what was staged for it.

    Tells whether the engine's part is gone.
    """
    discard_staged(record)
    return remove_named(connection, record.container, record.volume)


def discard_staged(record: BuildRecord) -> None:
    """Remove the inputs that were laid out for one build."""
    if record.staged is not None:
        shutil.rmtree(record.staged, ignore_errors=True)


def remove_named(connection: Connection, container: str, volume: str | None = None) -> bool:
    """Remove a container and a volume; tell whether they are gone."""
    import docker.errors

    try:
        api = connection.api
        with contextlib.suppress(docker.errors.NotFound):
            api.remove_container(container, force=True, v=True)
        if volume is not None:
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_volume(volume, force=True)
    except all_errors():
        return False
    return True


def undisturbed(act: Callable[[], None]) -> None:
    """Run ``act`` to its end although the user presses Ctrl-C again (up to three times)."""
    for _ in range(3):
        try:
            act()
        except KeyboardInterrupt:
            continue
        return
