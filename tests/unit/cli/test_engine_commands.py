"""`hef ps`, `logs`, `attach`, `stop`, `doctor`: what they say and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.cli.engine import readable
from orchestrator.engine import local, registry
from orchestrator.engine.base import PYTHON, Job
from orchestrator.engine.local import LocalEngine


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A detached build of the local engine that prints a little and ends after a while."""
    monkeypatch.setattr(local, "missing_modules", lambda: ())
    code = (
        "import json, time\n"
        "print(json.dumps({'event': 'stage_started', 'stage': 'parse'}), flush=True)\n"
        "print(json.dumps({'event': 'progress', 'stage': 'parse', 'done': 1}), flush=True)\n"
        "print('plain \\x1b[31m text', flush=True); time.sleep(60)"
    )
    with LocalEngine().start(
        Job("digits-hailo8l", "local", (PYTHON, "-c", code), tmp_path), detached=True
    ) as running:
        return running.record.id


def wait_for(capsys: pytest.CaptureFixture[str], words: list[str], text: str) -> str:
    import time

    for _ in range(100):
        assert run(words) == 0
        out = capsys.readouterr().out
        if text in out:
            return out
        time.sleep(0.1)
    raise AssertionError(out)


def test_a_background_build_is_listed_read_and_stopped(
    build: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ps"]) == 0
    out = capsys.readouterr().out
    assert build in out
    assert "running" in out
    assert run(["ps", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["id"], row["state"], row["engine"]) == (build, "running", "local")
    out = wait_for(capsys, ["logs", build[:5]], "plain")
    assert out.splitlines() == ["parse: started", "plain \\x1b[31m text"]
    raw = wait_for(capsys, ["logs", "--raw"], "plain")
    assert json.loads(raw.splitlines()[1])["event"] == "progress"
    assert run(["stop", "digits-hailo8l", "--json"]) == 0
    said = capsys.readouterr()
    assert "stopped on request" in said.err
    assert json.loads(said.out) == {"id": build, "name": "digits-hailo8l", "engine": "local"}
    assert run(["ps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert registry.records() == ()


@pytest.mark.parametrize("command", ["logs", "attach", "stop"])
def test_without_a_build_each_command_says_how_to_start_one(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command]) == 2
    assert "hef up MODEL --detach" in capsys.readouterr().err
    assert run([command, "no\x1bsuch"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_an_unreachable_engine_does_not_hide_its_builds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.engine.base import BuildRecord

    record = BuildRecord(
        "b1", "far", "unix:///nowhere/docker.sock", "c", "i", tmp_path, 0.0, "1", True, "copy"
    )
    registry.save(record)
    (registry.folder() / "damaged.json").write_text("{")
    assert registry.records() == (record,)
    assert run(["ps", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["state"] == "unreachable"
    assert run(["logs", "b1"]) == 3


def test_events_are_read_as_people_read_them() -> None:
    assert readable('{"event": "log", "stage": "optimize", "line": "x"}') == "optimize: x"
    assert readable('{"event": "progress", "done": 1}') is None
    assert readable("Traceback \x07") == "Traceback \\x07"
    failed = '{"event": "stage_failed", "stage": "parse", "message": "no"}'
    assert readable(failed) == "parse: failed: no"
    assert readable("[1]") == "[1]"


@pytest.mark.slow
def test_the_doctor_answers_in_json_with_a_status_for_each_group(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--json", "--engine", "local"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    groups = [one["group"] for one in document["results"]]
    assert {"host", "engine", "toolchain"} == set(groups)
    assert run(["doctor", "--engine", "unix:///nowhere/docker.sock"]) in {0, 3}
    out = capsys.readouterr().out
    assert "no Docker engine answers" in out
    assert "fix:" in out
    assert run(["doctor", "--engine", "nonsense"]) in {0, 3}
    assert "nonsense" in capsys.readouterr().out
