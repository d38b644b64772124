"""Builds of one recipe at the same moment, as real processes: all end right."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import Project

WORDS = ("build", "digits", "--engine", "local")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    # Not by communicate(), which forgets what until() has read ahead.
    assert process.stderr is not None
    said = process.stderr.read()
    process.communicate(timeout=240)
    assert "Traceback" not in said, said
    return process.returncode, said


def until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read what a process says until a line fits."""
    assert process.stderr is not None
    said = ""
    while text := process.stderr.readline():
        said += text
        if re.search(pattern, text):
            return text
    raise AssertionError(said)


@pytest.mark.parametrize("count", [2, 8])
def test_all_of_them_end_with_the_same_build_that_ran_once(tmp_path: Path, count: int) -> None:
    # The pictures are not there either: they are made by one, too.
    project = Project(tmp_path)
    outcomes = [ended(one) for one in [project.start(*WORDS) for _ in range(count)]]
    assert [code for code, _ in outcomes] == [0] * count, outcomes
    ran = [said for _, said in outcomes if re.search(r"export: done", said)]
    assert len(ran) == 1, "one exports, the others use what it made"
    assert project.build()["model"] == "digits"
    assert not list((tmp_path / "artifacts/digits").glob(".*.building-*"))
    assert not list((tmp_path / "calib").glob(".*"))


def test_builds_that_use_no_cache_run_one_after_the_other(tmp_path: Path) -> None:
    project = Project(tmp_path)
    outcomes = [ended(one) for one in [project.start(*WORDS, "--fresh") for _ in range(2)]]
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    waited = [said for _, said in outcomes if re.search(r"waiting: .* builds the same", said)]
    assert len(waited) == 1
    assert project.build()["model"] == "digits"


def test_the_one_that_waits_takes_over_from_one_that_is_killed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    first = project.start(*WORDS)
    until(first, r"calibrate: done")
    second = project.start(*WORDS)
    third = project.start(*WORDS)
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert [ended(one)[0] for one in (second, third)] == [0, 0]
    assert project.build()["model"] == "digits"
    assert not list((tmp_path / "artifacts/digits").glob(".*.building-*")), "of the killed one"


def test_ctrl_c_ends_the_one_that_waits_and_nothing_else(tmp_path: Path) -> None:
    project = Project(tmp_path)
    first = project.start(*WORDS, "--fresh")
    until(first, r"export")
    second = project.start(*WORDS, "--fresh")
    until(second, r"waiting: another hef \(process \d+, since ")
    second.send_signal(signal.SIGINT)
    code, said = ended(second)
    assert code == 130
    assert "interrupted" in said.lower()
    assert ended(first)[0] == 0
