"""A run that somebody ended from the keyboard was not cut off, and did not fail by itself."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

RUNS = ["Running streaming inference (x.hef):", "Network x/x: 45% | 900 | FPS: 326.56"]
TRACE = ["^CTraceback (most recent call last):", "KeyboardInterrupt"]


@pytest.mark.parametrize(
    "lines",
    [
        [*RUNS, "^C"],
        [*RUNS, "^CExiting... (SIGINT)"],
        [*RUNS, *TRACE, "user@pc:~$ "],
        ["[info] Starting Hailo allocation and compilation flow", "^C", "Aborted!"],
        ["[info] Starting Model Optimization", "Interrupted by user"],
    ],
)
def test_a_stop_from_the_keyboard_is_an_end(lines: list[str]) -> None:
    ran = read_log(lines).ran()
    assert ran.stopped
    assert ran.outcome != "ok"


@pytest.mark.parametrize(
    "lines",
    [
        RUNS,
        # It failed before or after it, or went on.
        ["[HailoRT] [error] CHECK failed - x", "^C"],
        [*RUNS, "^C", "[HailoRT] [error] CHECK failed - x"],
        [*RUNS, *TRACE, *RUNS],
        [*TRACE, "yolov8n: FPS: 326.10"],
        [*RUNS, "Press Ctrl+C to stop", "Aborted!"],
    ],
)
def test_what_comes_after_or_before_it_counts(lines: list[str]) -> None:
    assert not read_log(lines).ran().stopped
