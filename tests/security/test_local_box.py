"""The local engine's box: what a project's code reaches from a job without Docker."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from orchestrator.engine import local, local_job, process, sandbox
from orchestrator.engine.base import IN, PYTHON, WORK, Box, EndKind, Input, Job
from orchestrator.engine.local import LocalEngine

from .conftest import Tally

pytestmark = pytest.mark.skipif(
    sandbox.boxed_program() is None, reason="bubblewrap is not here, or may not make namespaces"
)


@pytest.fixture(autouse=True)
def nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "missing_modules", lambda: ())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def run(work: Path, code: str, *inputs: Input, limits: Box | None = None) -> tuple[int, list[str]]:
    job = Job(
        "test", "local", (PYTHON, "-c", code, IN, WORK), work,
        inputs=inputs, limits=limits or Box(),
    )  # fmt: skip
    with LocalEngine().start(job) as running:
        lines = list(running.lines())
        return running.wait().exit_code or 0, lines


def test_a_job_in_the_box_reaches_nothing(
    work: Path, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The named hole: with the local engine a factory may do what the user may."""
    home, data = tmp_path / "home", tmp_path / "data"
    for folder in (home, data):
        folder.mkdir()
    (home / "secret").write_text("mine")
    (data / "a").write_text("theirs")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HEFSMITH_STORE", "https://me:canary@store.example")
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    attacks = {
        "read": f"open({str(home / 'secret')!r}).read()",
        "home": "os.listdir(os.path.expanduser('~/secret'))",
        "write": f"open({str(home / 'new')!r}, 'w')",
        "remove": f"os.unlink({str(home / 'secret')!r})",
        "input": "open(sys.argv[1] + '/data/a', 'w')",
        "input's folder": "open(sys.argv[1] + '/new', 'w')",
        "input's own place": f"open({str(data / 'a')!r}, 'a')",
        "system": "open('/usr/lib/new', 'w')",
        "passwords": "open('/etc/passwd').read()",
        "network": f"socket.create_connection(('127.0.0.1', {port}), 2)",
        "far network": "socket.create_connection(('1.1.1.1', 443), 2)",
        "processes": f"os.kill({os.getpid()}, 0)",
        "root of another process": "os.listdir('/proc/%d/root' % os.getppid()).index('home')",
        "environment": "os.environ['HEFSMITH_STORE']",
        "devices": "open('/dev/mem', 'rb')",
        "box in a box": "os.unshare(os.CLONE_NEWUSER); open('/etc/shadow')"
        if hasattr(os, "unshare")
        else "raise OSError",
    }
    try:
        for what, code in attacks.items():
            program = (
                "import os, socket, sys\ntry:\n"
                f"    {code}\nexcept Exception as error:\n    sys.exit(7)\n"
            )
            found, _ = run(work, program, Input("data", data))
            tally.held(what, found == 7)
    finally:
        server.close()
    tally.held("nothing new", sorted(one.name for one in home.iterdir()) == ["secret"])
    tally.held("nothing changed", (data / "a").read_text() == "theirs")


def test_a_job_in_the_box_has_what_it_needs(work: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("x" * 5)
    (tmp_path / "link").symlink_to(data)
    code = (
        "import json, os, pathlib, sys, tempfile, getpass\n"
        "import hefsmith_worker, hailo_emulator\n"
        "place, work = map(pathlib.Path, sys.argv[1:])\n"
        "scratch = pathlib.Path(tempfile.mkdtemp()); (scratch / 'x').write_bytes(b'1' * 100)\n"
        "getpass.getuser()\n"
        "(work / 'out').write_text((place / 'pictures' / 'a').read_text())\n"
        "print('said'); sys.exit(3)"
    )
    found, lines = run(work, code, Input("pictures", tmp_path / "link"))
    assert (found, lines) == (3, ["said"])
    assert (work / "out").read_text() == "xxxxx"
    assert sorted(one.name for one in work.iterdir()) == ["out"]


def test_the_network_is_there_when_the_command_line_gives_it(work: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('open')"
    try:
        assert run(work, code, limits=Box(network=True))[1] == ["open"]
    finally:
        server.close()


POLITE_JOB = (
    "import signal, sys, time\n"
    "def leave(number, frame):\n    print('leaving', flush=True); sys.exit(4)\n"
    "signal.signal(signal.SIGINT, leave)\nprint('ready', flush=True)\ntime.sleep(60)"
)


def test_an_interrupt_reaches_the_program_in_the_box(work: Path) -> None:
    with LocalEngine().start(Job("t", "local", (PYTHON, "-c", POLITE_JOB), work)) as running:
        lines = running.lines()
        assert next(lines) == "ready"
        running.interrupt()
        assert list(lines) == ["leaving"]
        ending = running.wait()
    assert ending.kind is EndKind.INTERRUPTED


def test_an_interrupt_reaches_a_build_in_the_background(work: Path) -> None:
    engine = LocalEngine()
    job = Job("t", "local", (PYTHON, "-c", POLITE_JOB), work)
    with engine.start(job, detached=True) as running:
        lines = running.lines()
        assert next(lines) == "ready"
        running.interrupt()
        assert list(lines) == ["leaving"]
        assert running.wait().kind is EndKind.INTERRUPTED


def test_a_job_outlives_the_thread_that_starts_it(work: Path) -> None:
    """Jobs are started early, by a thread that is gone long before they end."""
    code = "import sys; sys.stdin.readline(); print('went on')"
    found: list[local_job.LocalRunning] = []
    job = Job("t", "local", (PYTHON, "-c", code), work, waits=True)
    starter = threading.Thread(target=lambda: found.append(LocalEngine().start(job, held=True)))
    starter.start()
    starter.join()
    time.sleep(0.3)
    with found[0] as running:
        running.release()
        assert list(running.lines()) == ["went on"]
        assert running.wait().ok


def test_nothing_of_a_stubborn_job_is_left(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_job, "POLITE", 0.5)
    code = (
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(67)'],"
        " start_new_session=True)\nprint('ready', flush=True); time.sleep(67)"
    )
    with LocalEngine().start(Job("t", "local", (PYTHON, "-c", code), work)) as running:
        assert next(running.lines()) == "ready"
        assert running._process is not None
        kin = process.descendants(process.process_table(), running._process.pid)
        assert len(kin) >= 3, "the box, the job, and its child"
        running.stop()
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{one}").exists() for one in kin) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [one for one in kin if Path(f"/proc/{one}").exists()]
