"""One finding, one scale of severity, one word for the cure, wherever somebody finds something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hefsmith_worker.contract.findings import SEVERITIES, ContractError, Finding, worst
from hefsmith_worker.script.lint import check_text


def test_there_is_one_class_of_findings(repository: Path) -> None:
    found = set()
    for folder in ("orchestrator", "docker"):
        for path in (repository / folder).rglob("*.py"):
            if re.search(r"^\s*class \w*Finding\b", path.read_text(encoding="utf-8"), re.MULTILINE):
                found.add(path.relative_to(repository).as_posix())
    assert found == {"docker/worker/hefsmith_worker/contract/findings.py"}


def test_a_finding_comes_back_from_json_as_it_was() -> None:
    full = Finding("a.b", "warning", "m", "f", [1], {"x": 2}, ("p",), "export", 1, 2, "w")
    assert Finding.from_json(full.to_json()) == full
    bare = Finding("a.b", "info", "")
    assert bare.to_json() == {"code": "a.b", "severity": "info", "message": "", "fix": None}
    assert Finding.from_json(bare.to_json()) == bare
    assert Finding.from_json({**bare.to_json(), "asked": False}).to_json()["asked"] is False


def test_there_is_one_scale() -> None:
    with pytest.raises(ContractError, match="severity 'warn'"):
        Finding("a.b", "warn", "m")
    at_none = {"code": "a", "severity": "info", "message": "", "column": 0}
    with pytest.raises(ContractError, match="column is a number from 1 on"):
        Finding.from_json(at_none)
    with pytest.raises(ContractError, match="an object, not list"):
        Finding.from_json([])
    ranks = [Finding("a.b", severity, "m") for severity in reversed(SEVERITIES)]
    assert [worst(ranks[:count]) for count in range(5)] == ["ok", *reversed(SEVERITIES)]


def test_a_new_finding_of_a_script_needs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from hefsmith_worker.script import rules
    from hefsmith_worker.script.finding import at

    monkeypatch.setitem(
        rules.RULES,  # type: ignore[arg-type]
        "set_seed",
        lambda command: iter([at(command.span, "info", "seed", "a seed", "leave it out")]),
    )
    (found,) = check_text("set_seed(seed=1)\n", "m.alls")
    assert (found.code, found.line, found.fix) == ("seed", 1, "leave it out")
