"""``hef toolchain`` where no engine is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.toolchain import lock, registry
from tests.unit.toolchain.test_choose import NEW


def test_without_toolchains_the_list_is_empty_and_says_what_builds_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["toolchain", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"toolchains": []}
    assert run(["toolchain", "list"]) == 0
    assert "emulator" in capsys.readouterr().err


def test_use_writes_the_lock_and_any_takes_it_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.save(NEW)
    assert run(["toolchain", "use", "suite-3.33.0", "--project", str(tmp_path)]) == 0
    assert lock.read_lock(tmp_path)[3].image == NEW.image
    assert run(["toolchain", "use", "any", "--project", str(tmp_path), "--json"]) == 0
    assert lock.read_lock(tmp_path) == {}
    capsys.readouterr()


def test_an_unknown_toolchain_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["toolchain", "use", "nothing", "--project", str(tmp_path)]) == 2
    assert "hef toolchain import" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["x.zip", "--wheels", "dir"]])
def test_import_wants_one_source(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["toolchain", "import", *words]) == 2
    assert "--wheels" in capsys.readouterr().err


def test_the_emulator_is_used_by_name_and_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["toolchain", "use", "emulator", "--project", str(tmp_path)]) == 0
    assert "builds use the emulator" in capsys.readouterr().out
    assert "toolchain: emulator" in (tmp_path / "hef.yaml").read_text(encoding="utf-8")
    assert run(["toolchain", "use", "any", "--project", str(tmp_path)]) == 0
    assert "toolchain: auto" in (tmp_path / "hef.yaml").read_text(encoding="utf-8")
