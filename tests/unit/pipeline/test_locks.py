"""Locks between real processes: who waits says for whom, and the dead hold nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator import processes
from orchestrator.pipeline import locks
from orchestrator.pipeline.cache import StageCache
from orchestrator.pipeline.finished import builds
from orchestrator.processes import Place, Process

HOLD = """
import sys, time
from pathlib import Path
from orchestrator.pipeline import locks
with locks.hold(Path(sys.argv[1]), tell=lambda text: print(text, flush=True)):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(file: Path, seconds: float = 60.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file), str(seconds)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    if process.poll() is None:
        process.kill()
    return process.communicate()[1]


def test_a_wait_names_the_process_and_a_killed_one_gives_its_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "QUIET", 0.2)
    file = tmp_path / "a.lock"
    first = holder(file)
    try:
        assert line(first) == "held"
        told: list[str] = []
        calls: list[str] = []
        timer = threading.Timer(1.0, first.kill)
        timer.start()
        with locks.hold(
            file, what="builds the same", tell=told.append, waiting=lambda: calls.append("x")
        ) as held:
            assert held
            assert first.wait() == -signal.SIGKILL
            mine = locks.read_holder(file)
            assert mine is not None
            assert mine.process == processes.this_process()
        assert calls == ["x"]
        assert len(told) == 1, "said once, not at each look"
        assert f"process {first.pid}, since " in told[0]
        assert "builds the same" in told[0]
        assert locks.read_holder(file) is None
    finally:
        end(first)


def test_a_short_wait_is_not_told(tmp_path: Path) -> None:
    first = holder(tmp_path / "a.lock", 0.3)
    try:
        assert line(first) == "held"
        told: list[str] = []
        with locks.hold(tmp_path / "a.lock", tell=told.append):
            pass
        assert not told
    finally:
        end(first)


@pytest.mark.slow
def test_ctrl_c_ends_a_wait(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    first, second = holder(file), None
    try:
        assert line(first) == "held"
        second = holder(file)
        assert line(second).startswith("waiting: another hef (process "), "after two seconds"
        second.send_signal(signal.SIGINT)
        assert second.wait(45) == -signal.SIGINT
        assert "KeyboardInterrupt" in end(second)
        assert first.poll() is None
        assert locks.read_holder(file) is not None, "the note is the first one's"
    finally:
        end(first)
        if second is not None:
            end(second)


def test_a_place_that_takes_no_lock_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with locks.hold(tmp_path / "file" / "a.lock") as held:
        assert not held


def test_what_happens_under_a_lock_is_not_taken_for_its_trouble(tmp_path: Path) -> None:
    for error in (OSError("mine"), NotImplementedError("mine")):
        with pytest.raises(type(error), match="mine"), locks.hold(tmp_path / "a.lock"):
            raise error
        with (
            pytest.raises(type(error), match="mine"),
            StageCache(tmp_path / "file" / "no").lock("k" * 64),
        ):
            raise error


def test_the_sentence_tells_where_the_other_one_is() -> None:
    here = Place("aaaaaa", "b", "c00001")

    def said(place: Place) -> str:
        return locks.describe(locks.Holder(Process(7, "1", place), 0.0), here, "builds the same")

    assert "(process 7, since " in said(here)
    assert "(process 7 in a container, since " in said(Place("aaaaaa", "b", "c00002"))
    assert "(process 7 on another machine, since " in said(Place("bbbbbb", "b", "c00001"))
    assert locks.describe(None, here, "builds the same").startswith("waiting: another hef builds")


REPLACE = """
import sys
from pathlib import Path
from orchestrator.pipeline.finished import builds
final = Path(sys.argv[1])
for number in range(60):
    staging = builds.staging_folder(final)
    for name in "abc":
        (staging / name).write_text(f"{sys.argv[2]} {number}")
    builds.replace_build(staging, final)
    builds.recover(final.parent)
"""


@pytest.mark.slow
def test_eight_processes_replace_one_build_and_it_stays_whole(tmp_path: Path) -> None:
    final = tmp_path / "hailo8l"
    made = [
        subprocess.Popen([sys.executable, "-c", REPLACE, str(final), str(number)],
                         stderr=subprocess.PIPE, text=True)
        for number in range(8)
    ]  # fmt: skip
    for one in made:
        assert one.communicate(timeout=120)[1] == ""
        assert one.returncode == 0
    assert len({(final / name).read_text() for name in "abc"}) == 1
    left = [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"]
    assert left == ["hailo8l"], "no draft and no old one"


def test_a_replacement_that_was_cut_off_is_undone(tmp_path: Path) -> None:
    (tmp_path / ".hailo8l.old-1234abcd").mkdir()
    (tmp_path / ".hailo8l.old-1234abcd" / "x").touch()
    builds.recover(tmp_path)
    assert (tmp_path / "hailo8l" / "x").exists()
    (tmp_path / ".hailo8l.old-1234abcd").mkdir()
    builds.recover(tmp_path)
    assert not (tmp_path / ".hailo8l.old-1234abcd").exists()
    assert os.listdir(tmp_path / "hailo8l") == ["x"]
