"""Cells on real Dask workers, of which one dies in the middle; results are as on one machine."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.contract.options import AnalyzeOptions

from orchestrator import Event, Project
from orchestrator.errors import ConfigError, EngineError, ExitCode
from orchestrator.pipeline.matrix.cluster import ClusterBuilder, place_of, slots_in
from orchestrator.pipeline.matrix.messages import event_document, read_event, told_error
from orchestrator.pipeline.matrix.orders import need_key, open_place
from orchestrator.pipeline.matrix.trials import TrialWorkers
from orchestrator.pipeline.sharing.signing import signing_of
from orchestrator.pipeline.tune.tuning import Variant, applied

from . import conftest, trivial

pytestmark = pytest.mark.slow

pytest.importorskip("distributed")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with (tmp_path / "scheduler.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
             "--port", str(port), "--no-dashboard"],
            stdout=log, stderr=log, cwd=tmp_path,
        )  # fmt: skip
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def start_worker(scheduler: str, project: conftest.Project, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(name: str, resources: str = "engine=1", **more: str) -> subprocess.Popen[str]:
        environ = project.environ(**more)
        environ["HEFSMITH_CACHE"] = str(tmp_path / f"cache of {name}")
        environ["TRIVIAL_RUNS"] = str(tmp_path / f"runs of {name}")
        log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
        process = subprocess.Popen(
            [sys.executable, str(Path(trivial.__file__)), "worker", scheduler, "--nthreads", "1",
             "--no-nanny", "--no-dashboard", "--name", name, "--resources", resources,
             "--local-directory", str(tmp_path / f"scratch of {name}")],
            stdout=log, stderr=log, text=True, cwd=tmp_path, env=environ,
        )  # fmt: skip
        started.append(process)
        return process

    with contextlib.ExitStack() as stack:
        yield start
    for process in started:
        process.kill()
        process.wait()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def document(done: tuple[str, str], code: int | None) -> dict[str, Any]:
    assert code == 0, done[1]
    return dict(json.loads(done[0]))


def shared(tmp_path: Path) -> Path:
    """Return a folder that is the store of everybody."""
    share = tmp_path / "share"
    share.mkdir()
    return share


def signer(tmp_path: Path) -> tuple[Path, Path]:
    """Return a new key and a list of signers that has it."""
    key, listed = tmp_path / "key", tmp_path / "allowed_signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    kind, public = key.with_suffix(".pub").read_text().split()[:2]
    listed.write_text(f"workers {kind} {public}\n")
    return key, listed


def digests(opened: Project) -> list[object]:
    return [cell.result.digests for cell in opened.build_all().cells if cell.result]


def built_alone(project: conftest.Project, tmp_path: Path) -> list[object]:
    """Return the digests of all cells as this machine makes them, with nothing shared."""
    with Project(artifacts=str(tmp_path / "alone"), cache=str(tmp_path / "own")) as opened:
        found = digests(opened)
    Path(project.root / "runs").unlink()
    assert len(found) == 4
    return found


def here(tmp_path: Path, name: str) -> None:
    """Wait until a worker is known to the scheduler."""
    until(lambda: "Registered to" in (tmp_path / f"{name}.log").read_text())


@pytest.mark.timeout(240)
def test_two_workers_of_which_one_dies_give_what_one_machine_gives(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    # All of it signed: by a key of the workers, of which this machine has the list.
    share, alone = shared(tmp_path), built_alone(project, tmp_path)
    key, listed = signer(tmp_path)
    signed = {"TRIVIAL_SECONDS": "0.6", "HEFSMITH_SIGN_WITH": str(key)}
    first = start_worker("first", **signed)
    start_worker("second", **signed)
    here(tmp_path, "first")
    here(tmp_path, "second")
    words = ("build", "--all", "--cluster", scheduler, "--json")
    command = project.start(*words, HEFSMITH_STORE=str(share), HEFSMITH_SIGNERS=str(listed))
    # In mid-build: it has begun with its second cell, or with the compiler of its first.
    until(lambda: any("parse" in line for line in lines(tmp_path / "runs of first")))
    first.send_signal(signal.SIGKILL)
    done = command.communicate(timeout=180)
    found = document(done, command.returncode)
    assert {cell["status"] for cell in found["cells"]} == {"built"}
    assert project.runs == [], "nothing ran on this machine"
    assert all(cell["worker"] for cell in found["cells"])
    assert lines(tmp_path / "runs of second")
    assert "finished" not in done[0]
    assert "compile: done" in done[1]
    entries = [json.loads(file.read_text()) for file in share.rglob("entries/*/*.json")]
    assert entries
    assert all("SSH SIGNATURE" in entry["signature"] for entry in entries)
    with Project(store=str(share)) as opened:
        assert digests(opened) == alone


def test_a_worker_takes_the_signers_of_who_gives_the_order_and_needs_a_key(
    project: conftest.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, listed = signer(tmp_path)
    monkeypatch.setenv("HEFSMITH_SIGNERS", str(listed))
    with Project(store=str(shared(tmp_path))) as opened:
        place = place_of(opened.session, "a-topic")
    # The worker's own list is another one, or none.
    monkeypatch.setenv("HEFSMITH_SIGNERS", str(tmp_path / "of the worker"))
    session = open_place(place, str(tmp_path))
    found = signing_of(session.settings, session.workspace.root).signers
    assert found is not None
    assert found.read_text() == listed.read_text()
    need_key(place, "a key")
    with pytest.raises(ConfigError, match="this worker has no signing key"):
        need_key(place, None)
    need_key(replace(place, signers=None), None)
    monkeypatch.setenv("HEFSMITH_SIGNERS", str(tmp_path / "nowhere"))
    with (
        Project(store=str(tmp_path / "share")) as opened,
        pytest.raises(ConfigError, match="nowhere cannot be read"),
    ):
        place_of(opened.session, "a-topic")


@pytest.mark.timeout(120)
def test_ctrl_c_stops_the_workers_too(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    (tmp_path / "share").mkdir()
    start_worker("only", TRIVIAL_SECONDS="3")
    here(tmp_path, "only")
    command = project.start(
        "build", "--all", "--cluster", scheduler, "--json", HEFSMITH_STORE=str(tmp_path / "share")
    )
    until(lambda: lines(tmp_path / "runs of only"))
    command.send_signal(signal.SIGINT)
    done = command.communicate(timeout=60)
    assert command.returncode == 130, done[1]
    assert "Traceback" not in done[1]
    assert json.loads(done[0])["counts"]["stopped"] == 4
    ran = len(lines(tmp_path / "runs of only"))
    time.sleep(4)
    assert len(lines(tmp_path / "runs of only")) <= ran + 1, "it goes on with other stages"


@pytest.mark.timeout(120)
def test_a_failure_on_a_worker_is_told_as_if_it_was_here(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    start_worker("only", TRIVIAL_FAIL="compile:hailo8")
    here(tmp_path, "only")
    done = project.hef("build", "one", "--cluster", scheduler, "--json", HEFSMITH_STORE=str(share))
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    failed = next(cell for cell in found["cells"] if cell["status"] == "failed")
    assert failed["arch"] == "hailo8"
    assert "it was told to" in failed["error"]["message"]
    assert failed["worker"]


@pytest.mark.timeout(120)
def test_what_a_cluster_lacks_is_said(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    words = ("build", "one", "--cluster", scheduler)
    done = project.hef(*words)
    assert done.returncode == 2
    assert "needs a store" in done.stderr
    (tmp_path / "share").mkdir()
    done = project.hef(*words, HEFSMITH_STORE=str(tmp_path / "share"))
    assert done.returncode == 3
    assert 'resources "engine=1"' in done.stderr
    done = project.hef(
        "build", "one", "--cluster", "tcp://127.0.0.1:9", HEFSMITH_STORE=str(tmp_path / "share")
    )
    assert done.returncode == 3
    assert "no Dask scheduler answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_events_and_errors_travel_whole() -> None:
    finding = Finding("calib.few", "warning", "few", "Give more.", 64, 3, stage="calibrate")
    for event in (
        Event("progress", "m", "hailo8", "fast", "compile", done=1, total=2, unit="steps"),
        Event("finding", "m", "hailo8", None, "calibrate", "few", finding=finding),
    ):
        assert read_event(json.loads(json.dumps(event_document(event)))) == event
    told = told_error({"exit_code": 3, "message": "away", "hint": None, "code": "engine.lost"})
    assert isinstance(told, EngineError)
    assert told.exit_code is ExitCode.ENGINE
    assert told.code == "engine.lost"


class FakeClient:
    """A client that takes messages and brings answers in one thread, as Dask's does."""

    def __init__(self) -> None:
        self.loop = ThreadPoolExecutor(1)
        self.heard: list[Callable[[Any], None]] = []

    def subscribe_topic(self, topic: str, handler: Callable[[Any], None]) -> None:
        self.heard.append(handler)

    def ask(self) -> str:
        return self.loop.submit(lambda: "an answer").result(timeout=60)


