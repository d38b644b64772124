"""What came of a matrix: one document, and the exit code of the worst cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import ExitCode, HefsmithError
from orchestrator.pipeline.matrix.schedule import worst

if TYPE_CHECKING:
    from orchestrator.pipeline.outcome import BuildResult

#: ``stopped`` is a cell that was not finished when the command was interrupted.
Status = Literal["built", "cached", "failed", "stopped"]


@dataclass(frozen=True)
class CellResult:
    """What came of one cell. ``result`` is there unless it failed or was stopped."""

    model: str
    arch: str | None
    set: str | None
    status: Status
    seconds: float = 0.0
    result: BuildResult | None = None
    error: HefsmithError | None = None
    #: where it ran, when that is not this machine
    worker: str | None = None

    @property
    def name(self) -> str:
        """What to call it on a screen."""
        return " ".join(word for word in (self.model, self.arch, self.set) if word)

    @property
    def exit_code(self) -> int:
        """The exit code that a command for this cell alone would have."""
        if self.status == "stopped":
            return int(ExitCode.INTERRUPTED)
        if self.error is not None:
            return int(self.error.exit_code)
        return int(ExitCode.OK if self.result is None or self.result.passed else ExitCode.VERDICT)

    def to_json(self) -> dict[str, object]:
        """Return plain values; ``result`` is what a build of this cell alone prints."""
        error = self.error
        return {
            "model": self.model,
            "arch": self.arch,
            "set": self.set,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
            "worker": self.worker,
            "error": None
            if error is None
            else {"code": error.code, "message": error.message, "hint": error.hint},
            "result": None if self.result is None else self.result.to_json(),
        }


@dataclass(frozen=True)
class MatrixResult:
    """What came of all cells, in the order in which they were asked for."""

    cells: tuple[CellResult, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """The exit code of the worst cell."""
        return worst([cell.exit_code for cell in self.cells])

    @property
    def ok(self) -> bool:
        """Whether every cell is built and within its thresholds."""
        return self.exit_code == 0

    def count(self, status: Status) -> int:
        """Return how many cells ended so."""
        return sum(cell.status == status for cell in self.cells)

    def to_json(self) -> dict[str, object]:
        """Return the one document of the command."""
        statuses: tuple[Status, ...] = ("built", "cached", "failed", "stopped")
        return {
            "cells": [cell.to_json() for cell in self.cells],
            "counts": {status: self.count(status) for status in statuses},
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }
