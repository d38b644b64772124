"""Cells on the workers of a Dask cluster, each with an engine of its own.

Dask decides who makes what, and gives the cells of a worker that died to another one. What a
worker makes goes to the team's store, and comes from there: so the results are those of one
machine, byte for byte, and a cell that already exists is not sent out at all. A worker must see
the project's folder under the same path, and the store.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator.errors import (
    ConfigError,
    EngineError,
    HefsmithError,
    Interrupted,
    escape_control,
)
from orchestrator.pipeline.matrix.messages import Mailbox, read_event, told_error
from orchestrator.pipeline.matrix.orders import Order, Place, stop_flag
from orchestrator.pipeline.sharing.signing import signing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.news import OnEvent
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.session import BuildSession

#: What a worker offers: a place where one build runs; an imported suite.
ENGINE, SUITE = "engine", "suite"
#: Seconds in which a scheduler must answer.
ANSWERS_WITHIN = 10


def resources_for(made: Plan) -> dict[str, float]:
    """Return what a worker needs for a plan."""
    found = {ENGINE: 1.0}
    if not made.emulated:
        found[SUITE] = 1.0
    return found


def slots_in(workers: Mapping[str, Mapping[str, Any]]) -> int:
    """Return how many builds a cluster runs side by side, from what its scheduler tells."""
    return int(sum(one.get("resources", {}).get(ENGINE, 0) for one in workers.values()))


def connect(address: str) -> Any:
    """Return a client of the scheduler; raises :class:`EngineError` when none answers."""
    try:
        from distributed import Client
    except ImportError as error:
        from orchestrator.installation import install_command

        msg = "a cluster needs dask.distributed"
        raise EngineError(msg, hint=install_command("cluster"), code="cluster.missing") from error
    try:
        return Client(address, timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = f"no Dask scheduler answers at {escape_control(address)}"
        raise EngineError(
            msg, hint=f"Start one: dask scheduler\n({error})", code="cluster.scheduler"
        ) from error


def slots_now(client: Any) -> int:
    """Return how many builds a cluster runs now."""
    return slots_in(client.scheduler_info(n_workers=-1)["workers"])


def slots_of(client: Any) -> int:
    """Return how many builds a cluster runs; raises :class:`EngineError` when it runs none."""
    slots = slots_now(client)
    if not slots:
        msg = "no worker of the cluster offers an engine"
        hint = 'Start workers with: dask worker ADDRESS --nthreads 2 --resources "engine=1"'
        raise EngineError(msg, hint=hint, code="cluster.workers")
    return slots


def place_of(session: BuildSession, topic: str) -> Place:
    """Return what workers need to build as this session does; raises :class:`ConfigError`."""
    settings, overrides = session.settings, session.overrides
    if session.fresh:
        msg = "--fresh cannot be used with --cluster, whose workers share finished stages"
        hint = "Leave out one of the two."
        raise ConfigError(msg, hint=hint, code="cluster.fresh")
    store = settings.text("store")
    if not store:
        msg = "--cluster needs a store that the workers see: results travel through it"
        hint = "store: in hef.yaml, or HEFSMITH_STORE; a shared folder is enough."
        raise ConfigError(msg, hint=hint, code="cluster.store")
    assert session.team is not None
    session.team.needed = True
    root = session.workspace.root
    return Place(
        signers=_signers(session),
        root=str(root),
        store=store if "://" in store else str((root / store).resolve()),
        topic=topic,
        toolchain=settings.text("toolchain"),
        gpu=settings.text("gpu"),
        strict=bool(settings.strict.value),
        memory=overrides.memory,
        cpus=overrides.cpus,
        network=overrides.network,
    )


def _signers(session: BuildSession) -> str | None:
    """Return the list of signers whose word counts here; raises :class:`ConfigError` without it."""
    path = signing_of(session.settings, session.workspace.root).signers
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the list of signers {escape_control(str(path))} cannot be read"
        raise ConfigError(msg, hint=f"{error}", code="sign.signers") from error


def new_topic() -> str:
    """Return a name for the news of one command."""
    return f"hefsmith-{uuid.uuid4().hex}"


class ClusterBuilder:
    """Gives cells to workers (:class:`orchestrator.pipeline.matrix.builder.Builder`).

    What they make is in the store then: :meth:`build` returns nothing.
    """

    queues = False

    def __init__(self, session: BuildSession, client: Any, place: Place) -> None:
        self._session = session
        self._client = client
        self._place = place
        self._hearers: dict[str, OnEvent] = {}
        self._futures: dict[str, object] = {}
        self._lock = threading.Lock()
        self._planning = threading.Lock()
        self._stopped = False
        #: Where each cell ran, by its name.
        self.workers: dict[str, str] = {}
        #: Called with the name of a cell that is given to a worker.
        self.on_order: Callable[[str], None] = lambda _: None
        #: Called with the key of each stage that has come to the store.
        self.on_published: Callable[[str], None] = lambda _: None
        self._news = Mailbox()
        client.subscribe_topic(place.topic, self._hear)

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Nothing is to be done before cells are given one by one."""

    def build(self, cell: Cell, hear: OnEvent) -> None:
        """Let a worker make a cell, unless the store has it."""
        if self._stopped:
            raise Interrupted
        made = self._plan(cell)
        if made.to_run:
            self._order(cell, made, hear)
            left = self._plan(cell).to_run
            if left:
                raise not_there(cell.name, left)

    def _plan(self, cell: Cell) -> Plan:
        session = self._session
        with self._planning:
            request = session.request(*cell.to_build())
            if cell.analysis is not None:
                request = request.analysis(cell.analysis)
            return session.plan_with_store(request, cell.folder_in(session.artifacts))[0]

    def _order(self, cell: Cell, made: Plan, hear: OnEvent) -> None:
        from distributed import CancelledError

        from orchestrator.pipeline.matrix.cluster_worker import build_cell

        order = Order(
            place=self._place,
            model=cell.model,
            arch=str(cell.arch),
            set=cell.set if cell.changes is None else None,
            cell=cell.name,
            changes=cell.changes,
            analysis=None if cell.analysis is None else asdict(cell.analysis),
        )
        with self._lock:
            if self._stopped:
                raise Interrupted
            self._hearers[cell.name] = hear
            future = self._futures[cell.name] = self._client.submit(
                build_cell,
                asdict(order),
                key=f"{self._place.topic}-{cell.name.replace(' ', '-')}",
                resources=resources_for(made),
                pure=False,
            )
        self.on_order(cell.name)
        try:
            answer = future.result()
        except CancelledError:
            raise Interrupted from None
        except HefsmithError:
            raise
        except Exception as error:
            raise lost(cell.name, error) from error
        finally:
            with self._lock:
                self._futures.pop(cell.name, None)
        self.workers[cell.name] = str(answer["worker"])
        if answer["error"] is not None:
            raise told_error(answer["error"])

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        self._news.put(lambda: self._read(event[1]))

    def _read(self, message: Mapping[str, Any]) -> None:
        """Take a message of a worker: an event, or the key of a stage that is in the store."""
        if "published" in message:
            self.on_published(str(message["published"]))
            return
        hear = self._hearers.get(str(message.get("cell")))
        if hear is not None and "event" in message:
            hear(read_event(message["event"]))

    def stop(self) -> None:
        """Take back what waits, and ask the workers to stop what runs."""
        from distributed import Event as Flag

        with self._lock:
            self._stopped = True
            futures = list(self._futures.values())
        Flag(stop_flag(self._place.topic), client=self._client).set()
        self._client.cancel(futures, force=True)

    def close(self) -> None:
        """Listen no longer. The client belongs to whoever opened it."""
        self._news.close()


def not_there(name: str, left: Sequence[str]) -> EngineError:
    """Return what to say when a worker has made a cell and it is not to be found."""
    msg = (
        f"{name}: a worker has made it, but the store does not have "
        f"{', '.join(left)} under the keys of this machine"
    )
    hint = (
        "Do all have the same hefsmith, libraries and suite, and see the same store? "
        "Has the recipe changed since it was sent?"
    )
    return EngineError(msg, hint=hint, code="cluster.other")


def lost(name: str, error: BaseException) -> EngineError:
    """Return what to say when a cluster does not finish what it was given."""
    msg = f"{name}: the cluster has lost it: {type(error).__name__}: {error}"
    hint = "The workers' logs tell more; the same command goes on with what is there."
    return EngineError(msg, hint=hint, code="cluster.lost")