def test_who_holds_a_lock_and_asks_the_scheduler_is_answered_whatever_news_come(
    project: conftest.Project, tmp_path: Path
) -> None:
    client, board, heard = FakeClient(), threading.RLock(), threading.Event()
    with Project(store=str(shared(tmp_path))) as opened:
        builder = ClusterBuilder(opened.session, client, place_of(opened.session, "a-topic"))

        def hear(event: Event) -> None:
            with board:
                heard.set()

        builder._hearers["one hailo8l"] = hear
        message = {"cell": "one hailo8l", "event": event_document(Event("note", "m", "hailo8"))}
        with board:  # as the board of a matrix is held while the end of another cell is told
            for handler in client.heard:
                client.loop.submit(handler, (0.0, message))
            assert client.ask() == "an answer"
        assert heard.wait(60)
        builder.close()


def test_slots_are_the_engines_that_workers_offer() -> None:
    workers: dict[str, Any] = {
        "a": {"resources": {"engine": 2}},
        "b": {"resources": {}},
        "c": {"resources": {"engine": 1}},
    }
    assert slots_in(workers) == 3


@pytest.mark.timeout(240)
def test_a_run_goes_on_without_its_client_and_is_come_back_to(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    share, alone = shared(tmp_path), built_alone(project, tmp_path)
    start_worker("only", TRIVIAL_SECONDS="0.4")
    here(tmp_path, "only")
    words = ("build", "--all", "--cluster", scheduler)
    command = project.start(*words, HEFSMITH_STORE=str(share))
    until(lambda: any("parse" in line for line in lines(tmp_path / "runs of only")))
    command.send_signal(signal.SIGKILL)
    _, told = command.communicate(timeout=60)
    begun = lines(tmp_path / "runs of only")
    assert sum("compile" in line for line in begun) == 0, "it was over already"
    name = told.split("hef attach ", 1)[1].split()[0]
    listed = json.loads(project.hef("ps", "--json").stdout)
    assert [(one["id"], one["engine"]) for one in listed] == [(name, scheduler)]
    until(lambda: sum("evaluate" in line for line in lines(tmp_path / "runs of only")) > 1)
    # Nobody is here, and cells that were not even sent out when the client died are made.
    done = project.hef("attach", name[:5], "--json", HEFSMITH_STORE=str(share))
    found = document((done.stdout, done.stderr), done.returncode)
    assert {cell["status"] for cell in found["cells"]} == {"built"}
    assert len(found["cells"]) == 4
    assert all(cell["worker"] for cell in found["cells"])
    assert project.runs == [], "nothing ran on this machine"
    ran = lines(tmp_path / "runs of only")
    assert len(ran) == len(set(ran)), "a stage was made twice"
    with Project(store=str(share)) as opened:
        assert digests(opened) == alone
    assert json.loads(project.hef("ps", "--json").stdout) == []
    done = project.hef("attach", "--cluster", scheduler, HEFSMITH_STORE=str(share))
    assert done.returncode == 2
    assert "no run is on the cluster" in done.stderr


@pytest.mark.timeout(120)
def test_a_run_that_was_left_can_be_stopped(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    (tmp_path / "share").mkdir()
    start_worker("only", TRIVIAL_SECONDS="2")
    here(tmp_path, "only")
    store = {"HEFSMITH_STORE": str(tmp_path / "share")}
    command = project.start("build", "--all", "--cluster", scheduler, **store)
    until(lambda: lines(tmp_path / "runs of only"))
    command.send_signal(signal.SIGKILL)
    command.communicate(timeout=60)
    follower = project.start("attach", "--json", **store)
    time.sleep(4)
    follower.send_signal(signal.SIGINT)
    out, told = follower.communicate(timeout=60)
    assert follower.returncode == 130, told
    assert json.loads(out)["counts"]["stopped"]
    ran = len(lines(tmp_path / "runs of only"))
    until(lambda: len(lines(tmp_path / "runs of only")) > ran)  # leaving it does not stop it
    done = project.hef("stop", **store)
    assert done.returncode == 0, done.stderr
    found = project.hef("attach", "--json", **store)
    assert found.returncode == 130, found.stderr
    ran = len(lines(tmp_path / "runs of only"))
    time.sleep(4)
    assert len(lines(tmp_path / "runs of only")) == ran
    assert json.loads(project.hef("ps", "--json").stdout) == []


@pytest.mark.timeout(120)
def test_trials_are_made_by_workers_side_by_side_and_come_from_the_store(
    project: conftest.Project, scheduler: str, start_worker: Start, tmp_path: Path
) -> None:
    share = shared(tmp_path)
    for name in ("first", "second"):
        start_worker(name, TRIVIAL_SECONDS="0.3")
        here(tmp_path, name)
    levels = [Variant(f"level {n}", {"optimization.level": n}) for n in (0, 1, 2)]
    wrong = Variant("level 99", {"optimization.level": 99})
    with Project(store=str(share)) as opened:
        session, loaded = opened.session, opened.recipe("one")
        with TrialWorkers(session, scheduler) as workers:
            assert workers.slots == 2
            workers.make(loaded, "hailo8l", [(one, None) for one in [*levels, wrong]])
            look = AnalyzeOptions(samples=2, layers=False)
            workers.need(loaded, "hailo8l", levels[1], look)
            with pytest.raises(ConfigError, match="99"):
                workers.need(loaded, "hailo8l", wrong, None)
        ran = {name: lines(tmp_path / f"runs of {name}") for name in ("first", "second")}
        assert all(ran.values()), "one worker did all of it"
        told = [line for part in ran.values() for line in part]
        assert sum("compile" in line for line in told) == 3, "a level is made once, and no more"
        assert sum("analyze" in line for line in told) == 1
        for variant in levels:
            session.build(applied(loaded, variant), "hailo8l", tmp_path / "trial")
        session.build(applied(loaded, levels[1]), "hailo8l", tmp_path / "look", look)
    assert project.runs == [], "nothing ran on this machine"
