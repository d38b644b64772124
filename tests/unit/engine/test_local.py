"""The local engine: real processes, no Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.engine import local, registry
from orchestrator.engine.base import (
    IN,
    PYTHON,
    WORK,
    BuildRecord,
    EndKind,
    EngineUnavailableError,
    Input,
    Job,
    worker_argv,
)
from orchestrator.engine.local import LocalEngine, place_inside, translate
from orchestrator.engine.process import (
    descendants,
    job_environment,
    read_table,
    start_options,
    stop_signal,
)
from orchestrator.errors import EngineError
from orchestrator.processes import find, is_alive, this_process


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "missing_modules", lambda: ())
    # Jobs tell their numbers here; in a box they have others. tests/security has the box.
    monkeypatch.setattr(local, "boxed_program", lambda: None)


def job(work: Path, code: str, *inputs: Input) -> Job:
    return Job("test", "local", (PYTHON, "-c", code, IN, WORK), work, inputs=inputs)


def test_a_job_sees_its_inputs_by_name_and_writes_to_its_folder(work: Path, tmp_path: Path) -> None:
    data = tmp_path / "some data"
    data.mkdir()
    (data / "a").write_text("hello")
    code = (
        "import sys, pathlib; i, w = map(pathlib.Path, sys.argv[1:])\n"
        "(w / 'out').write_text((i / 'calib' / 'a').read_text() + (i / 'one').read_text())\n"
        "print('said'); print('err', file=sys.stderr); sys.exit(3)"
    )
    engine = LocalEngine()
    with engine.start(job(work, code, Input("calib", data), Input("one", data / "a"))) as running:
        assert sorted(running.lines()) == ["err", "said"]
        ending = running.wait()
    assert (ending.kind, ending.exit_code) == (EndKind.FAILED, 3)
    assert (work / "out").read_text() == "hellohello"
    assert not engine.info().boxed


def test_paths_of_the_box_are_translated_and_nothing_else() -> None:
    here, there = Path("/i"), Path("/w")
    words = translate(worker_argv(), here, there)
    assert words == (
        sys.executable, "-m", "hefsmith_worker", "--plan", "/w/plan.json", "--inputs", "/i",
        "--work", "/w",
    )  # fmt: skip
    assert translate(("sh", "/hefsmith/in/x"), here, there) == ("sh", "/hefsmith/in/x")
    with pytest.raises(EngineError, match="not a place below"):
        place_inside(PurePosixPath("/etc/passwd"), here, there)


TREE = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
    " start_new_session=True)\n"
    "print(c.pid, flush=True); time.sleep(60)"
)


def test_cancelling_kills_the_whole_tree_of_a_job_that_does_not_listen(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.local_job.POLITE", 0.5)
    with pytest.raises(KeyboardInterrupt), LocalEngine().start(job(work, TREE)) as running:
        child = str(find(int(next(running.lines()))))
        assert is_alive(child)
        raise KeyboardInterrupt
    deadline = time.monotonic() + 45
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child), "it has a session of its own and dies all the same"
    assert running.wait().kind is EndKind.INTERRUPTED


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_the_job_learns_that_its_host_is_gone_by_the_end_of_standard_input(work: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from orchestrator.engine import local\nlocal.missing_modules = lambda: ()\n"
        "local.boxed_program = lambda: None\n"
        "from orchestrator.engine.base import Job\n"
        'code = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"\n'
        "job = Job('t', 'local', ('python', '-c', code), Path(sys.argv[1]))\n"
        "r = local.LocalEngine().start(job)\nprint(next(r.lines()), flush=True)\n"
        "import time; time.sleep(60)"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", program, str(work)], stdout=subprocess.PIPE, text=True, cwd=work
    )
    assert host.stdout is not None
    child = str(find(int(host.stdout.readline())))
    assert is_alive(child)
    host.kill()
    host.wait()
    host.stdout.close()
    deadline = time.monotonic() + 45
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_held_job_begins_when_it_is_released(work: Path) -> None:
    code = "import sys, pathlib; print(pathlib.Path(sys.argv[2], 'late').read_text())"
    with LocalEngine().start(job(work, code), held=True) as running:
        (work / "late").write_text("here")
        running.release()
        assert list(running.lines()) == ["here"]
        assert running.wait().ok


def test_a_detached_build_is_found_followed_and_collected(work: Path) -> None:
    engine = LocalEngine()
    code = "import time; print('a', flush=True); time.sleep(1); print('b'); raise SystemExit(4)"
    with engine.start(job(work, code), detached=True) as running:
        build = running.record.id
    record = registry.find(build[:4])
    assert record == registry.find(None) == registry.find("test")
    assert engine.status(record) == "running"
    with engine.attach(record) as again:
        assert list(again.lines()) == ["a", "b"]
        ending = again.wait()
    assert (ending.kind, ending.exit_code) == (EndKind.FAILED, 4)
    assert registry.records() == ()
    assert list(registry.folder().iterdir()) == []


def test_a_detached_build_can_be_stopped_from_elsewhere(work: Path) -> None:
    engine = LocalEngine()
    with engine.start(job(work, "import time; time.sleep(60)"), detached=True) as running:
        record = running.record
    ending = engine.attach(record).stop()
    assert ending.kind is EndKind.INTERRUPTED
    assert not is_alive(record.container)


def test_missing_libraries_are_named_with_the_command_that_installs_them(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "missing_modules", lambda: ("torch", "onnx"))
    with pytest.raises(EngineUnavailableError, match="lacks torch, onnx") as error:
        LocalEngine().start(job(work, ""))
    assert "[emulator]" in (error.value.hint or "")


def test_a_job_gets_no_secrets_of_the_shell() -> None:
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HEFSMITH_EMULATED_CHIP": "hailo8",
               "PYTHONPATH": "/mine", "PYTHONSTARTUP": "y"}  # fmt: skip
    env = job_environment(environ, {"A": "1"}, [Path("/p"), Path("/q")])
    assert "AWS_SECRET_ACCESS_KEY" not in env
    assert "PYTHONSTARTUP" not in env
    assert env["HEFSMITH_EMULATED_CHIP"] == "hailo8"
    assert env["PYTHONPATH"] == os.pathsep.join(("/p", "/q"))
    assert env["USER"]


def test_threads_of_a_job_do_not_turn_in_circles_while_they_wait_unless_they_are_to() -> None:
    assert job_environment({}, {}, [])["OMP_WAIT_POLICY"] == "passive"
    own = {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "3"}
    assert job_environment(own, {}, []).items() >= own.items()


def test_families_of_processes_are_found_in_a_table() -> None:
    table = read_table(" 1 0\n10 1\n11 10\n12 11\n20 1\n10 10\nodd line here\n")
    assert descendants(table, 10) == (11, 12)
    assert descendants(((2, 3), (3, 2)), 2) == (3,), "a table read while it changes may circle"
    assert descendants((), 1) == ()


def test_windows_starts_a_group_of_its_own() -> None:
    assert start_options(windows=True) == {"creationflags": 0x200}
    assert start_options(windows=False) == {"start_new_session": True}
    assert stop_signal(windows=True) == 1, "CTRL_BREAK_EVENT: Ctrl-C does not reach the group"
    assert stop_signal(windows=False) == signal.SIGINT


def test_short_programs_are_captured_and_end_in_time() -> None:
    done = LocalEngine().capture("local", (PYTHON, "-c", "print(1); raise SystemExit(2)"))
    assert (done.exit_code, done.stdout.split()) == (2, ["1"])
    with pytest.raises(EngineError, match="did not end"):
        LocalEngine().capture("local", (PYTHON, "-c", "import time; time.sleep(9)"), timeout=0.3)


def test_where_links_are_not_allowed_inputs_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    local.lend(tmp_path / "d", tmp_path / "copy")
    local.lend(tmp_path / "d" / "f", tmp_path / "file")
    assert (tmp_path / "copy" / "f").read_text() == (tmp_path / "file").read_text() == "x"


def test_inputs_that_a_killed_run_left_are_removed_by_the_next(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = this_process()
    dead = tmp_path / f"hefsmith-in-{replace(mine, start=mine.start + '1')}.abc"
    kept = [tmp_path / f"hefsmith-in-{mine}.abc", tmp_path / "hefsmith-kept-abc"]
    for folder in (dead, *kept):
        folder.mkdir()
        (folder / "left").write_text("x")
    with LocalEngine().start(job(work, "print(1)")) as running:
        assert running.wait().ok
    assert not dead.exists()
    assert all(one.exists() for one in kept)


def test_folders_of_forgotten_background_builds_are_removed_and_no_others(
    tmp_path: Path, work: Path
) -> None:
    old = time.time() - 3600
    left, used, known, young, odd = (tmp_path / f"{local.KEPT}{one}" for one in "abcde")
    for folder in (left, used, known, young):
        folder.mkdir()
        (folder / "input").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    odd.symlink_to(tmp_path / "elsewhere")
    record = BuildRecord(
        "1", "t", "local", "", "local", work, 0.0, "", True, "bind", volume=str(known)
    )
    registry.save(record)
    for folder in (left, used, known):
        os.utime(folder, (old, old))
    busy = subprocess.Popen(["sleep", "60"], cwd=used)
    try:
        assert local.remove_forgotten(tmp_path, local.KEPT) == (left,)
        assert used.is_dir()
        assert known.is_dir()
        assert young.is_dir()
        assert odd.is_symlink()
    finally:
        busy.kill()
        busy.wait()
