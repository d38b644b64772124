"""The first job of a build, started while the host still plans.

Making a container and loading the worker in it take a second in which this process has nothing
to do. So a thread does that as soon as it is certain that a stage must run, and the job waits,
loaded, for its plan and for the word. A build that is cached never gets here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator import files
from orchestrator.pipeline.finished import builds
from orchestrator.pipeline.jobs import make_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.engine.protocols import Running
    from orchestrator.pipeline.jobs import Segment
    from orchestrator.pipeline.plan import Plan

#: Seconds for which a start that is under way is waited for before it is left to its fate: the
#: end of this process ends the container too, and the next start removes what is left.
PATIENCE = 6.0


@dataclass(frozen=True)
class PrestartedJob:
    """A job that waits for its word, and what it was started for."""

    segment: Segment
    running: Running


class Prestart:
    """Starts a job in a thread; ``act`` gets the build folder, and may find nothing to start.

    Whatever goes wrong there is not told: the build meets it again when it starts the job in
    the usual way. :meth:`discard` must be called in the end; it does nothing to a job that has
    come to its end.
    """

    def __init__(self, final: Path, act: Callable[[Path], PrestartedJob | None]) -> None:
        self.staging = builds.staging_folder(final)
        self._act = act
        self._opened: PrestartedJob | None = None
        self._dropped = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="hefsmith-prestart", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            opened = self._act(self.staging)
        except Exception:
            return
        with self._lock:
            self._opened = opened
            stop = self._dropped and opened is not None
        if stop and opened is not None:
            opened.running.stop()

    def take(self) -> PrestartedJob | None:
        """Return the job as soon as it waits, ``None`` when none was started."""
        while self._thread.is_alive():
            # With a time limit, since Windows cannot interrupt a wait without one.
            self._thread.join(0.5)
        # One that was dropped is stopped, and cannot begin any more.
        return None if self._dropped else self._opened

    def drop(self) -> None:
        """Stop the job, if it was started; one that is being started stops by itself then."""
        with self._lock:
            self._dropped = True
            opened = self._opened
        if opened is not None:
            opened.running.stop()
        self._thread.join(PATIENCE)

    def discard(self) -> None:
        """Stop the job, and remove the build folder if it has not become the build."""
        self.drop()
        files.remove_tree(self.staging.parent / f"{self.staging.name}{builds.SOURCE_COPIES}")
        files.remove_tree(self.staging)


def start_job(made: Plan, segment: Segment | None, staging: Path) -> PrestartedJob | None:
    """Start the first job of a plan, so that it is loaded and waits."""
    if segment is None:
        return None
    job = make_job(made, segment, staging, waits=True)
    return PrestartedJob(segment, segment.target.engine.start(job, held=True))
