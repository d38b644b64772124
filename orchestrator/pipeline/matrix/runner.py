"""Carry a matrix out: plan every cell, start what may start, and take what comes of each.

Cells that share a stage which is not there yet wait for the one that makes it, and go on as soon
as it is in the cache. A cell that fails costs the others nothing; one that needs the very stage
that failed is told so instead of failing in the same way.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hefsmith_worker.contract.needs import memory_for

from orchestrator.errors import HefsmithError, Interrupted, StageFailed
from orchestrator.pipeline.finished.pins import name_of, need_locked
from orchestrator.pipeline.matrix.board import Board
from orchestrator.pipeline.matrix.builder import STOPPED_WITHIN
from orchestrator.pipeline.matrix.result import CellResult, MatrixResult
from orchestrator.pipeline.matrix.schedule import Capacity, Demand, next_cells
from orchestrator.pipeline.news import Teller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.pipeline.cache import CacheEntry
    from orchestrator.pipeline.matrix.builder import Builder
    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.news import Event, OnEvent
    from orchestrator.pipeline.outcome import BuildResult
    from orchestrator.pipeline.session import BuildSession

#: A stage that ended so may end otherwise the next time.
CHANCE = frozenset({"stage.oom", "stage.killed", "stage.disk_full", "inputs.changing"})


#: Seconds between two writings of what is known of files.
SPACING = 5.0


class View(Protocol):
    """Shows a matrix; called by several threads, one at a time."""

    def open(self, board: Board) -> None:
        """Begin to show the board."""

    def note(self, text: str) -> None:
        """Take a sentence about all of it."""

    def hear(self, cell: Cell, event: Event) -> None:
        """Take news of a cell; the board has them already."""

    def ended(self, result: CellResult) -> None:
        """A cell has ended."""

    def close(self) -> None:
        """Stop showing."""


class NoView:
    """Shows nothing."""

    def open(self, board: Board) -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Drop it."""

    def hear(self, cell: Cell, event: Event) -> None:
        """Drop it."""

    def ended(self, result: CellResult) -> None:
        """Drop it."""

    def close(self) -> None:
        """Drop it."""


class Forwarding(NoView):
    """Passes the news of every cell on to a callback."""

    def __init__(self, tell: OnEvent) -> None:
        self._teller = Teller(tell)

    def note(self, text: str) -> None:
        """Pass it on as news of no build."""
        self._teller.note(text)

    def hear(self, cell: Cell, event: Event) -> None:  # noqa: ARG002
        """Pass it on: the event says which cell it is about."""
        self._teller.forward(event)


@dataclass(frozen=True)
class _Ended:
    """A cell's thread has come to its end, with a result or with what went wrong."""

    number: int
    result: BuildResult | None
    error: BaseException | None


