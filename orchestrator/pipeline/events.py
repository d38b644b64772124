"""A worker's lines become facts: what each stage left, what was found, how it ended."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.pipeline.cache import CachedFile
from orchestrator.pipeline.observer import Finding

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
    kind: str
    message: str
    known: str | None
    fix: str | None
    traceback: str | None
    signal: str | None = None


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
        """Take one line of the worker's output."""
        event = _parse(line)
        if event is None:
            self._print(time.time(), line)
            return
        match event["event"]:
            case "hello":
                self.environment = {
                    key: value for key, value in event.items() if key not in ("event", "t", "stage")
                }
            case "log":
                self._print(event.get("t", time.time()), str(event.get("line", "")))
            case "stage_started":
                self.stages[event["stage"]] = StageRecord(event["stage"])
                self._observer.stage_started(event["stage"])
            case "progress":
                self._observer.progress(
                    str(event.get("stage")),
                    int(event["done"]),
                    int(event["total"]) or None,
                    str(event["unit"]),
                )
            case "finding":
                self._found(Finding.from_event(event))
            case "written":
                self._on_written(str(event.get("stage")), event["path"], event["bytes"])
            case "artifact":
                record = self._record(event)
                file = CachedFile(event["role"], event["path"], event["sha256"], event["bytes"])
                record.files.append(file)
                self._on_announced(record.name, file)
            case "stage_finished":
                self._finish(event)
            case "stage_failed":
                self.failure = Failure(
                    event.get("stage"),
                    str(event.get("class", "")),
                    str(event.get("message", "")),
                    event.get("known"),
                    event.get("fix"),
                    event.get("traceback"),
                    event.get("signal"),
                )
            case "interrupted":
                self.interrupted = True
            case "done":
                self.done = True
            case _:
                # A newer worker may say more; that is no reason to fail.
                pass

    def _record(self, event: Mapping[str, Any]) -> StageRecord:
        stage = str(event.get("stage"))
        return self.stages.setdefault(stage, StageRecord(stage))

    def _found(self, finding: Finding) -> None:
        if finding.stage is not None:
            record = self.stages.setdefault(finding.stage, StageRecord(finding.stage))
            if finding in record.findings:
                return
            record.findings.append(finding)
        self._observer.finding(finding)

    def _finish(self, event: Mapping[str, Any]) -> None:
        record = self._record(event)
        record.seconds = float(event.get("seconds", 0.0))
        record.result = event.get("result") or {}
        # Announced twice (a folder that grew) means the later one.
        record.files = list({file.path: file for file in record.files}.values())
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


def _parse(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    return event
