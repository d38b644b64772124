"""How a build looks while it runs: live bars on a terminal, plain lines elsewhere, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import escape_control
from orchestrator.language import told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from hefsmith_worker.contract.findings import Finding
    from rich.progress import TaskID

#: What is counted while a stage runs, as workers and stages say it.
UNITS = (
    "files", "frames", "images", "pictures", "samples", "steps", "ways", "validation images",
)  # fmt: skip
#: What a person calls each part of the job.
TITLES = {
    "image": "build the emulator image",
    "look": "look at the network",
    "export": "export to ONNX",
    "samples": "run the samples",
    "calibrate": "prepare calibration",
    "parse": "parse the network",
    "optimize": "quantise",
    "analyze": "look at each layer",
    "compile": "compile",
    "evaluate": "evaluate each step",
    "ship": "ship to the device",
    "validate": "run on the device",
    "push": "copy to the store",
    "pull": "copy from the store",
}

_MARKS = {"error": "error", "warning": "warning", "info": "note"}
_STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def open_display(*, verbose: bool = False) -> PlainDisplay | LiveDisplay:
    """Return the display that suits standard error."""
    return LiveDisplay(verbose=verbose) if sys.stderr.isatty() else PlainDisplay(verbose=verbose)


#: Seconds without a line after which a log is told what still runs.
QUIET = 30.0
#: The beginning that the seconds of a log count from, whoever writes a line.
_BEGAN = time.monotonic()


class PlainDisplay:
    """One line for each thing that happens, with the seconds since the command began.

    A stage that says nothing for ``quiet`` seconds is named again, with its last line.
    """

    def __init__(self, *, verbose: bool = False, quiet: float = QUIET) -> None:
        self._verbose = verbose
        self._said = time.monotonic()
        self._quarter: dict[str, int] = {}
        self._running: dict[str, float] = {}
        self._last = ""
        self._quiet = quiet
        self._ended = threading.Event()
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._beat, name="display", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()

    def _beat(self) -> None:
        while not self._ended.wait(self._quiet / 4):
            now = time.monotonic()
            if self._running and now - self._said >= self._quiet:
                stage, began = list(self._running.items())[-1]
                said = told(f"running for {_clock(now - began)}")
                self._line(f"{stage}: {said}" + (f" ({self._last})" if self._last else ""))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen to a question; there is nothing here that moves."""
        yield

    def _line(self, text: str) -> None:
        with self._writing:
            self._said = time.monotonic()
            sys.stderr.write(f"[{self._said - _BEGAN:6.1f}s] {text}\n")
            sys.stderr.flush()

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._line(escape_control(told(text)))

    def stage_cached(self, stage: str) -> None:
        """Say that a stage need not run."""
        self._line(f"{stage}: {told('cached')}")

    def stage_started(self, stage: str) -> None:
        """Say that a stage begins."""
        self._quarter.pop(stage, None)
        self._last = ""
        self._running[stage] = time.monotonic()
        self._line(f"{stage}: {told(TITLES.get(stage, stage))}")

    def progress(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Print every quarter of a long stage."""
        if total is None or total <= 0:
            return
        quarter = 4 * done // total
        if 0 < quarter < 4 and quarter > self._quarter.get(stage, 0):
            self._line(f"{stage}: {_amount(done, unit, total)}")
            self._quarter[stage] = quarter

    def finding(self, finding: Finding) -> None:
        """Print a finding and its fix."""
        if finding.severity == "info" and not self._verbose:
            return
        mark = told(_MARKS[finding.severity])
        self._line(f"{mark}: {escape_control(told(finding.message))} [{finding.code}]")
        for line in told(finding.fix).splitlines():
            self._line(f"  {escape_control(line)}")

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Say that a stage is done."""
        self._running.pop(stage, None)
        self._line(f"{stage}: {told(f'done in {seconds:.1f} s')}")

    def log(self, line: str) -> None:
        """Print what the SDK says, if wanted; else keep it for the time of silence."""
        if self._verbose:
            self._line(f"  | {escape_control(line)}")
        elif line.strip():
            self._last = escape_control(line.strip())[:100]


class LiveDisplay:
    """A line with a bar for each stage; findings and notes scroll above them."""

    def __init__(self, *, verbose: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._verbose = verbose
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[name]:<10}"),
            TextColumn("{task.description}", style="dim"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen to a question, and go on below it."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def _task(self, stage: str) -> TaskID:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(
                told(TITLES.get(stage, stage)), total=None, name=stage, count=""
            )
            self._began[stage] = time.monotonic()
        return self._tasks[stage]

    def note(self, text: str) -> None:
        """Show a sentence above the bars."""
        self._console.print(escape_control(told(text)), style="dim", markup=False)

    def stage_cached(self, stage: str) -> None:
        """Show a stage as done without running."""
        task = self._task(stage)
        self._progress.update(task, total=1, completed=1, count=f"[cyan]{told('cached')}[/]")

    def stage_started(self, stage: str) -> None:
        """Show a stage as running."""
        task = self._task(stage)
        self._progress.reset(task, total=None, name=stage, count="")
        self._began[stage] = time.monotonic()

    def progress(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Show the count, and the time left once the pace is known."""
        count = f"{_amount(done, unit)}" if total is None else f"{_amount(done, unit, total)}"
        elapsed = time.monotonic() - self._began.get(stage, time.monotonic())
        if total and 0 < done < total and elapsed > 2:
            count += f", {told(f'{_clock(elapsed / done * (total - done))} left')}"
        task = self._task(stage)
        if done == total:
            # There may be work after the last sample: only the stage's own end is its end. To
            # rich, no total in an update means the one that it has.
            total = None
            self._progress.tasks[self._progress.task_ids.index(task)].total = None
        self._progress.update(task, completed=done, total=total, count=count)

    def finding(self, finding: Finding) -> None:
        """Show a finding above the bars."""
        if finding.severity == "info" and not self._verbose:
            return
        from rich.text import Text

        text = Text(f"{told(_MARKS[finding.severity])}: ", style=_STYLES[finding.severity])
        text.append(f"{escape_control(told(finding.message))} ", style="default")
        text.append(f"[{finding.code}]", style="dim")
        for line in told(finding.fix).splitlines():
            text.append(f"\n  {escape_control(line)}", style="dim")
        self._console.print(text)

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Show a stage as done."""
        self._progress.update(
            self._task(stage), total=1, completed=1, count=f"[green]{seconds:.1f} s[/]"
        )

    def log(self, line: str) -> None:
        """Show what the SDK says, if wanted."""
        if self._verbose:
            self._console.print(f"  | {escape_control(line)}", style="dim", markup=False)


def _amount(done: int, unit: str, total: int | None = None) -> str:
    if unit == "bytes":
        text = _size(done)
        return text if total is None else f"{text} / {_size(total)}"
    unit = told(unit)
    return f"{done} {unit}" if total is None else f"{done}/{total} {unit}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
