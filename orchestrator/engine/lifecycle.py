"""The life of a job in a container: begun, stopped, ended, its results brought home."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

from orchestrator.engine import container as containers
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
from orchestrator.engine.container import Container
from orchestrator.engine.endings import SIGKILL, SIGTERM, Evidence, tell_ending
from orchestrator.engine.failures import all_errors
from orchestrator.engine.output import Output
from orchestrator.engine.removal import discard_staged, remove_container, undisturbed
from orchestrator.engine.results import sweep, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from orchestrator.engine.client import Connection
    from orchestrator.engine.wire import Wire

#: The ladder: signal, and the seconds that it gets. Together well under 10 s.
LADDER = (("SIGINT", 3.0), ("SIGTERM", 2.0), ("SIGKILL", 2.0))

#: The line that the guard starts the job at.
GO = b"go\n"

#: Seconds in which the process of a job that is done must be gone, to be taken for ended.
SEEN_WITHIN = 3.0


class DockerRunning:
    """A job in a container (:class:`orchestrator.engine.protocols.Running`)."""

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
        self._memory_limit = memory_limit
        self._waits = waits
        #: Removals of containers that go on; the engine gives its own list.
        self.removals: list[threading.Thread] = []
        self._before_release = before_release
        self._stops_on_leave = stops_on_leave
        self._report = report
        self._ending: Ending | None = None
        self._container = Container(connection, record.container)
        self._output = Output(self._container, wire, beats=beat)

    @property
    def record(self) -> BuildRecord:
        """Return what identifies this build."""
        return self._record

    @property
    def tail(self) -> tuple[str, ...]:
        """Return the last lines."""
        return self._output.tail

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the job if it still runs, unless it is detached; remove what it leaves."""
        if self._ending is not None:
            return
        if self._stops_on_leave:
            self.stop()
        else:
            self.let_go()

    def first_line(self, seconds: float) -> str | None:
        """Return the next line, ``None`` when the output is over or nothing comes in time."""
        return self._output.first_line(seconds)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the job; see :meth:`orchestrator.engine.protocols.Running.lines`."""
        return self._output.lines()

    def exit_code(self) -> int | None:
        """Return the status that the container left with, ``None`` if nobody can tell."""
        state = self._container.look()
        return state.exit_code if state is not None else None

    # Start and stop

    def warm(self) -> None:
        """Let a program that waits be loaded; it begins at the release."""
        self._say(GO)

    def release(self) -> None:
        """Let the job begin."""
        if self._before_release is not None:
            with self._connection.calls("sending the build folder"):
                self._before_release()
            self._before_release = None
        self._say(BEGIN if self._waits else GO)

    def _say(self, word: bytes) -> None:
        if not self._output.say(word):
            msg = f"the engine at {self._info.address} went away before the job began"
            raise EngineLostError(msg, hint="Run the same command again.")

    def detach(self) -> None:
        """Let the job run on without us."""
        self._stops_on_leave = False

    def watch(self) -> None:
        """Look for the job's process among those of this system, if it can be there."""
        self._container.watch()

    def interrupt(self) -> None:
        """Ask the program to stop; returns at once."""
        self._container.asked = True
        with self._connection.calls("interrupting the job"):
            self._container.signal("SIGINT")

    def stop(self) -> Ending:
        """Climb the ladder; an impatient second Ctrl-C goes to the next rung at once."""
        if self._ending is not None:
            return self._ending
        container = self._container
        container.asked = True
        patience = self._connection.set_timeout(containers.URGENT)
        gone = False
        for name, seconds in LADDER:
            try:
                container.signal(name)
                gone = container.wait_gone(seconds)
            except KeyboardInterrupt:
                continue
            except all_errors():
                container.lost = not self._connection.reconnect(1.5)
                if container.lost:
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

    def wait(self, *, told: bool = False) -> Ending:
        """Wait for the end, bring the results over, and tell how it ended."""
        if self._ending is not None:
            return self._ending
        container = self._container
        if told and container.process_gone(SEEN_WITHIN):
            self._ending = Ending(EndKind.OK, 0, "done")
            self.sync()
            undisturbed(self._leave_behind)
            return self._ending
        for _ in self.lines():
            pass
        state = container.look()
        code = state.exit_code if state is not None else None
        if code in {SIGKILL, SIGTERM} and not container.asked and not self._connection.answers():
            # Engines end their containers before they go themselves.
            container.broken = True
            if not self._connection.reconnect():
                code = None
        evidence = Evidence(
            exit_code=code,
            oom_killed=state is not None and state.oom_killed,
            asked=container.asked,
            restarted=container.broken,
            tail=[*self.tail, *([state.error] if state is not None and state.error else [])],
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
        self._output.close()
        self._container.close()

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
        if self._container.lost:
            # An engine that hangs would keep us for minutes; the next start removes the rest.
            discard_staged(self._record)
        else:
            remove_container(self._connection, self._record)
        registry.forget(self._record.id)


def free_bytes(record: BuildRecord) -> int | None:
    """Return the bytes left where the build folder is, ``None`` if it is gone."""
    try:
        return shutil.disk_usage(record.work).free
    except OSError:
        return None
