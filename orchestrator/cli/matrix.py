"""How a matrix looks: one live table on a terminal, plain lines elsewhere, a table of what came."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from orchestrator.cli.display import TITLES
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.pipeline.matrix.board import Board, Line
    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.matrix.result import CellResult, MatrixResult
    from orchestrator.pipeline.news import Event
    from orchestrator.pipeline.proof import Proof

#: Lines of a terminal that the table leaves free: its head, its foot, the prompt.
FREE_LINES = 6


def open_view(*, verbose: bool = False) -> PlainMatrix | LiveMatrix:
    """Return the view that suits standard error."""
    return LiveMatrix(verbose=verbose) if sys.stderr.isatty() else PlainMatrix(verbose=verbose)


def foot(board: Board) -> str:
    """Return how far all of it is, in one line."""
    counts = board.counts()
    done = sum(counts[state] for state in ("built", "cached", "failed", "stopped"))
    parts = [f"{done} of {len(board.lines)} done"]
    parts += [
        f"{counts[state]} {state}" for state in ("failed", "running", "waiting") if counts[state]
    ]
    parts.append(f"{clock(time.monotonic() - board.began)} passed")
    left = board.left()
    if left is not None and done < len(board.lines):
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Return a time as ``m:ss`` or ``h:mm:ss``."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def ending(result: CellResult) -> str:
    """Return in a few words how a cell ended."""
    if result.status == "failed":
        assert result.error is not None
        return f"failed: {escape_control(result.error.message.splitlines()[0])}"
    if result.status == "stopped":
        return "stopped"
    words = "cached" if result.status == "cached" else f"built in {result.seconds:.1f} s"
    if result.result is not None and result.result.proof is not None:
        words += f", {verdict_of(result.result.proof)}"
    return words


def verdict_of(proof: Proof) -> str:
    """Return a device's verdict in a word."""
    return str(proof.verdict.get("outcome") or ("passed" if proof.passed else "failed"))


