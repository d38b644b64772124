"""What runs a matrix on the cluster itself: a task that outlives whoever gave the order.

It takes no engine of a worker. When its worker dies, Dask gives it to another one, where it goes
on with what the store has. How far each cell is stands in the scheduler's metadata (whoever comes
later reads it there), and goes as news to whoever listens.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import files
from orchestrator.pipeline.matrix.messages import event_document
from orchestrator.pipeline.matrix.orders import Names, Place, cells_of, open_place, stop_flag
from orchestrator.pipeline.matrix.runner import NoView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.matrix.result import CellResult
    from orchestrator.pipeline.news import Event

#: Seconds between two looks whether to stop, and between two messages of a stage's progress.
SELDOM = 0.5

#: States in which a cell has ended.
ENDED = frozenset({"built", "cached", "failed", "stopped"})


@dataclass(frozen=True)
class Run:
    """One matrix for a cluster. ``cells`` are (model, chip, parameter set).

    ``prove``: whoever takes the results proves them on a device, too.
    """

    place: Place
    cells: tuple[Names, ...]
    jobs: int | None
    started: float
    prove: bool = False

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Run:
        """Return the run of a document."""
        cells = tuple((model, arch, name) for model, arch, name in document["cells"])
        return cls(
            Place(**document["place"]),
            cells,
            document["jobs"],
            document["started"],
            document["prove"],
        )


class Telling(NoView):
    """Tells how far cells are: into the scheduler's metadata, and as news."""

    def __init__(self, client: Any, topic: str) -> None:
        self._client = client
        self._topic = topic
        #: How each cell is, by name; of one that an earlier driver has begun, too.
        self.states: dict[str, dict[str, object]] = dict(client.get_metadata([topic], {}))
        told = (message for _, message in client.get_events(topic))
        self._at = {one["cell"]: one["at"] for one in told if "at" in one}

    def begun(self, name: str) -> None:
        """A cell is given to a worker."""
        if self.states.get(name, {"state": ""})["state"] not in ENDED:
            self._keep(name, {"state": "running"})

    def hear(self, cell: Cell, event: Event) -> None:
        """Pass on what is told here; the worker has told the rest."""
        if event.kind == "note":
            message = {"cell": cell.name, "event": event_document(event)}
            self._client.log_event(self._topic, message)

    def ended(self, result: CellResult) -> None:
        """A cell has ended."""
        name, before = result.name, self.states.get(result.name, {"state": ""})["state"]
        if before in ENDED:
            return
        state = ending_document(result)
        if result.status == "cached" and before == "running":
            # An earlier driver gave it away, and was not there any more when it was done.
            state = {**state, "state": "built", "worker": self._at.get(name)}
        self._keep(name, state)

    def _keep(self, name: str, state: dict[str, object]) -> None:
        self.states[name] = state
        self._client.set_metadata([self._topic, name], state)
        self._client.log_event(self._topic, {"cell": name, "state": state})


def ending_document(result: CellResult) -> dict[str, object]:
    """Return how a cell ended as plain values."""
    return {
        "state": result.status,
        "seconds": result.seconds,
        "worker": result.worker,
        "error": None if result.error is None else result.error.to_json(),
    }


def drive(document: Mapping[str, Any]) -> dict[str, dict[str, object]]:
    """Run a matrix from a worker; return by name how each cell ended."""
    from distributed import Event as Flag
    from distributed import worker_client

    from orchestrator.pipeline.matrix.cluster import ClusterBuilder, slots_of
    from orchestrator.pipeline.matrix.runner import MatrixRunner
    from orchestrator.pipeline.matrix.schedule import Capacity

    run = Run.from_json(document)
    topic = run.place.topic
    with worker_client() as client, files.scratch("hefsmith-run") as scratch:
        session = open_place(run.place, str(scratch))
        telling = Telling(client, topic)
        builder = ClusterBuilder(session, client, run.place)
        slots = slots_of(client)
        capacity = Capacity(min(run.jobs or slots, slots), None)
        runner = MatrixRunner(session, cells_of(session, run.cells), builder, capacity, telling)
        builder.on_order, builder.on_published = telling.begun, runner.published
        flag, done = Flag(stop_flag(topic), client=client), threading.Event()
        watch = threading.Thread(
            target=_watch, args=(flag, runner.stop_asked, done), name="hefsmith-flag", daemon=True
        )
        watch.start()
        try:
            runner.run()
        finally:
            done.set()
            watch.join()
            client.unsubscribe_topic(topic)
            builder.close()
            session.close()
        return telling.states


def _watch(flag: Any, stop: threading.Event, done: threading.Event) -> None:
    while not done.wait(SELDOM):
        if flag.is_set():
            stop.set()
            return
