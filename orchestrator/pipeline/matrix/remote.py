"""A run on a cluster as this machine sees it: sent, followed, left alone, come back to.

The run goes on without this machine. What a cell has made is in the store; it is brought here as
soon as the cell has ended, and proven from here when that was asked for.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, HefsmithError, Interrupted, escape_control
from orchestrator.pipeline.matrix.builder import STOPPED_WITHIN, LocalBuilder
from orchestrator.pipeline.matrix.cluster import (
    connect,
    lost,
    new_topic,
    not_there,
    place_of,
    slots_now,
    slots_of,
)
from orchestrator.pipeline.matrix.driver import ENDED, Run, drive
from orchestrator.pipeline.matrix.messages import Mailbox, read_event, told_error
from orchestrator.pipeline.matrix.orders import stop_flag
from orchestrator.pipeline.matrix.runs import RunRecord, forget, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.news import OnEvent
    from orchestrator.pipeline.outcome import BuildResult
    from orchestrator.pipeline.session import BuildSession

#: Cells that are brought here side by side.
BROUGHT_AT_ONCE = 2


class ClusterRun:
    """Follows a run (:class:`orchestrator.pipeline.matrix.builder.Builder`).

    ``leaves`` says that Ctrl-C stops the following only, not the run.
    """

    queues = True

    def __init__(
        self,
        session: BuildSession,
        address: str,
        *,
        jobs: int | None = None,
        prove: bool = False,
        run: str | None = None,
    ) -> None:
        self._session = session
        self._address = address
        self._jobs = jobs
        self._prove = prove
        self.leaves = run is not None
        self._place = place_of(session, run or new_topic())
        self._bring = threading.Semaphore(BROUGHT_AT_ONCE)
        self._hearers: dict[str, OnEvent] = {}
        self._news = Mailbox()
        self._states: dict[str, Mapping[str, Any]] = {}
        self._told = threading.Condition()
        self._stopped = False
        self._over: BaseException | None = None
        self._sent = False
        self.workers: dict[str, str] = {}
        #: Called with the name of a cell that begins, and with the key of a stage that is there.
        self.on_begun: Callable[[str], None] = lambda _: None
        self.on_published: Callable[[str], None] = lambda _: None
        #: Called with a sentence about the whole run.
        self.on_note: Callable[[str], None] = lambda _: None
        self._client = connect(address)
        try:
            self.slots = slots_of(self._client) if run is None else max(slots_now(self._client), 1)
            self.run = self._join(run) if run is not None else None
            wanted = prove if self.run is None else self.run.prove
            self._local = LocalBuilder(session, prove=wanted)
        except BaseException:
            self._news.close()
            self._client.close()
            raise

    @property
    def identifier(self) -> str:
        """What ``hef attach`` calls the run."""
        return short(self._place.topic)

    # --- sending, and coming back ----------------------------------------------------------------

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Send the cells of which a stage must run, and listen."""
        topic = self._place.topic
        self._client.subscribe_topic(topic, self._hear)
        if self.run is not None:
            self._catch_up()
        elif cells:
            names = tuple((cell.model, str(cell.arch), cell.set) for cell in cells)
            self.run = Run(self._place, names, self._jobs, time.time(), self._prove)
            self._client.set_metadata([topic], {})
            future = self._client.submit(
                drive, self.run.to_json(), key=topic, pure=False, priority=10
            )
            # The scheduler keeps what is published, whether this machine is there or not.
            self._client.publish_dataset({"run": self.run.to_json(), "future": future}, name=topic)
            remember(RunRecord(self.identifier, self._address, self._place.root, self.run.started))
            name = self.identifier
            self.on_note(f"run {name} on the cluster; to come back to it: hef attach {name}")
        else:
            return
        self._sent = True
        threading.Thread(target=self._wait, name="hefsmith-run", daemon=True).start()

    def _join(self, run: str) -> Run:
        """Return the run of a topic; raises :class:`ConfigError` when it is not one of here."""
        self._published = self._client.get_dataset(run)
        found = Run.from_json(self._published["run"])
        here = str(self._session.workspace.root)
        if found.place.root != here:
            msg = f"the run {short(run)} is of the project {escape_control(found.place.root)}"
            raise ConfigError(msg, hint="Run hef attach in that project.", code="cluster.project")
        return found

    def _catch_up(self) -> None:
        """Take how far each cell is, and what those that run have told of their stages."""
        topic = self._place.topic
        for name, state in dict(self._client.get_metadata([topic], {})).items():
            self._take(str(name), state)
        running = {name for name, one in self._states.items() if one["state"] == "running"}
        for event in self._client.get_events(topic):
            if "event" in event[1] and event[1].get("cell") in running:
                self._read(event[1])

    def _wait(self) -> None:
        """Wait for the end of the run: it tells what messages may have lost."""
        future = self._client.get_dataset(self._place.topic)["future"]
        states: Mapping[str, Mapping[str, Any]] = {}
        try:
            states = future.result()
            over: BaseException = lost("the run", RuntimeError("it ended without reporting this"))
        except BaseException as error:  # told by each cell that waits
            over = error
        self._news.put(lambda: self._end(states, over))  # after what was told before

    def _end(self, states: Mapping[str, Mapping[str, Any]], over: BaseException) -> None:
        for name, state in states.items():
            self._take(name, state)
        with self._told:
            self._over = over
            self._told.notify_all()

    # --- following -------------------------------------------------------------------------------

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        self._news.put(lambda: self._read(event[1]))

    def _read(self, message: Mapping[str, Any]) -> None:
        if "published" in message:
            self.on_published(str(message["published"]))
        elif "state" in message:
            self._take(str(message["cell"]), message["state"])
        elif "event" in message and (hear := self._hearers.get(str(message["cell"]))):
            hear(read_event(message["event"]))

    def _take(self, name: str, state: Mapping[str, Any]) -> None:
        """Take how far a cell is; what has ended stays so, whatever a second driver says."""
        with self._told:
            known = self._states.get(name)
            if known is not None and known["state"] in ENDED:
                return
            self._states[name] = state
            self._told.notify_all()
        if state["state"] == "running":
            self.on_begun(name)

    def build(self, cell: Cell, hear: OnEvent) -> BuildResult:
        """Wait until a cell has ended on the cluster, and bring it here."""
        if self._sent and self._is_sent(cell):
            self._hearers[cell.name] = hear
            state = self._ending(cell.name)
            if state["worker"]:
                self.workers[cell.name] = str(state["worker"])
            if state["error"] is not None:
                raise told_error(state["error"])
            if state["state"] == "stopped":
                raise Interrupted
        with self._bring:
            self._need_all(cell)
            return self._local.build(cell, hear)

    def _is_sent(self, cell: Cell) -> bool:
        assert self.run is not None
        return (cell.model, cell.arch, cell.set) in self.run.cells

    def _ending(self, name: str) -> Mapping[str, Any]:
        with self._told:
            while (state := self._states.get(name, {"state": ""}))["state"] not in ENDED:
                if self._stopped:
                    raise Interrupted
                if isinstance(self._over, HefsmithError):
                    raise self._over
                if self._over is not None:
                    raise lost(name, self._over)
                self._told.wait(0.5)
            return state

    def _need_all(self, cell: Cell) -> None:
        """Raise unless the store has all of a cell: nothing is made on this machine."""
        session = self._session
        final = cell.folder_in(session.artifacts)
        left = session.plan_with_store(session.request(*cell.to_build()), final)[0].to_run
        if left:
            raise not_there(cell.name, left)

    # --- ending ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the run, or (when it was come back to) only its following."""
        self._local.stop()
        if self._sent and not self.leaves:
            stop_run(self._client, self._place.topic)
            with self._told:
                self._told.wait_for(lambda: self._over is not None, STOPPED_WITHIN)
        with self._told:
            self._stopped = True
            self._told.notify_all()

    def _all_ended(self, run: Run) -> bool:
        names = (" ".join(word for word in cell if word) for cell in run.cells)
        return all(self._states.get(name, {"state": ""})["state"] in ENDED for name in names)

    def close(self) -> None:
        """Let go of the cluster; what is over is forgotten there, too."""
        self._local.close()
        if self._sent and self.run is not None and self._all_ended(self.run):
            with self._told:  # its own word that it is over follows at once
                self._told.wait_for(lambda: self._over is not None, STOPPED_WITHIN)
        if self._sent and (self._over is not None or (self._stopped and not self.leaves)):
            drop_run(self._client, self._place.topic)
        self._news.close()
        self._client.close()


