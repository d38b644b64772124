"""Builds cells on this machine: one session, with an engine of its own, for each slot."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.errors import Interrupted
from orchestrator.pipeline.news import Teller
from orchestrator.pipeline.outcome import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.engine.protocols import Engine, Running
    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.news import OnEvent
    from orchestrator.pipeline.outcome import BuildResult
    from orchestrator.pipeline.proof import Prover
    from orchestrator.pipeline.session import BuildSession

#: Seconds that jobs are given to stop: the engine's own ladder takes less.
STOPPED_WITHIN = 12.0


class Builder(Protocol):
    """Makes cells; called from one thread for each cell that runs.

    ``workers`` tells where a cell was made, by its name, when that was not here.
    """

    workers: dict[str, str]
    #: Whether it takes all cells at once and says itself when each begins.
    queues: bool

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Take the cells of which a stage must run, before any is built."""

    def build(self, cell: Cell, hear: OnEvent) -> BuildResult | None:
        """Make one cell and tell its news; ``None``: it is in the store. Raises what builds do."""

    def stop(self) -> None:
        """End what runs; the calls of :meth:`build` raise, and no new one begins."""

    def close(self) -> None:
        """Let go of engines and devices."""


@dataclass
class _Slot:
    session: BuildSession
    teller: Teller
    prover: Prover | None
    running: list[Running]


class LocalBuilder:
    """Builds on the engine that the settings name; with ``prove`` also ships and validates."""

    queues = False

    def __init__(self, session: BuildSession, *, prove: bool = False) -> None:
        self._session = session
        self._prove = prove
        self.workers: dict[str, str] = {}
        self._free: list[_Slot] = []
        self._all: list[_Slot] = []
        self._lock = threading.Lock()
        #: A device does one thing at a time, and the answers of two would be each other's load.
        self._device = threading.Lock()
        self._stopped = threading.Event()

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Nothing is to be done before."""

    def build(self, cell: Cell, hear: OnEvent) -> BuildResult:
        """Make one cell with a free slot, or a new one."""
        loaded, arch = cell.to_build()
        slot = self._take(hear)
        try:
            slot.teller.about = (cell.model, arch, cell.set)
            folder = cell.folder_in(self._session.artifacts)
            build, made = slot.session.build(loaded, arch, folder, cell.analysis)
            proof = None
            if slot.prover is not None:
                with self._device:
                    proof = slot.prover.prove(build, loaded.folder)
            return outcome_of(build, made, proof)
        finally:
            slot.running.clear()
            with self._lock:
                self._free.append(slot)

    def _take(self, hear: OnEvent) -> _Slot:
        if self._stopped.is_set():
            raise Interrupted
        with self._lock:
            slot = self._free.pop() if self._free else None
        if slot is None:
            slot = self._new()
        slot.teller.direct(hear)
        return slot

    def _new(self) -> _Slot:
        from orchestrator.pipeline.proof import Prover

        teller = Teller(lambda _: None)
        session = self._session.sibling(teller)
        running: list[Running] = []
        session.on_engine = lambda engine: self._watch(engine, running)
        slot = _Slot(session, teller, Prover(session) if self._prove else None, running)
        with self._lock:
            self._all.append(slot)
        return slot

    def _watch(self, engine: Engine, running: list[Running]) -> None:
        """Note the jobs that an engine starts, so that another thread can stop them."""
        begin: Callable[..., Running] = engine.start

        def start(*arguments: Any, **options: Any) -> Running:
            job = begin(*arguments, **options)
            running.append(job)
            if self._stopped.is_set():
                job.stop()
            return job

        engine.start = start  # type: ignore[method-assign]

    def stop(self) -> None:
        """Stop the jobs of all slots at once."""
        self._stopped.set()
        with self._lock:
            jobs = [job for slot in self._all for job in slot.running]
        threads = [threading.Thread(target=_stop, args=(job,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(STOPPED_WITHIN)

    def close(self) -> None:
        """Let go of engines and devices."""
        for slot in self._all:
            if slot.prover is not None:
                slot.prover.__exit__(None, None, None)
            if not self._stopped.is_set():
                slot.session.close()


def _stop(job: Running) -> None:
    with contextlib.suppress(Exception):
        job.stop()
