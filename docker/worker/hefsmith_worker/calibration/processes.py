"""Runs tasks in worker processes, or in this one when there is too little to do."""

from __future__ import annotations

import math
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, List, Optional, Sequence, Type

from hefsmith_worker.calibration.model import CalibrationError
from hefsmith_worker.calibration.work import Outcome, Setup, Task, begin, run_task, run_tasks

#: Below this many bytes of pictures, starting processes costs more than they save.
SMALL_JOB_BYTES = 12_000_000
SMALL_JOB_TASKS = 24


def usable_cores() -> int:
    """Return the number of cores this process may use, container limits included."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return max(1, cores)


class Crew:
    """A pool that starts with the first large round and stays for the next ones."""

    def __init__(self, setup: Setup, workers: Optional[int]) -> None:
        self._setup = setup
        self._workers = usable_cores() if workers is None else max(0, workers)
        self._forced = workers is not None
        self._pool: Optional[ProcessPoolExecutor] = None

    def __enter__(self) -> Crew:  # noqa: PYI034  Self is not in Python 3.8
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def run(self, tasks: Sequence[Task], tell: Callable[[int], None]) -> List[Outcome]:
        """Return the outcomes in the order of the tasks; ``tell`` gets how many are new."""
        if self._pool is None and not self._worth_it(tasks):
            outcomes = []
            for task in tasks:
                outcomes.append(run_task(self._setup, task))
                tell(1)
            return outcomes
        return self._spread(tasks, tell)

    def _worth_it(self, tasks: Sequence[Task]) -> bool:
        if self._forced:
            return self._workers > 1
        if self._workers < 2 or len(tasks) < SMALL_JOB_TASKS:
            return False
        total = 0
        for task in tasks:
            for item in task.sample:
                try:
                    total += item.span[1] if item.span else os.stat(item.path).st_size
                except OSError:
                    continue
                if total > SMALL_JOB_BYTES:
                    return True
        return False

    def _spread(self, tasks: Sequence[Task], tell: Callable[[int], None]) -> List[Outcome]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=begin,
                initargs=(self._setup,),
            )
        # Small chunks keep the processes equally busy to the end and the progress smooth.
        size = max(1, min(16, math.ceil(len(tasks) / (self._workers * 4))))
        chunks = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        futures = {
            self._pool.submit(run_tasks, chunk): number for number, chunk in enumerate(chunks)
        }
        results: Dict[int, List[Outcome]] = {}
        try:
            for future in as_completed(futures):
                outcomes = future.result()
                results[futures[future]] = outcomes
                tell(len(outcomes))
        except BrokenProcessPool:
            msg = "a process that prepares pictures was killed, most likely for lack of memory"
            raise CalibrationError(
                msg, "calib.killed", "Give the engine more memory, or lower the count of cores."
            ) from None
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [outcome for number in range(len(chunks)) for outcome in results[number]]