def short(topic: str) -> str:
    """Return the name by which people call a run."""
    return topic.removeprefix("hefsmith-")[:8]


def runs_on(client: Any) -> dict[str, str]:
    """Return the runs that a scheduler has, by the names that people call them: their topics."""
    names = [name for name in client.list_datasets() if str(name).startswith("hefsmith-")]
    return {short(str(name)): str(name) for name in names}


def find_run(address: str, wanted: str | None) -> str:
    """Return the topic of a run on a cluster; without a name of the only one.

    Raises :class:`ConfigError` when there is none or when several fit.
    """
    client = connect(address)
    try:
        found = runs_on(client)
    finally:
        client.close()
    fitting = [name for name in found if name.startswith(wanted or "")]
    if len(fitting) == 1:
        return found[fitting[0]]
    known = ", ".join(sorted(found)) or "none"
    if wanted is None:
        msg = "several runs are on the cluster" if found else "no run is on the cluster"
    else:
        how = "fits several runs" if fitting else "is no run"
        msg = f"{escape_control(wanted)} {how} of the cluster"
    raise ConfigError(msg, hint=f"Runs there: {known}.", code="cluster.run")


def stop_run(client: Any, topic: str) -> None:
    """Ask a run to stop: its workers end what they do."""
    from distributed import Event as Flag

    Flag(stop_flag(topic), client=client).set()


def drop_run(client: Any, topic: str) -> None:
    """Forget a run that is over."""
    try:
        client.unpublish_dataset(topic)
        client.set_metadata([topic], {})
    except (KeyError, OSError):
        pass  # somebody else has, or the scheduler has gone
    forget(short(topic))
