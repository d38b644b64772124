"""The main job as on Windows, as far as this machine can pretend: first, second, cancelled."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pretend import windows
from tests.pretend.windows import Windows

from .conftest import Project


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """A machine on which the first build was cancelled, then made, then asked for again."""
    return windows.make(tmp_path_factory.mktemp("windows"))


@pytest.fixture(scope="module")
def cancelled(there: Windows) -> tuple[int, str, float]:
    """Press Ctrl-C while the network is exported; return status, output and seconds."""
    running = there.start("up", "digits", "--engine", "local")
    assert running.stdout is not None
    watchdog = threading.Timer(150, running.kill)
    watchdog.start()
    said: list[str] = []
    pressed = 0.0
    with running:
        for line in running.stdout:
            said.append(line.decode("utf-8", "replace"))
            if "export: export" in said[-1] and not pressed:
                pressed = time.monotonic()
                os.killpg(running.pid, signal.SIGINT)
    status = running.returncode
    watchdog.cancel()
    assert pressed, "".join(said)
    return status, "".join(said), time.monotonic() - pressed


@pytest.fixture(scope="module")
def first(there: Windows, cancelled: object) -> dict[str, object]:
    done = there.hef("up", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr.decode("cp437")
    return dict(json.loads(done.stdout))


def left(folder: Path) -> Iterator[str]:
    """Names below a folder that are none of filelock's own probes."""
    for path in folder.rglob("*"):
        if not path.name.startswith(".filelock-probe-"):
            yield path.relative_to(folder).as_posix()


def test_a_cancelled_build_ends_at_once_and_leaves_its_log_only(
    there: Windows, cancelled: tuple[int, str, float]
) -> None:
    status, said, seconds = cancelled
    assert status == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert seconds < 30
    assert running(there) == []


def running(there: Windows) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if words[0] == str(there.python):
            found.append(" ".join(words))
    return found


def test_the_first_build_is_proven_on_the_device_and_leaves_nothing_behind(
    there: Windows, first: dict[str, object]
) -> None:
    proof = first["proof"]
    assert isinstance(proof, dict)
    assert proof["passed"]
    # torch leaves a file of its own.
    assert [name for name in left(there.temporary) if name != ".ses"] == []
    assert not [name for name in left(there.project) if ".building" in name or "partial" in name]
    assert running(there) == []


def test_the_second_build_finds_that_nothing_changed(
    there: Windows, first: dict[str, object]
) -> None:
    before = there.met()
    done = there.hef("up", "digits", "--engine", "local")
    assert done.returncode == 0, done.stderr.decode("cp437")
    assert b"verdict  passed" in done.stdout
    started = [line for line in there.met() - before if line.startswith("start ")]
    assert len(started) == 1, "no job, no device"


def test_what_was_built_is_what_linux_builds(
    there: Windows, first: dict[str, object], built: Project
) -> None:
    assert Project(there.project).digests() == built.digests()


def test_texts_have_the_line_ends_of_every_system(there: Windows, first: dict[str, object]) -> None:
    build = there.project / "artifacts/digits/hailo8l"
    texts = [
        path for path in build.rglob("*") if path.suffix in {".json", ".html", ".alls", ".log"}
    ]
    assert len(texts) > 5
    assert [path.name for path in texts if b"\r\n" in path.read_bytes()] == []


def test_the_rate_is_measured_by_the_tool_as_well(there: Windows, first: dict[str, object]) -> None:
    done = there.hef("bench", "digits", "--json", "--seconds", "0.3", "--warmup", "0")
    assert done.returncode == 0, done.stderr.decode("cp437")
    assert b"streaming" in done.stdout


def test_windows_was_really_met(there: Windows, first: dict[str, object]) -> None:
    met = " ".join(there.met())
    assert "symlink " in met, "links were refused"
    assert "read-only" in met, "removal of read-only files was refused"
    assert "os.open of the folder" in met
    assert "hefsmith_worker.job" in met, "the job believed it too"
    assert "hailortcli fw-control identify" in met, "and the device"
    assert "infer.py" in met
