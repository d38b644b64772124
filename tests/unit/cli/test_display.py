"""What a person sees while a build runs, on a real terminal and without one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from orchestrator.cli.display import PlainDisplay

SCRIPT = """
import time
from orchestrator.cli.display import open_display
from hefsmith_worker.contract.findings import Finding
with open_display() as display:
    display.note("engine: local \\x1b[31mevil")
    display.stage_cached("export")
    display.stage_started("calibrate")
    display.progress("calibrate", 10, 100, "images")
    display.progress("image", 5_000_000, 20_000_000, "bytes")
    display.finding(Finding("C05", "warning", "64 of 1339 images used", fix="ask for more"))
    display.finding(Finding("x.info", "info", "only for the curious"))
    display.stage_finished("calibrate", 1.5)
    display.stage_started("validate")
    display.log("[info] the SDK says")
"""


WORKING = """
from orchestrator.cli.display import open_display
with open_display() as display:
    display.stage_started("export")
    display.progress("export", 100, 360, "samples")
    display.progress("export", 360, 360, "samples")
"""


def run_on_terminal(script: str = SCRIPT) -> str:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "110"},
    )
    os.close(slave)
    output = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:
            break
        if not block:
            break
        output += block
    os.close(master)
    assert process.wait() == 0, output.decode()
    return output.decode()


def test_a_terminal_gets_bars_and_findings_above_them() -> None:
    screen = run_on_terminal()
    assert "10/100 images" in screen
    assert "5 MB / 20 MB" in screen
    assert "cached" in screen
    assert "64 of 1339 images used" in screen
    assert "ask for more" in screen
    assert "only for the curious" not in screen
    assert "\x1b[31mevil" not in screen


def test_a_stage_with_all_its_samples_done_still_runs_until_it_ends() -> None:
    screen = run_on_terminal(WORKING)
    assert "360/360 samples" in screen
    assert "✓" not in screen


def test_without_a_terminal_each_event_is_a_plain_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    lines = [line.split("] ", 1)[1] for line in done.stderr.splitlines()]
    assert lines == [
        "engine: local \\x1b[31mevil",
        "export: cached",
        "calibrate: prepare calibration",
        "image: 5 MB / 20 MB",
        "warning: 64 of 1339 images used [C05]",
        "  ask for more",
        "calibrate: done in 1.5 s",
        "validate: run on the device",
    ]
    assert "\x1b" not in done.stderr
    assert done.stdout == ""


def test_a_log_says_what_still_runs(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay(quiet=0.02)
    with display:
        display.stage_started("image")
        display.log("Step 9/16 : RUN install")
        said = ""
        for _ in range(1000):
            time.sleep(0.01)
            if "running for" in (said := capsys.readouterr().err):
                break
        assert "image: running for 0:00 (Step 9/16 : RUN install)" in said
        display.stage_finished("image", 1.0)
        capsys.readouterr()
        time.sleep(0.1)
    assert "running for" not in capsys.readouterr().err
