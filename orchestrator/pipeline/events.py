"""A worker's lines become facts: what each stage left, what was found, how it ended."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hefsmith_worker.contract.events import (
    Artifact,
    Done,
    Event,
    Hello,
    Interrupted,
    Log,
    Progress,
    StageFailed,
    StageFinished,
    StageStarted,
    Written,
    read_line,
)
from hefsmith_worker.contract.findings import ContractError, Finding

from orchestrator.errors import StageFailed as BuildFailed
from orchestrator.errors import escape_control
from orchestrator.pipeline.cache import CachedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from orchestrator.pipeline.observer import Observer

#: Lines of the log that are kept to explain a failure.
TAIL = 2000


class LogReader(Protocol):
    """Reads the vendor's prints (room ``diagnose``): progress, findings, what really ran."""

    def feed(self, line: str) -> list[object]:
        """Take one line; return the progress and findings that it holds."""

    def ran_so_far(self) -> Mapping[str, Any]:
        """Return what is known of what ran, as JSON values."""


@dataclass
class StageRecord:
    """What is known of one stage of a run."""

    name: str
    files: list[CachedFile] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    result: Mapping[str, Any] = field(default_factory=dict)
    ran: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    finished: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a stage failed, in the worker's words."""

    stage: str | None
    told: StageFailed


class EventReader:
    """Follows one run.

    ``on_written`` is called with a stage's name, and the path and bytes of a file of it, when the
    worker has not hashed that yet; ``on_announced`` with the file when it has; ``on_finished`` as
    soon as a stage is done.
    """

    def __init__(
        self,
        observer: Observer,
        log: TextIO,
        *,
        reader: LogReader | None = None,
        on_written: Callable[[str, str, int], None] = lambda _stage, _path, _size: None,
        on_announced: Callable[[str, CachedFile], None] = lambda _stage, _file: None,
        on_finished: Callable[[StageRecord], None] = lambda _: None,
    ) -> None:
        self._observer = observer
        self._log = log
        self._reader = reader
        self._on_written = on_written
        self._on_announced = on_announced
        self._on_finished = on_finished
        self.stages: dict[str, StageRecord] = {}
        self.failure: Failure | None = None
        self.done = False
        self.interrupted = False
        self.environment: Mapping[str, Any] = {}
        self.tail: list[str] = []

    def feed(self, line: str) -> None:
        """Take one line of the worker's output.

        Raises :class:`~orchestrator.errors.StageFailed` for an event that is none of a worker's.
        """
        try:
            message = read_line(line)
        except ContractError as error:
            msg = f"the worker sent an impossible message: {escape_control(str(error))}"
            hint = (
                "The code in the container does not fit this hefsmith, or something wrote into it."
            )
            raise BuildFailed(msg, hint=hint, code="worker.event") from None
        if message is None:
            self._print(time.time(), line)
        elif isinstance(message.event, Log):
            self._print(message.t, message.event.line)
        else:
            self._follow(message.event, message.stage or "")

    def _follow(self, event: Event | None, stage: str) -> None:
        match event:
            case Hello():
                self.environment = asdict(event)
            case StageStarted():
                self.stages[stage] = StageRecord(stage)
                self._observer.stage_started(stage)
            case Progress():
                self._observer.progress(stage, event.done, event.total or None, event.unit)
            case Finding():
                self._found(event)
            case Written():
                self._on_written(stage, event.path, event.bytes)
            case Artifact():
                file = CachedFile(event.role, event.path, event.sha256, event.bytes)
                self._record(stage).files.append(file)
                self._on_announced(stage, file)
            case StageFinished():
                self._finish(stage, event)
            case StageFailed():
                self.failure = Failure(stage or None, event)
            case Interrupted():
                self.interrupted = True
            case Done():
                self.done = True
            case Log() | None:
                # A newer worker may say more; that is no reason to fail.
                pass

    def _record(self, stage: str) -> StageRecord:
        return self.stages.setdefault(stage, StageRecord(stage))

    def _found(self, finding: Finding) -> None:
        if finding.stage is not None:
            record = self.stages.setdefault(finding.stage, StageRecord(finding.stage))
            if finding in record.findings:
                return
            record.findings.append(finding)
        self._observer.finding(finding)

    def _finish(self, stage: str, event: StageFinished) -> None:
        record = self._record(stage)
        record.seconds = event.seconds
        record.result = event.result
        # Announced twice (a folder that grew) means the later one.
        record.files = list({file.path: file for file in record.files}.values())
        if event.files is not None and event.files != len(record.files):
            msg = f"{stage} left {event.files} files and announced {len(record.files)}"
            hint = "A line of the worker's log was lost or overwritten: run the same command again."
            raise BuildFailed(msg, hint=hint, code="worker.event")
        record.finished = True
        if self._reader is not None:
            record.ran = dict(self._reader.ran_so_far())
        self._observer.stage_finished(record.name, record.seconds)
        self._on_finished(record)

    def _print(self, when: float, line: str) -> None:
        stamp = time.strftime("%H:%M:%S", time.localtime(when))
        self._log.write(f"{stamp} {line}\n")
        self.tail.append(line)
        del self.tail[:-TAIL]
        self._observer.log(line)
        if self._reader is None:
            return
        try:
            news = self._reader.feed(line)
        except Exception as error:  # a reader's mistake must never cost a build of hours
            import logging

            logging.getLogger(__name__).warning("the log reader gave up: %r", error)
            self._reader = None
            return
        for one in news:
            self._take(one)

    def _take(self, news: object) -> None:
        """Pass on what the log reader made of a line: a finding, or progress."""
        current = next(reversed(self.stages), None)
        if isinstance(news, Finding):
            self._found(news)
        elif isinstance(news, tuple) and len(news) == 3 and current is not None:
            done, total, unit = news
            self._observer.progress(current, done, total, unit)
