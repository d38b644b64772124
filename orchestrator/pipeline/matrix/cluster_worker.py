"""What runs on a worker of a Dask cluster: one cell, with the engine of that machine."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from orchestrator import files
from orchestrator.errors import HefsmithError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.pipeline.news import Event
    from orchestrator.pipeline.session import BuildSession

#: Seconds between two messages of progress, and between two looks whether to stop.
SELDOM = 0.5
#: Seconds in which what was made must reach the store: nobody could take it otherwise.
SENT_WITHIN = 3600.0


def build_cell(order: Mapping[str, Any]) -> dict[str, Any]:
    """Make one cell and send it to the store; return who made it and what went wrong.

    Errors of ours are values: a scheduler tries what raises again, and a wrong recipe stays wrong.
    """
    from distributed import Event as Flag
    from distributed import get_worker

    worker = get_worker()
    teller = _Teller(worker, str(order["topic"]), str(order["cell"]))
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
    flag = Flag(f"{order['topic']}-stop")
    while thread.is_alive():
        thread.join(SELDOM)
        if not stop.is_set() and flag.is_set():
            stop.set()
    (error,) = outcome
    if isinstance(error, HefsmithError):
        answer["error"] = {
            "message": error.message,
            "hint": error.hint,
            "code": error.code,
            "exit_code": int(error.exit_code),
        }
    elif error is not None:
        raise error
    return answer


def _make(order: Mapping[str, Any], teller: _Teller, stop: threading.Event) -> None:
    from orchestrator.pipeline.matrix.builder import LocalBuilder
    from orchestrator.pipeline.matrix.cells import Asked, wanted_cells
    from orchestrator.pipeline.matrix.messages import same_folder
    from orchestrator.pipeline.observer import Silent
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace(same_folder(str(order["root"])))
    with files.scratch("hefsmith-cell") as scratch:
        flags = {name: order[name] for name in ("toolchain", "gpu", "strict", "store")}
        flags["artifacts"] = str(scratch / "artifacts")
        session = BuildSession(workspace, resolve(workspace, os.environ, flags), Silent())
        builder = LocalBuilder(session)

        def stop_it() -> None:
            stop.wait()
            builder.stop()

        threading.Thread(target=stop_it, name="hefsmith-stop", daemon=True).start()
        try:
            sets = (order["set"],) if order["set"] else ()
            asked = Asked((order["model"],), (order["arch"],), sets)
            (cell,) = wanted_cells(asked, workspace.file.matrix, (), session.recipe)
            if cell.wrong is not None:
                raise cell.wrong
            team = session.team
            assert team is not None
            team.on_sent = teller.published
            builder.build(cell, teller.tell)
            if stop.is_set():
                msg = "interrupted"
                raise Interrupted(msg)
            _send_all(session, teller)
        finally:
            builder.close()
            session.close()


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
        message = {"cell": self._cell, "event": event_document(event)}
        self._worker.log_event(self._topic, message)

    def published(self, key: str) -> None:
        """Send the key of a stage that is in the store."""
        self._worker.log_event(self._topic, {"cell": self._cell, "published": key})
