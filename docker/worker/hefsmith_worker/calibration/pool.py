"""Runs tasks side by side: in threads, in processes where there are many cores, or in turn.

Pillow lets go of the interpreter's lock while it decodes and scales, which is nine tenths of a
task, so a few threads keep a few cores busy and need no start. Beyond that the lock is what
they would wait for: then each core gets a process.

The processes are fresh Pythons that know nothing but this package (``pool_worker.py``). The
standard pool would import the caller's main module again in each of them, which takes long
inside an SDK and is wrong in scripts without a guard; a fork is unsafe beside the SDK's threads.
"""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Callable, Dict, List, Optional, Sequence, Type

import hefsmith_worker
from hefsmith_worker.calibration.model import CalibrationError
from hefsmith_worker.calibration.work import Setup, Task, TaskResult, run_task

#: Up to this many workers are threads; more are processes.
MOST_THREADS = 4

#: Below this many bytes of pictures, starting processes costs more than they save.
SMALL_JOB_BYTES = 48_000_000
LARGEST_CHUNK = 8


def usable_cores() -> int:
    """Return the number of cores this process may use, container limits included."""
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return max(1, cores)


class _PoolWorker:
    """One child process: pickled chunks go in, pickled outcomes come out."""

    def __init__(self, setup: Setup) -> None:
        above = str(Path(hefsmith_worker.__file__).resolve().parent.parent)
        paths = [above, os.environ.get("PYTHONPATH", "")]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in paths if path))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hefsmith_worker.calibration.pool_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._send(setup)

    def run(self, tasks: Sequence[Task]) -> List[TaskResult]:
        """Have a chunk done. Raises :class:`CalibrationError` when the process is gone."""
        try:
            self._send(list(tasks))
            assert self._process.stdout is not None
            outcomes: List[TaskResult] = pickle.load(self._process.stdout)  # noqa: S301  our child
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._lost() from None
        return outcomes

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()

    def _lost(self) -> CalibrationError:
        code = self._process.wait()
        if code in (-9, 137):
            msg = "a process that prepares pictures was killed, most likely for lack of memory"
            return CalibrationError(msg, "calib.killed", "Give the engine more memory.")
        msg = f"a process that prepares pictures ended early (exit status {code})"
        return CalibrationError(msg, "calib.killed", "Its last words are in the log.")

    def dismiss(self, *, at_once: bool) -> None:
        """End the process: by closing its input, or without waiting for its chunk."""
        if at_once:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        self._process.wait()


class WorkerPool:
    """Does tasks with a number of workers, ``None`` for one on each core; 0 works in turn.

    Processes start with the first round that is worth it and stay for the next ones.
    """

    def __init__(self, setup: Setup, workers: Optional[int]) -> None:
        self._setup = setup
        self._workers = usable_cores() if workers is None else max(0, workers)
        self._forced = workers is not None
        self._members: List[_PoolWorker] = []
        self._threads: Optional[ThreadPoolExecutor] = None
        self._idle: SimpleQueue[_PoolWorker] = SimpleQueue()

    def __enter__(self) -> WorkerPool:  # noqa: PYI034  Self is not in Python 3.8
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: object) -> None:
        for pool_worker in self._members:
            pool_worker.dismiss(at_once=kind is not None)
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def run(self, tasks: Sequence[Task], tell: Callable[[int], None]) -> List[TaskResult]:
        """Return the outcomes in the order of the tasks; ``tell`` gets how many are new."""
        if self._workers < 2 or len(tasks) < 2:
            outcomes = []
            for task in tasks:
                outcomes.append(run_task(self._setup, task))
                tell(1)
            return outcomes
        if self._members or (self._workers > MOST_THREADS and self._worth_it(tasks)):
            self._hire()
            # Small chunks keep the processes equally busy to the end and the progress smooth.
            size = max(1, min(LARGEST_CHUNK, math.ceil(len(tasks) / (self._workers * 4))))
            return self._spread(tasks, size, self._have_done, tell)
        return self._spread(tasks, 1, self._do, tell)

    def _worth_it(self, tasks: Sequence[Task]) -> bool:
        """Tell whether there is so much to read that starting processes pays."""
        if self._forced:
            return True
        total = 0
        for task in tasks:
            for item in task.sample:
                try:
                    total += item.span[1] if item.span else Path(item.path).stat().st_size
                except OSError:
                    continue
                if total > SMALL_JOB_BYTES:
                    return True
        return False

    def _hire(self) -> None:
        """Start the processes, once."""
        while len(self._members) < self._workers:
            pool_worker = _PoolWorker(self._setup)
            self._members.append(pool_worker)
            self._idle.put(pool_worker)

    def _spread(
        self,
        tasks: Sequence[Task],
        size: int,
        work: Callable[[Sequence[Task]], List[TaskResult]],
        tell: Callable[[int], None],
    ) -> List[TaskResult]:
        """Do chunks of ``size`` tasks in threads; the first error ends them all."""
        if self._threads is None:
            count = self._workers if self._members else min(self._workers, MOST_THREADS)
            self._threads = ThreadPoolExecutor(count, thread_name_prefix="calibration")
        chunks = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        futures = {self._threads.submit(work, chunk): i for i, chunk in enumerate(chunks)}
        results: Dict[int, List[TaskResult]] = {}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                tell(len(results[futures[future]]))
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [outcome for number in range(len(chunks)) for outcome in results[number]]

    def _do(self, tasks: Sequence[Task]) -> List[TaskResult]:
        return [run_task(self._setup, task) for task in tasks]

    def _have_done(self, tasks: Sequence[Task]) -> List[TaskResult]:
        pool_worker = self._idle.get()
        try:
            return pool_worker.run(tasks)
        finally:
            self._idle.put(pool_worker)