class PlainMatrix:
    """One line for each thing that happens, with the seconds since the start and the cell."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._start = time.monotonic()
        self._board: Board | None = None

    def open(self, board: Board) -> None:
        """Say how many builds there are."""
        self._board = board
        self._line(f"{len(board.lines)} builds, {board.jobs} side by side")

    def _line(self, text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - self._start:6.1f}s] {text}\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """Print it."""
        self._line(text)

    def hear(self, cell: Cell, event: Event) -> None:
        """Print what is worth a line."""
        said = _said(event, verbose=self._verbose)
        if said is not None:
            self._line(f"{cell.name}: {said}")

    def ended(self, result: CellResult) -> None:
        """Print how a cell ended, and how far all of it is."""
        self._line(f"{result.name}: {ending(result)}")
        if self._board is not None and result.status != "cached":
            self._line(foot(self._board))

    def close(self) -> None:
        """Nothing to put back."""


def _said(event: Event, *, verbose: bool) -> str | None:
    """Return an event as a line, ``None`` for one that says nothing between many others."""
    if event.kind == "started" and event.stage is not None:
        return f"{event.stage}: {TITLES.get(event.stage, event.stage)}"
    if event.kind == "finished":
        return f"{event.stage}: done in {event.seconds or 0.0:.1f} s"
    if event.kind == "note":
        return escape_control(event.text or "")
    if event.kind == "finding" and event.finding is not None:
        if event.finding.severity == "info" and not verbose:
            return None
        return f"{event.finding.severity}: {escape_control(event.finding.message)}"
    if event.kind == "log" and verbose:
        return f"  | {escape_control(event.text or '')}"
    return None


class LiveMatrix:
    """A table of the cells; warnings scroll above it."""

    def __init__(self, *, verbose: bool = False) -> None:
        from rich.console import Console
        from rich.live import Live

        self._verbose = verbose
        self._console = Console(stderr=True, highlight=False)
        self._board: Board | None = None
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=5,
            transient=True,
        )

    def open(self, board: Board) -> None:
        """Begin to show the table."""
        self._board = board
        self._live.start()

    def note(self, text: str) -> None:
        """Show it above the table, where it stays."""
        self._console.print(text, style="dim", markup=False)

    def hear(self, cell: Cell, event: Event) -> None:
        """Show what is worth a line above the table; the rest is in the table."""
        if event.kind in ("started", "finished"):
            return
        said = _said(event, verbose=self._verbose)
        if said is not None:
            style = "yellow" if event.kind == "finding" else "dim"
            self._console.print(f"{cell.name}: {said}", style=style, markup=False)

    def ended(self, result: CellResult) -> None:
        """Show a failure above the table, where it stays."""
        if result.status == "failed":
            text = f"{result.name}: {ending(result)}"
            self._console.print(text, style="bold red", markup=False)

    def close(self) -> None:
        """Take the table away; the summary follows."""
        self._live.stop()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        board = self._board
        if board is None:
            return Text("")
        table = Table(box=None, padding=(0, 1), expand=False, show_edge=False)
        table.add_column("build", no_wrap=True, max_width=34, overflow="ellipsis")
        table.add_column("state", no_wrap=True)
        table.add_column("", no_wrap=True, max_width=26, overflow="ellipsis")
        table.add_column("time", justify="right", no_wrap=True)
        with board.lock:
            lines = shown_lines(board.lines, self._console.height - FREE_LINES)
            now = time.monotonic()
            for line in lines:
                state, detail = words_of(line)
                passed = now - line.began if line.state == "running" else line.seconds
                table.add_row(
                    line.name,
                    Text(state, style=STYLES[line.state]),
                    Text(detail, style="dim"),
                    clock(passed) if line.began else "",
                )
            left_out = len(board.lines) - len(lines)
            text = foot(board)
        parts: list[RenderableType] = [table]
        if left_out > 0:
            parts.append(Text(f" and {left_out} more", style="dim"))
        parts.append(Text(f" {text}", style="bold"))
        return Group(*parts)


STYLES = {
    "waiting": "dim",
    "running": "cyan",
    "built": "green",
    "cached": "green",
    "failed": "bold red",
    "stopped": "yellow",
}
#: Which cells are shown first where not all of them fit.
_RANK = {"running": 0, "failed": 1, "stopped": 1, "waiting": 2, "built": 3, "cached": 4}


def shown_lines(lines: list[Line], room: int) -> list[Line]:
    """Return the cells that fit, in their order: what runs or failed goes before the rest."""
    room = max(room, 3)
    if len(lines) <= room:
        return lines
    ranked = sorted(range(len(lines)), key=lambda number: (_RANK[lines[number].state], number))
    return [lines[number] for number in sorted(ranked[:room])]


def words_of(line: Line) -> tuple[str, str]:
    """Return a cell's state, and what it does or why it failed."""
    if line.state != "running":
        return line.state, escape_control(line.error) if line.error else ""
    if line.stage is None:
        return "running", ""
    amount = f"{line.done}/{line.total} {line.unit}" if line.total else ""
    return line.stage, amount


def print_matrix(outcome: MatrixResult) -> None:
    """Print what came of all cells for people, on stdout."""
    from orchestrator.cli.output import print_result
    from orchestrator.cli.summary import columns, painter, size_text

    paint = painter()
    rows: list[tuple[str, ...]] = [("build", "result", "HEF", "warnings", "time")]
    emulated = False
    for cell in outcome.cells:
        size, warnings = "-", "-"
        if cell.result is not None:
            hef_bytes = cell.result.build.hef_bytes
            size = "-" if hef_bytes is None else size_text(hef_bytes)
            warnings = str(sum(one.severity != "info" for one in cell.result.findings))
            emulated |= cell.result.emulated
        status: str = cell.status
        if cell.result is not None and cell.result.proof is not None:
            status += f", {verdict_of(cell.result.proof)}"
        rows.append((cell.name, status, size, warnings, f"{cell.seconds:.1f} s"))
    lines = columns(rows, paint)
    for cell in outcome.cells:
        if cell.error is not None:
            first, *others = cell.error.message.splitlines()
            lines += ["", paint("red", f"{cell.name}: {escape_control(first)}")]
            lines += [f"  {escape_control(line)}" for line in others]
            lines += [f"  {escape_control(line)}" for line in (cell.error.hint or "").splitlines()]
    counts = ", ".join(
        f"{outcome.count(status)} {status}"
        for status in ("built", "cached", "failed", "stopped")
        if outcome.count(status)
    )
    lines += ["", f"{len(outcome.cells)} builds: {counts}; {clock(outcome.seconds)}"]
    if emulated:
        lines.append("EMULATED: made without Hailo's compiler, no measure of a chip")
    if outcome.count("stopped"):
        lines.append("The same command goes on where this one stopped.")
    print_result("\n".join(line.rstrip() for line in lines))
