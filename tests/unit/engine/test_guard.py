"""The guard, as a process: what it says, when it begins, when it ends the job."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker import guard

pytestmark = pytest.mark.slow


def start(settings: dict[str, Any], *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", guard.__file__, json.dumps(settings), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def report(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_it_answers_the_hosts_mark_and_measures_the_inputs(tmp_path: Path) -> None:
    work, data = tmp_path / "work", tmp_path / "data"
    work.mkdir()
    data.mkdir()
    (data / "a").write_text("12345")
    (work / guard.MARK).write_text("m4rk")
    paths = [str(data), str(data / "a"), str(data / "missing")]
    settings = {"work": str(work), "inputs": paths, "patience": 0,
                "links": {str(tmp_path / "link"): str(data)}}  # fmt: skip
    process = start(settings, *python("print('began')"))
    said = report(process)
    assert said["event"] == "guard"
    assert said["mark"] == "m4rk"
    assert (work / guard.ANSWER).read_text() == "m4rk"
    assert said["seen"] == dict(zip(paths, [["dir", 1], ["file", 5], None], strict=True))
    assert (tmp_path / "link" / "a").read_text() == "12345"
    out, _ = process.communicate(b"go\n", timeout=50)
    assert (out, process.returncode) == (b"began\n", 0)


def test_a_folder_without_the_mark_is_said(tmp_path: Path) -> None:
    process = start({"work": str(tmp_path), "patience": 0}, *python(""))
    assert report(process)["mark"] is None
    process.communicate(b"", timeout=50)


@pytest.mark.parametrize("word", [b"", b"stop\n", b"g"])
def test_without_the_word_the_job_never_begins(tmp_path: Path, word: bytes) -> None:
    touch = tmp_path / "began"
    process = start({"patience": 0}, *python(f"open({str(touch)!r}, 'w')"))
    process.communicate(word, timeout=50)
    assert process.returncode == 143
    assert not touch.exists()


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.parametrize("patience", [0, None, 30.0])
def test_the_jobs_status_is_the_guards(patience: float | None) -> None:
    for code, status in (
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", -9 if patience == 0 else 137),
    ):
        process = start({"patience": patience}, *python(code))
        process.communicate(b"go\n", timeout=50)
        assert process.returncode == status


def test_what_follows_the_word_is_the_jobs() -> None:
    process = start({"patience": 0}, *python("import sys; print(sys.stdin.read())"))
    out, _ = process.communicate(b"go\nrest", timeout=50)
    assert out.splitlines()[1:] == [b"rest"]


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_beats_keep_a_far_job_alive_and_silence_ends_it() -> None:
    process = start({"patience": 1.5}, *python("import time; time.sleep(60)"))
    assert process.stdin is not None
    report(process)
    process.stdin.write(b"go\n")
    for _ in range(6):
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(0.5)
    assert process.poll() is None, "three seconds of beats"
    started = time.monotonic()
    out, _ = process.communicate(timeout=50)
    assert 0.5 < time.monotonic() - started < 40
    assert process.returncode == 143
    assert b"the host is gone" in out


def test_a_job_that_is_left_alone_outlives_its_host_and_notes_its_status(tmp_path: Path) -> None:
    status = tmp_path / "status"
    code = "import time; time.sleep(1); raise SystemExit(5)"
    process = start({"patience": None, "status": str(status)}, *python(code))
    process.communicate(b"go\n", timeout=50)
    assert status.read_text() == "5"


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_the_jobs_standard_input_ends_with_the_guard() -> None:
    # The worker's own dead-man switch watches that.
    code = "import sys; print('up', flush=True); sys.stdin.read(); print('alone', flush=True)"
    process = start({"patience": None}, *python(code))
    assert process.stdin is not None
    assert process.stdout is not None
    report(process)
    process.stdin.write(b"go\n")
    process.stdin.close()
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.wait()
    assert process.stdout.readline() == b"alone\n"
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def test_words_after_the_first_are_for_a_job_that_stays_beats_are_not(tmp_path: Path) -> None:
    job = "import sys; print('loaded', flush=True); print(repr(sys.stdin.readline()), flush=True)"
    process = start({"patience": 30}, *python(job))
    report(process)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"loaded\n"
    for word in (b"\n", b"be", b"gin\n\n"):
        process.stdin.write(word)
        process.stdin.flush()
        time.sleep(0.05)
    assert process.stdout.readline() == b"'begin\\n'\n"
    process.communicate(timeout=50)
    assert process.returncode == 0
