"""Plans are checked before anything runs, and cannot lead out of the inputs folder."""

from __future__ import annotations

import ast
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import hefsmith_worker
import pytest
from hefsmith_worker import events
from hefsmith_worker.protocol import PlanError, read_plan

PLAN: dict[str, Any] = {
    "schema": 1,
    "model": "net",
    "arch": "hailo8l",
    "net_name": "net",
    "hef_name": "model.hailo8l.emulated.hef",
    "stages": ["compile", "export"],
    "parameters": {"export": {"opset": 13}},
}


def write(tmp_path: Path, plan: object) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


def test_stages_run_in_their_order_whatever_the_plans(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path, PLAN), tmp_path, tmp_path)
    assert plan.stages == ["export", "compile"]
    assert plan.of("export")["opset"] == 13
    assert plan.of("parse") == {}


@pytest.mark.parametrize(
    "change", [{"schema": 2}, {"stages": ["cook"]}, {"arch": None, "drop": "model"}]
)
def test_a_plan_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    plan = {**PLAN, **change}
    plan.pop(str(change.get("drop")), None)
    with pytest.raises(PlanError):
        read_plan(write(tmp_path, plan), tmp_path, tmp_path)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(path, tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b"])
def test_an_input_cannot_lead_out(tmp_path: Path, name: str) -> None:
    plan = read_plan(write(tmp_path, PLAN), tmp_path, tmp_path)
    with pytest.raises(PlanError, match=r"input .* (leads upwards|is absolute)"):
        plan.input(name)


def test_the_worker_is_python_38() -> None:
    package = Path(hefsmith_worker.__file__).parent
    for path in package.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


class Reads:
    """Counts what is hashed, and lets it be hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        real = events.sha256_of

        def count(path: Path) -> str:
            self.names.append(path.name)
            return real(path)

        monkeypatch.setattr(events, "sha256_of", count)


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_is_hashed_again_only_if_it_changed_since_it_was_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    monkeypatch.setattr(events, "WORTH_SHARING", 0 if shared else 1 << 40)
    monkeypatch.setattr(events, "WORTH_NAMING", 0 if shared else 1 << 40)
    reads = Reads(monkeypatch)
    stream = io.BytesIO()
    channel = events.Channel(stream)
    files = [("golden", tmp_path / f"{number}.npy") for number in range(6)]
    for _, path in files:
        path.write_bytes(path.name.encode() * 100)
    channel.artifacts(files, tmp_path)
    (tmp_path / "4.npy").write_bytes(b"later" * 100)
    channel.artifacts(files, tmp_path)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    named = [one["path"] for one in told if one["event"] == "written"]
    assert named == ([*(path.name for _, path in files), "4.npy"] if shared else [])
    said = [one for one in told if one["event"] == "artifact"]
    assert [one["path"] for one in said] == [path.name for _, path in files] * 2
    assert said[4]["sha256"] != said[10]["sha256"]
    for one in said[6:]:
        content = (tmp_path / one["path"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["bytes"] == len(content)
    assert sorted(reads.names[:6]) == [path.name for _, path in files]
    assert reads.names[6:] == ["4.npy"]
