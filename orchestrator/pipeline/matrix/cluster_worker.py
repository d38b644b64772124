"""What runs on a worker of a Dask cluster: one cell, with the engine of that machine."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator import files
from orchestrator.errors import HefsmithError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.matrix.orders import Order
    from orchestrator.pipeline.news import Event
    from orchestrator.pipeline.session import BuildSession

#: Seconds between two messages of progress, and between two looks whether to stop.
SELDOM = 0.5
#: Seconds in which what was made must reach the store: nobody could take it otherwise.
SENT_WITHIN = 3600.0


def build_cell(document: Mapping[str, Any]) -> dict[str, Any]:
    """Make one cell and send it to the store; return who made it and what went wrong.

    Errors of ours are values: a scheduler tries what raises again, and a wrong recipe stays wrong.
    """
    from distributed import Event as Flag
    from distributed import get_worker

    from orchestrator.pipeline.matrix.orders import Order, Place, stop_flag

    worker = get_worker()
    order = Order(**{**document, "place": Place(**document["place"])})
    teller = _Teller(worker, order.place.topic, order.cell)
    teller.say({"at": str(worker.address)})
    answer: dict[str, Any] = {"worker": str(worker.address), "error": None}
    outcome: list[HefsmithError | Exception | None] = []
    stop = threading.Event()

    def act() -> None:
        try:
            _make(order, teller, stop)
            outcome.append(None)
        except Exception as error:  # told below
            outcome.append(error)

    thread = threading.Thread(target=act, name="hefsmith-cell", daemon=True)
    thread.start()
    flag = Flag(stop_flag(order.place.topic))
    while thread.is_alive():
        thread.join(SELDOM)
        if not stop.is_set() and flag.is_set():
            stop.set()
    (error,) = outcome
    if isinstance(error, HefsmithError):
        answer["error"] = error.to_json()
    elif error is not None:
        raise error
    return answer


def _make(order: Order, teller: _Teller, stop: threading.Event) -> None:
    from orchestrator.pipeline.matrix.builder import LocalBuilder
    from orchestrator.pipeline.matrix.orders import need_key, open_place

    with files.scratch("hefsmith-cell") as scratch:
        session = open_place(order.place, str(scratch))
        need_key(order.place, session.settings.text("sign_with"))
        builder = LocalBuilder(session)

        over = threading.Event()

        def stop_it() -> None:
            while not over.wait(SELDOM):
                if stop.is_set():
                    builder.stop()
                    return

        watch = threading.Thread(target=stop_it, name="hefsmith-stop", daemon=True)
        watch.start()
        try:
            cell = _cell_of(order, session)
            cell.to_build()
            team = session.team
            assert team is not None
            team.on_sent = teller.published
            builder.build(cell, teller.tell)
            if stop.is_set():
                raise Interrupted
            _send_all(session, teller)
        finally:
            over.set()
            watch.join()
            builder.close()
            session.close()


def _cell_of(order: Order, session: BuildSession) -> Cell:
    from hefsmith_worker.contract.options import AnalyzeOptions

    from orchestrator.pipeline.matrix.orders import cells_of
    from orchestrator.pipeline.tune.tuning import Variant, applied

    (cell,) = cells_of(session, [(order.model, order.arch, order.set)])
    if cell.loaded is None or order.changes is None:
        return cell
    look: dict[str, Any] | None = None if order.analysis is None else dict(order.analysis)
    analysis = None if look is None else AnalyzeOptions(**look)
    recipe = applied(cell.loaded, Variant(order.cell, order.changes))
    return replace(cell, loaded=recipe, set="trial", analysis=analysis)


def _send_all(session: BuildSession, teller: _Teller) -> None:
    """Wait until all that was made is in the store; raises when that cannot be."""
    from orchestrator.errors import EngineError

    team = session.team
    assert team is not None
    if not team.flush(SENT_WITHIN):
        msg = "what this worker has made does not reach the store"
        raise EngineError(msg, hint=teller.last, code="cluster.store")


class _Teller:
    """Sends news to whoever gave the order."""

    def __init__(self, worker: Any, topic: str, cell: str) -> None:
        self._worker = worker
        self._topic = topic
        self._cell = cell
        self._said = 0.0
        self.last: str | None = None

    def tell(self, event: Event) -> None:
        """Send an event; of logs nothing, of progress little."""
        from orchestrator.pipeline.matrix.messages import event_document

        now = time.monotonic()
        if event.kind == "log" or (event.kind == "progress" and now - self._said < SELDOM):
            return
        if event.kind == "progress":
            self._said = now
        if event.kind == "note":
            self.last = event.text
        self.say({"event": event_document(event)})

    def published(self, key: str) -> None:
        """Send the key of a stage that is in the store."""
        self.say({"published": key})

    def say(self, message: Mapping[str, object]) -> None:
        """Send a message about the cell."""
        self._worker.log_event(self._topic, {"cell": self._cell, **message})
