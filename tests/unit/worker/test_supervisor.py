"""The worker's parent: events and prints stay apart, deaths are told, a lost host ends the job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hefsmith_worker
import pytest

pytestmark = pytest.mark.slow

PACKAGE = Path(hefsmith_worker.__file__).parent

JOB = """
import os, sys, time
sys.path.insert(0, {package!r})
from hefsmith_worker import events
from hefsmith_worker.contract.events import Done, StageStarted
channel = events.open_channel()
channel.enter("compile")
channel.send(StageStarted())
{body}
"""


def start(body: str, *, detached: bool = False) -> subprocess.Popen[bytes]:
    code = JOB.format(package=str(PACKAGE.parent), body=body)
    main = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from hefsmith_worker.supervisor import supervise;"
        "sys.exit(supervise([sys.executable, '-c', sys.argv[2]], detached=sys.argv[3] == '1'))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", main, str(PACKAGE.parent), code, "1" if detached else "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, list[dict[str, Any]]]:
    assert process.stdout is not None
    assert process.stdin is not None
    output = process.stdout.read()
    process.stdin.close()
    process.stdout.close()
    return process.wait(50), [json.loads(line) for line in output.splitlines()]


def run(body: str) -> tuple[int, list[dict[str, Any]]]:
    return finish(start(body))


def lines(events: list[dict[str, Any]]) -> list[str]:
    return [event["line"] for event in events if event["event"] == "log"]


def test_prints_of_python_c_and_children_become_log_events() -> None:
    code, events = run(
        "print('from python')\n"
        "os.write(1, b'from C\\n')\n"
        "import subprocess; subprocess.run(['echo', 'from a child'])\n"
        'print(\'{"event": "done"}\')\n'
        "channel.send(Done(1.0))"
    )
    assert code == 0
    assert {"from python", "from C", "from a child", '{"event": "done"}'} <= set(lines(events))
    assert [event["event"] for event in events if event["event"] != "log"] == [
        "stage_started",
        "done",
    ]


def test_a_progress_bar_with_carriage_returns_is_lines() -> None:
    _, events = run("sys.stderr.write('10%\\r20%\\r30%\\n')")
    assert lines(events) == ["10%", "20%", "30%"]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    _, events = run("sys.stderr.write('x' * 300000)")
    assert all(len(line) <= 65536 for line in lines(events))
    assert sum(len(line) for line in lines(events)) == 300000


def test_bytes_that_are_no_text_do_no_harm() -> None:
    _, events = run("os.write(2, b'\\xff\\xfe ok\\n')")
    assert lines(events)[0].endswith("ok")


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGILL, "AVX"), (signal.SIGKILL, "memory limit")]
)
def test_a_job_that_dies_of_a_signal_is_told_with_its_last_words(
    number: signal.Signals, words: str
) -> None:
    code, events = run(
        f"print('last words', flush=True)\ntime.sleep(0.2)\nos.kill(os.getpid(), {int(number)})"
    )
    assert code == 128 + number
    failed = next(event for event in events if event["event"] == "stage_failed")
    assert failed["stage"] == "compile"
    assert failed["signal"] == number.name
    assert words in failed["message"]
    assert "last words" in lines(events)


def test_a_job_that_leaves_without_a_word_is_told_too() -> None:
    code, events = run("os._exit(7)")
    assert code == 7
    assert events[-1]["event"] == "stage_failed"
    assert "status 7" in events[-1]["message"]


def wait_for_line(process: subprocess.Popen[bytes], text: str) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if text.encode() in line:
            return dict(json.loads(line))
    pytest.fail(f"{text} never came")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_the_end_of_standard_input_ends_the_job() -> None:
    process = start("print(os.getpid(), 'pid', flush=True)\ntime.sleep(60)")
    pid = int(wait_for_line(process, " pid")["line"].split()[0])
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(45) == 143
    assert gone(pid)
    assert process.stdout is not None
    process.stdout.close()


def test_a_detached_job_goes_on_without_standard_input() -> None:
    process = start("time.sleep(1)\nchannel.send(Done(1.0))", detached=True)
    assert process.stdin is not None
    process.stdin.close()
    assert process.stdout is not None
    events = [json.loads(line) for line in process.stdout]
    process.stdout.close()
    assert process.wait(45) == 0
    assert events[-1]["event"] == "done"


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_a_job_that_ignores_interrupts_is_killed_with_its_children() -> None:
    process = start(
        "import signal, subprocess\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print(child.pid, 'pid', flush=True)\n"
        "while True: time.sleep(1)"
    )
    pid = int(wait_for_line(process, " pid")["line"].split()[0])
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    code, events = finish(process)
    assert code == 130
    assert time.monotonic() - began < 45
    assert gone(pid)
    assert events[-1]["event"] == "interrupted"


WAITING = """
import sys
sys.path.insert(0, {package!r})
from hefsmith_worker.supervisor import supervise
job = "import sys; print('loaded', flush=True); print('heard', sys.stdin.readline(), flush=True)"
sys.exit(supervise([sys.executable, "-c", job], waits=True))
"""


def start_waiting() -> subprocess.Popen[bytes]:
    """Start a job that waits, and return when it is loaded."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(package=str(PACKAGE.parent))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"loaded\n"
    return process


def test_a_job_that_waits_is_loaded_before_its_word_and_gets_that() -> None:
    process = start_waiting()
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdin.write(b"begin\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"heard begin\n"
    assert process.wait(45) == 0
    process.stdin.close()
    process.stdout.close()


def test_a_job_whose_host_goes_before_the_word_ends() -> None:
    process = start_waiting()
    out, _ = process.communicate(timeout=45)
    assert process.returncode == 143
    assert b"heard" not in out


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_job_that_waits_is_interrupted_like_one_that_runs() -> None:
    process = start_waiting()
    process.send_signal(signal.SIGINT)
    assert process.wait(45) == 130
    process.communicate()


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_the_worker_loads_its_libraries_and_reads_its_plan_only_at_the_word(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "hefsmith_worker", "--plan", str(tmp_path / "plan.json"),
               "--inputs", str(tmp_path), "--work", str(tmp_path),
               "--wait", "json.tool,nothing"]  # fmt: skip
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "logs").is_dir():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    plan = {"schema": 1, "model": "net", "arch": "hailo8l", "net_name": "net", "stages": [],
            "hef_name": "model.hef", "parameters": {}}  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert process.stdin is not None
    process.stdin.write(b"begin\n")
    process.stdin.flush()
    code, events = finish(process) if process.wait(60) == 0 else (1, [])
    assert code == 0
    assert [event["event"] for event in events] == ["hello", "done"]
