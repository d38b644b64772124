"""The first job is started early when it is certain that it must run, and never left over."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hefsmith_worker.contract.layout import SUMMARY

from orchestrator.cli.up import make_session
from orchestrator.engine.base import Ending, EndKind, EngineLostError
from orchestrator.pipeline import runner
from orchestrator.pipeline.jobs import ExecutionTarget, Segment
from orchestrator.pipeline.plan import first_mark
from orchestrator.pipeline.prestart import Prestart, PrestartedJob
from orchestrator.pipeline.session import BuildSession

RECIPE = """
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 1, 8, 8]}
preprocessing: {size: [8, 8], color: gray, mean: [0], std: [255]}
calibration: {source: pictures}
"""


class FakeRunning:
    """A job that waits, and notes what is done to it."""

    def __init__(self, *, lost: bool = False) -> None:
        self.heard: list[str] = []
        self._lost = lost

    def release(self) -> None:
        if self._lost:
            msg = "the engine went away"
            raise EngineLostError(msg)
        self.heard.append("release")

    def stop(self) -> Ending:
        self.heard.append("stop")
        return Ending(EndKind.INTERRUPTED, 130, "")


class FakeEngine:
    """An engine whose jobs are fakes."""

    def __init__(self) -> None:
        self.started: list[Any] = []

    def start(self, job: Any, *, held: bool = False) -> FakeRunning:
        self.started.append((job, held))
        return FakeRunning()


def segment(engine: Any, *stages: str) -> Segment:
    box: Any = None
    return Segment(stages, ExecutionTarget(engine, "image", ("python",), {}, box))


def opened(running: FakeRunning, of: Segment) -> PrestartedJob:
    one: Any = running
    return PrestartedJob(of, one)


def test_a_job_that_nobody_took_is_stopped_and_its_folder_removed(tmp_path: Path) -> None:
    running = FakeRunning()
    prestart = Prestart(tmp_path / "final", lambda _: opened(running, segment(None, "export")))
    assert prestart.take() is not None
    assert prestart.staging.is_dir()
    prestart.discard()
    assert "stop" in running.heard
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_still_being_started_stops_when_it_has_been(tmp_path: Path) -> None:
    running, go, stopped = FakeRunning(), threading.Event(), threading.Event()

    def act(_: Path) -> PrestartedJob:
        go.wait(60)
        return opened(running, segment(None, "export"))

    prestart = Prestart(tmp_path / "final", act)
    dropping = threading.Thread(target=lambda: (prestart.drop(), stopped.set()))
    dropping.start()
    assert not stopped.wait(0.2)
    go.set()
    assert stopped.wait(60)
    assert running.heard == ["stop"]


def test_what_goes_wrong_while_it_starts_is_left_for_the_usual_way(tmp_path: Path) -> None:
    def act(_: Path) -> PrestartedJob:
        msg = "no engine"
        raise EngineLostError(msg)

    prestart = Prestart(tmp_path / "final", act)
    assert prestart.take() is None
    prestart.discard()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setattr(runner, "make_job", lambda _plan, segment, _staging, **_: segment.stages)
    return FakeEngine()


PLAN: Any = SimpleNamespace(to_run=("export", "parse"))


@pytest.mark.parametrize("change", ["none", "stages", "image", "lost"])
def test_the_waiting_job_is_used_only_for_what_it_was_started_for(
    tmp_path: Path, engine: FakeEngine, change: str
) -> None:
    wanted = segment(engine, "export", "parse")
    was = wanted
    if change == "stages":
        was = replace(wanted, stages=("parse",))
    if change == "image":
        was = replace(wanted, target=replace(wanted.target, image="another"))
    waiting = FakeRunning(lost=change == "lost")
    prestart = Prestart(tmp_path / "final", lambda _: opened(waiting, was))
    started: Any = runner._started(PLAN, wanted, tmp_path, prestart)
    if change == "none":
        assert started is waiting
        assert waiting.heard == ["release"]
        assert engine.started == []
    else:
        assert "stop" in waiting.heard
        assert "release" not in waiting.heard
        assert engine.started == [(("export", "parse"), False)]
    prestart.discard()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models" / "net"
    (folder / "pictures").mkdir(parents=True)
    (folder / "model.yaml").write_text(RECIPE)
    (folder / "net.onnx").write_bytes(b"a network")
    (folder / "pictures" / "0.png").write_bytes(b"0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEFSMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def opens_early(monkeypatch: pytest.MonkeyPatch, *, fresh: bool = False) -> bool:
    asked: list[object] = []
    monkeypatch.setattr(BuildSession, "_open", lambda _self, _final, plans: asked.append(plans))
    # No input may be read to find out.
    monkeypatch.setattr("orchestrator.pipeline.plan.material_digests", lambda *_: pytest.fail())
    with make_session({"engine": "local"}, fresh=fresh) as session:
        request = session.request(session.recipe("net"), "hailo8l")
        session._open_early(request, session.final_folder("net", "hailo8l"))
    monkeypatch.undo()
    return bool(asked)


def export_why(project: Path) -> dict[str, Any]:
    with make_session({"engine": "local"}) as session:
        made, _, _ = session.plan(session.request(session.recipe("net"), "hailo8l"))
    return dict(made.stages[0].why)


@pytest.mark.usefixtures("project")
def test_a_first_and_a_fresh_build_are_certain_before_any_input_is_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with monkeypatch.context() as patch:
        assert opens_early(patch)
    with make_session({"engine": "local"}) as session:
        session.cache.note(first_mark(export_why(project)))
    with monkeypatch.context() as patch:
        assert not opens_early(patch), "the cache may have it: nothing is certain"
    with monkeypatch.context() as patch:
        assert opens_early(patch, fresh=True)
    recipe = project / "models" / "net" / "model.yaml"
    recipe.write_text(RECIPE + "export: {opset: 17}\n")
    with monkeypatch.context() as patch:
        assert opens_early(patch), "no entry begins like that"


def test_a_build_that_is_there_is_asked_although_the_cache_was_emptied(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = export_why(project)
    final = project / "artifacts" / "net" / "hailo8l"
    final.mkdir(parents=True)
    for kept, early in ((why, False), ({**why, "code": "another"}, True)):
        summary = {"key": "k", "files": [], "why": {"export": kept}}
        (final / SUMMARY).write_text(json.dumps(summary))
        with monkeypatch.context() as patch:
            assert opens_early(patch) is early
