"""Cells on the workers of a Dask cluster, each with an engine of its own.

Dask decides who makes what, and gives the cells of a worker that died to another one. What a
worker makes goes to the team's store, and comes from there: so the results are those of one
machine, byte for byte, and a cell that is there already is not sent out at all. A worker must see
the project's folder under the same path, and the store.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, EngineError, HefsmithError, Interrupted
from orchestrator.pipeline.matrix.builder import LocalBuilder
from orchestrator.pipeline.matrix.cells import folder_of
from orchestrator.pipeline.matrix.messages import read_event, told_error
from orchestrator.pipeline.matrix.schedule import Capacity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.news import OnEvent
    from orchestrator.pipeline.outcome import BuildResult
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.session import BuildSession

#: What a worker offers: a place where one build runs; an imported suite.
ENGINE, SUITE = "engine", "suite"
#: Seconds in which a scheduler must answer.
ANSWERS_WITHIN = 10


@dataclass(frozen=True)
class Order:
    """What a worker is told: plain values. ``root`` and ``store`` are as the workers see them."""

    root: str
    store: str
    model: str
    arch: str
    set: str | None
    toolchain: str | None
    gpu: str | None
    strict: bool
    topic: str
    cell: str


def resources_for(made: Plan) -> dict[str, float]:
    """Return what a worker needs for a plan."""
    found = {ENGINE: 1.0}
    if not made.emulated:
        found[SUITE] = 1.0
    return found


def slots_in(workers: Mapping[str, Mapping[str, Any]]) -> int:
    """Return how many builds a cluster runs side by side, from what its scheduler tells."""
    return int(sum(one.get("resources", {}).get(ENGINE, 0) for one in workers.values()))


class ClusterBuilder:
    """Makes cells on a cluster (:class:`orchestrator.pipeline.matrix.builder.Builder`)."""

    def __init__(self, session: BuildSession, address: str, *, prove: bool = False) -> None:
        from distributed import Client

        store = session.settings.text("store")
        if not store:
            msg = "--cluster needs a store that the workers see: what they make comes from there"
            hint = "store: in hef.yaml, or HEFSMITH_STORE; a shared folder is enough."
            raise ConfigError(msg, hint=hint, code="cluster.store")
        self._store = store if "://" in store else str((session.workspace.root / store).resolve())
        self._session = session
        self._local = LocalBuilder(session, prove=prove)
        self._topic = f"hefsmith-{uuid.uuid4().hex}"
        self._hearers: dict[str, OnEvent] = {}
        self._futures: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._planning = threading.Lock()
        self._stopped = False
        #: Where each cell ran, by its name.
        self.workers: dict[str, str] = {}
        #: Called with the key of each stage that has come to the store.
        self.on_published: Callable[[str], None] = lambda _: None
        try:
            self._client = Client(address, timeout=ANSWERS_WITHIN, set_as_default=False)
        except (OSError, ValueError) as error:
            msg = f"no Dask scheduler answers at {address}"
            raise EngineError(
                msg, hint=f"Start one: dask scheduler\n({error})", code="cluster.scheduler"
            ) from error
        self._client.subscribe_topic(self._topic, self._hear)

    def capacity(self, jobs: int | None) -> Capacity:
        """Return the slots of all workers; raises :class:`EngineError` when there are none."""
        slots = slots_in(self._client.scheduler_info(n_workers=-1)["workers"])
        if not slots:
            msg = "no worker of the cluster offers an engine"
            hint = 'Start workers with: dask worker ADDRESS --nthreads 1 --resources "engine=1"'
            raise EngineError(msg, hint=hint, code="cluster.workers")
        return Capacity(min(jobs or slots, slots), None)

    def build(self, cell: Cell, hear: OnEvent) -> BuildResult:
        """Make a cell on a worker, unless the store has it, and bring it here."""
        assert cell.loaded is not None
        assert cell.arch is not None
        if self._stopped:
            msg = "interrupted"
            raise Interrupted(msg)
        made = self._plan(cell)
        if made.to_run:
            self._order(cell, made, hear)
            left = self._plan(cell).to_run
            if left:
                msg = (
                    f"{cell.name}: a worker has made it, but the store does not have "
                    f"{', '.join(left)} under the keys of this machine"
                )
                hint = "Do all have the same hefsmith, libraries and suite, and see the same store?"
                raise EngineError(msg, hint=hint, code="cluster.other")
        return self._local.build(cell, hear)

    def _plan(self, cell: Cell) -> Plan:
        assert cell.loaded is not None
        assert cell.arch is not None
        session = self._session
        with self._planning:
            final = folder_of(session.artifacts, cell.model, cell.set, cell.arch)
            return session.plan_with_store(session.request(cell.loaded, cell.arch), final)[0]

    def _order(self, cell: Cell, made: Plan, hear: OnEvent) -> None:
        from distributed import CancelledError

        from orchestrator.pipeline.matrix.cluster_worker import build_cell

        settings = self._session.settings
        order = Order(
            root=str(self._session.workspace.root),
            store=self._store,
            model=cell.model,
            arch=str(cell.arch),
            set=cell.set,
            toolchain=settings.text("toolchain"),
            gpu=settings.text("gpu"),
            strict=bool(settings.strict.value),
            topic=self._topic,
            cell=cell.name,
        )
        with self._lock:
            self._hearers[cell.name] = hear
            future = self._futures[cell.name] = self._client.submit(
                build_cell,
                asdict(order),
                key=f"{self._topic}-{cell.name.replace(' ', '-')}",
                resources=resources_for(made),
                pure=False,
            )
        try:
            answer = future.result()
        except CancelledError:
            msg = "interrupted"
            raise Interrupted(msg) from None
        except HefsmithError:
            raise
        except Exception as error:
            msg = f"{cell.name}: the cluster has lost it: {type(error).__name__}: {error}"
            hint = "The workers' logs tell more; the same command goes on with what is there."
            raise EngineError(msg, hint=hint, code="cluster.lost") from error
        finally:
            with self._lock:
                self._futures.pop(cell.name, None)
        self.workers[cell.name] = str(answer["worker"])
        if answer["error"] is not None:
            raise told_error(answer["error"])

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take a message of a worker: an event, or the key of a stage that is in the store."""
        _, message = event
        if "published" in message:
            self.on_published(str(message["published"]))
            return
        hear = self._hearers.get(str(message["cell"]))
        if hear is not None:
            hear(read_event(message["event"]))

    def stop(self) -> None:
        """Take back what waits, and ask the workers to stop what runs."""
        self._stopped = True
        with self._lock:
            futures = list(self._futures.values())
        from distributed import Event as Flag

        Flag(f"{self._topic}-stop", client=self._client).set()
        self._client.cancel(futures, force=True)
        self._local.stop()

    def close(self) -> None:
        """Let go of the cluster and of what is open here."""
        self._local.close()
        self._client.close()
