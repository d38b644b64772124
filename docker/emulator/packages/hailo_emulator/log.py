"""The vendor's log lines: ``[info] text`` on standard output."""

from __future__ import annotations

import sys


def info(text: str) -> None:
    """Print one ``[info]`` line."""
    _print("info", text)


def warning(text: str) -> None:
    """Print one ``[warning]`` line."""
    _print("warning", text)


def error(text: str) -> None:
    """Print one ``[error]`` line."""
    _print("error", text)


def _print(level: str, text: str) -> None:
    sys.stdout.write(f"[{level}] {text}\n")
    sys.stdout.flush()


class ProgressBar:
    """``Calibration:  50%|#####     | 32/64`` lines in tqdm's shape, at most one per tenth."""

    def __init__(self, title: str, total: int, unit: str = "entries") -> None:
        self.title, self.total, self.unit = title, max(1, total), unit
        self._told = -1

    def update(self, done: int) -> None:
        """Say that ``done`` of the total are done."""
        tenth = done * 10 // self.total
        if tenth == self._told:
            return
        self._told = tenth
        bar = "#" * tenth + " " * (10 - tenth)
        percent = done * 100 // self.total
        sys.stdout.write(f"{self.title}: {percent:3d}%|{bar}| {done}/{self.total} [{self.unit}]\n")
        sys.stdout.flush()


def clock(seconds: float) -> str:
    """Write a duration as the vendor does: ``00:00:12.34``."""
    whole = int(seconds)
    hundredths = int((seconds - whole) * 100)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{hundredths:02d}"
