"""Jobs that are cancelled, orphaned, detached or killed: what is told, and what is left."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine import registry
from orchestrator.engine.address import Address
from orchestrator.engine.base import (
    IN,
    WORK,
    BoxRefusedError,
    EndKind,
    ImageMissingError,
    Job,
)
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.owner import owner_id

from .conftest import SOCKET, container_names, docker, exists, is_running, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLEEP = "import time; print('up', flush=True); time.sleep(120)"
DEAF = (
    "import signal, time\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\nwhile True: time.sleep(1)"
)


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_lines_come_as_they_are_printed_and_the_folder_has_the_results(
    engine: DockerEngine, make_job: Callable[..., Job], work: Path
) -> None:
    code = (
        "import sys, time\n"
        "for i in range(3): print('line', i, flush=True); time.sleep(0.4)\n"
        "open(sys.argv[2] + '/model.hef', 'wb').write(bytes(1000))"
    )
    with engine.start(make_job(code)) as running:
        name = running.record.container
        times = []
        for line in running.lines():
            times.append(time.monotonic())
            assert line == f"line {len(times) - 1}"
        ending = running.wait()
    assert ending.kind is EndKind.OK
    assert times[2] - times[0] > 0.5
    assert (work / "model.hef").stat().st_size == 1000
    assert not [one for one in work.iterdir() if one.name.startswith(".hefsmith")]
    assert not exists(name)
    assert registry.records() == ()


def test_a_program_that_fails_is_told_with_its_status(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    with engine.start(make_job("import sys; print('no line end', end=''); sys.exit(3)")) as running:
        assert list(running.lines()) == ["no line end"]
        ending = running.wait()
    assert (ending.kind, ending.exit_code) == (EndKind.FAILED, 3)


def test_a_job_that_is_held_begins_when_it_is_released(
    engine: DockerEngine, make_job: Callable[..., Job], work: Path
) -> None:
    job = make_job("print(open('/hefsmith/work/late').read())")
    with engine.start(job, held=True) as running:
        (work / "late").write_text("written while it waited")
        running.release()
        assert list(running.lines()) == ["written while it waited"]
        assert running.wait().ok


@pytest.mark.second_try("seconds of a shared machine are asserted")
@pytest.mark.parametrize(("code", "limit"), [(SLEEP, 5.0), (DEAF, 10.0)], ids=["polite", "deaf"])
def test_cancelling_leaves_nothing_within_ten_seconds(
    engine: DockerEngine, make_job: Callable[..., Job], code: str, limit: float
) -> None:
    with pytest.raises(KeyboardInterrupt), engine.start(make_job(code)) as running:
        name = running.record.container
        assert next(running.lines()) == "up"
        started = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - started < limit
    assert not exists(name)
    assert running.wait().kind is EndKind.INTERRUPTED


def test_cancelling_before_the_job_began_leaves_nothing(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    with pytest.raises(KeyboardInterrupt), engine.start(make_job(SLEEP), held=True) as running:
        name = running.record.container
        raise KeyboardInterrupt
    assert not exists(name)


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.parametrize("presses", [1, 3])
def test_ctrl_c_on_the_host_ends_the_container_however_often_it_is_pressed(
    host_program: Callable[..., subprocess.Popen[str]], presses: int
) -> None:
    process = host_program(DEAF)
    assert process.stdout is not None
    name = process.stdout.readline().split()[0]
    assert process.stdout.readline() == "up\n"
    started = time.monotonic()
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert process.wait(60) == 130
    assert time.monotonic() - started < 10
    assert not exists(name)


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_the_container_ends_when_the_host_process_is_killed_and_the_next_start_removes_it(
    host_program: Callable[..., subprocess.Popen[str]],
    engine: DockerEngine,
    make_job: Callable[..., Job],
    image: str,
) -> None:
    # What is not ours, or was left on purpose, must survive the clean-up.
    owner = owner_id()
    spared = {
        "hefsmith-test-foreign": ["org.hefsmith.owner=somebody", "org.hefsmith.process=1:x"],
        "hefsmith-test-detached": [f"org.hefsmith.owner={owner}", "org.hefsmith.detached=1"],
    }
    for name, labels in spared.items():
        words = [word for label in labels for word in ("--label", label)]
        docker("run", "-d", "--name", name, *words, image, "sleep", "100")
    try:
        # The dead-man switch is the worker's: it reads its standard input to the end.
        process = host_program(
            "import os, threading, time\n"
            "threading.Thread(target=lambda: (os.read(0, 1), os._exit(9))).start()\n"
            "print('up', flush=True); time.sleep(100)"
        )
        assert process.stdout is not None
        name = process.stdout.readline().split()[0]
        assert process.stdout.readline() == "up\n"
        process.kill()
        assert wait_until(lambda: not is_running(name)) < 5
        assert exists(name)
        process.wait()
        with engine.start(make_job("print(1)")) as running:
            assert running.wait().ok
        # It is removed beside the job, which need not wait for that.
        wait_until(lambda: not exists(name))
        assert all(is_running(one) for one in spared)
    finally:
        docker("rm", "-f", *spared)


def test_a_build_that_is_detached_outlives_its_command_and_is_collected_later(
    host_program: Callable[..., subprocess.Popen[str]], engine: DockerEngine, work: Path
) -> None:
    code = (
        "import os, sys, time\nprint('before', flush=True)\n"
        "while not os.path.exists('/hefsmith/work/go'): time.sleep(0.1)\n"
        "print('after')\n"
        "open('/hefsmith/work/late', 'w').write('x')\nsys.stdin.read(0)"
    )
    process = host_program(code, detached=True)
    assert process.wait(60) == 0
    record = registry.find(None)
    assert engine.status(record) == "running"
    # The clean-up of another command leaves it alone.
    engine.sweep()
    with engine.attach(record) as running:
        assert next(running.lines()) == "before"
    assert is_running(record.container), "watching is not owning"
    (work / "go").touch()
    with engine.attach(record) as running:
        assert list(running.lines()) == ["before", "after"]
        assert running.wait().ok
    assert (work / "late").exists()
    assert not exists(record.container)
    assert registry.records() == ()


def test_a_container_that_somebody_kills_is_not_taken_for_a_failure(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    with engine.start(make_job(SLEEP)) as running:
        next(running.lines())
        docker("kill", running.record.container)
        ending = running.wait()
    assert (ending.kind, ending.exit_code) == (EndKind.KILLED, 137)
    assert "not by us" in ending.detail


def test_a_full_disk_is_told_as_such(
    engine: DockerEngine, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=True)
    try:
        code = "open('/hefsmith/work/big', 'wb').write(bytes(8 * 2**20))"
        with engine.start(make_job(code, folder=small)) as running:
            ending = running.wait()
        assert ending.kind is EndKind.DISK_FULL
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_image_that_is_missing_or_has_no_python_is_explained(
    engine: DockerEngine, make_job: Callable[..., Job], work: Path, image: str
) -> None:
    job = make_job("pass")
    with pytest.raises(ImageMissingError, match="no image nowhere"):
        engine.start(Job("x", "nowhere:1", job.argv, work))
    before = container_names()
    with pytest.raises(BoxRefusedError, match="python9"):
        engine.start(Job("x", image, ("python9", "-c", "pass", IN, WORK), work))
    assert container_names() == before


def test_a_short_program_is_captured_and_cannot_run_for_ever(
    engine: DockerEngine, image: str
) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)"
    seen: list[str] = []
    done = engine.capture(image, ("python3", "-c", code), on_output=seen.append)
    assert (done.exit_code, done.stdout, done.stderr) == (4, "out\n", "err\n")
    assert sorted(seen) == ["err", "out"]
    with pytest.raises(Exception, match="did not end within 1 s"):
        engine.capture(image, ("sleep", "60"), timeout=1)
    assert container_names("org.hefsmith.owner") == container_names("org.hefsmith.build")


def test_one_broken_engine_address_is_told_before_anything_starts(work: Path) -> None:
    engine = DockerEngine(Address("docker", "unix:///nowhere/docker.sock", "--engine"))
    with pytest.raises(Exception, match="no Docker engine answers at unix:///nowhere"):
        engine.start(Job("x", SOCKET, ("python3",), work))
