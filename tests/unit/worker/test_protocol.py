"""Plans are checked before anything runs, and cannot lead out of the inputs folder."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import hefsmith_worker
import pytest
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
    with pytest.raises(PlanError, match="leads out"):
        plan.input(name)


def test_the_worker_is_python_38() -> None:
    package = Path(hefsmith_worker.__file__).parent
    for path in package.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