class MatrixRunner:
    """Runs the cells of one command."""

    def __init__(
        self,
        session: BuildSession,
        cells: Sequence[Cell],
        builder: Builder,
        capacity: Capacity,
        view: View | None = None,
        *,
        locked: bool = False,
    ) -> None:
        self._session = session
        self._locked = locked
        self._cells = tuple(cells)
        self._builder = builder
        # Who takes all cells at once gets all of them.
        self._capacity = Capacity(len(self._cells)) if builder.queues else capacity
        self._view: View = view or NoView()
        self._board = Board([cell.name for cell in self._cells], capacity.jobs)
        self._queue: queue.SimpleQueue[_Ended | None] = queue.SimpleQueue()
        self._published: set[str] = set()
        self._results: dict[int, CellResult] = {}
        self._pending: dict[int, Demand] = {}
        self._running: dict[int, Demand] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._failed: dict[str, tuple[str, HefsmithError]] = {}
        #: Set from any thread it stops the run as Ctrl-C does.
        self.stop_asked = threading.Event()

    def run(self) -> MatrixResult:
        """Make every cell that can be made. Ctrl-C stops what runs; the result tells so."""
        began = time.monotonic()
        listeners = self._session.cache.listeners
        listeners.append(self._hear_of_entry)
        memory, spacing = self._session.memory, self._session.memory.spacing
        memory.spacing = SPACING
        self._view.open(self._board)
        try:
            try:
                self._plan()
                self._loop()
            except KeyboardInterrupt:
                self._stop()
        finally:
            listeners.remove(self._hear_of_entry)
            self._view.close()
            memory.spacing = spacing
            memory.save(now=True)
        results = tuple(self._results[number] for number in range(len(self._cells)))
        return MatrixResult(results, time.monotonic() - began)

    # --- before anything runs -------------------------------------------------------------------

    def _plan(self) -> None:
        for number, cell in enumerate(self._cells):
            try:
                self._pending[number] = self._demand(cell)
            except HefsmithError as error:
                self._end(number, _failed(cell, error))
        self._board.planned(dict(self._pending))
        self._builder.prepare(
            [self._cells[number] for number, demand in self._pending.items() if demand.stages]
        )

    def _demand(self, cell: Cell) -> Demand:
        session = self._session
        loaded, arch = cell.to_build()
        final = cell.folder_in(session.artifacts)
        made, materials, _ = session.plan(session.request(loaded, arch), final)
        if self._locked:
            name = name_of(cell.model, arch, cell.set)
            need_locked(session.workspace.root, name, made, materials)
        stages = {stage.key: stage.name for stage in made.stages if stage.runs}
        memory = session.memory_of_a_job() or memory_for(made.to_run, made.emulated)
        return Demand(stages, memory if made.to_run else 0)

    # --- while it runs --------------------------------------------------------------------------

    def _loop(self) -> None:
        while self._pending or self._running:
            if self.stop_asked.is_set():
                raise KeyboardInterrupt
            for number in next_cells(self._pending, self._running, self._published, self._capacity):
                self._start(number)
            try:
                # With a time limit, since Windows cannot interrupt a wait without one.
                news = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            if news is not None:
                self._take(news)

    def _start(self, number: int) -> None:
        demand = self._pending.pop(number)
        # Who takes all cells at once decides what waits for what.
        self._running[number] = Demand({}) if self._builder.queues else demand
        if not self._builder.queues:
            self._board.start(number)
        thread = threading.Thread(
            target=self._work, args=(number,), name=f"hefsmith-cell-{number}", daemon=True
        )
        self._threads[number] = thread
        thread.start()

    def _work(self, number: int) -> None:
        cell = self._cells[number]

        def hear(event: Event) -> None:
            with self._board.lock:
                self._board.hear(number, event)
                self._view.hear(cell, event)

        try:
            ended = _Ended(number, self._builder.build(cell, hear), None)
        except BaseException as error:  # whatever it is, it is this cell's alone
            ended = _Ended(number, None, error)
        self._queue.put(ended)

    def begun(self, name: str) -> None:
        """Note that a builder that takes all cells at once has begun with one."""
        for number, line in enumerate(self._board.lines):
            if line.name == name and line.state == "waiting":
                self._board.start(number)

    def _hear_of_entry(self, entry: CacheEntry) -> None:
        if self._session.fresh:
            self._session.renewed.add(entry.key)
        self.published(entry.key)

    def published(self, key: str) -> None:
        """Note that a stage is there: cells that wait for it may go on."""
        self._published.add(key)
        self._board.published(key)
        self._queue.put(None)

    def _take(self, ended: _Ended) -> None:
        number, cell = ended.number, self._cells[ended.number]
        demand = self._running.pop(number)
        self._threads.pop(number)
        stage = self._board.lines[number].stage
        self._board.end(number, "waiting")  # the clock; what became of it follows
        seconds = self._board.lines[number].seconds
        worker = self._builder.workers.get(cell.name)
        if ended.error is None:
            # What a worker has made comes from the store: it was not there before.
            made = worker is not None or not (ended.result is None or ended.result.cached)
            result = CellResult(
                cell.model,
                cell.arch,
                cell.set,
                "built" if made else "cached",
                seconds,
                ended.result,
                worker=worker,
            )
        else:
            error = _as_told(ended.error)
            result = _failed(cell, error, seconds, worker)
            self._note_failure(cell, demand, stage, error)
        self._end(number, result)
        for waiting, other in list(self._pending.items()):
            if (why := self._doomed(self._cells[waiting], other)) is not None:
                del self._pending[waiting]
                self._end(waiting, _failed(self._cells[waiting], why))

    def _note_failure(
        self, cell: Cell, demand: Demand, stage: str | None, error: HefsmithError
    ) -> None:
        if not isinstance(error, StageFailed) or error.code in CHANCE:
            return
        for key, name in demand.stages.items():
            if name == stage and key not in self._published:
                self._failed[key] = (cell.name, error)

    def _doomed(self, cell: Cell, demand: Demand) -> HefsmithError | None:
        """Return why a cell cannot be made: it needs the very stage that failed elsewhere."""
        for key, name in demand.stages.items():
            if key in self._failed:
                where, error = self._failed[key]
                first = error.message.splitlines()[0]
                msg = f"{cell.name}: it needs the stage {name} that failed for {where}: {first}"
                return StageFailed(msg, hint=error.hint, code=error.code)
        return None

    def _end(self, number: int, result: CellResult) -> None:
        first = result.error.message.splitlines()[0] if result.error is not None else ""
        with self._board.lock:
            self._board.end(number, result.status, first)
            self._results[number] = result
            self._view.ended(result)

    # --- when it must stop ----------------------------------------------------------------------

    def _stop(self) -> None:
        """Stop what runs and note what was not finished; all that is done is kept."""
        try:
            self._builder.stop()
            until = time.monotonic() + STOPPED_WITHIN
            for thread in self._threads.values():
                thread.join(max(until - time.monotonic(), 0.0))
        except KeyboardInterrupt:
            pass  # once more: the jobs end with this process
        while not self._queue.empty():
            news = self._queue.get()
            if news is not None and news.number in self._running and news.error is None:
                self._take(news)
        for number, cell in enumerate(self._cells):
            if number not in self._results:
                seconds = 0.0
                if number in self._running:
                    seconds = time.monotonic() - self._board.lines[number].began
                self._end(number, CellResult(cell.model, cell.arch, cell.set, "stopped", seconds))


def _as_told(error: BaseException) -> HefsmithError:
    """Return an error that a user can read; what is none of ours says what it was."""
    if isinstance(error, HefsmithError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted()
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return HefsmithError(f"{place}{error.strerror}", code="system")
    return HefsmithError(
        f"{type(error).__name__}: {error}",
        hint="This is a fault of hefsmith. HEFSMITH_DEBUG=1 shows where it happened.",
        code="internal",
    )


def _failed(
    cell: Cell, error: HefsmithError, seconds: float = 0.0, worker: str | None = None
) -> CellResult:
    stopped = isinstance(error, Interrupted)
    return CellResult(
        cell.model,
        cell.arch,
        cell.set,
        "stopped" if stopped else "failed",
        seconds,
        error=None if stopped else error,
        worker=worker,
    )
