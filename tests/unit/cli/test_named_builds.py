"""Builds by the names of their models: what is there, where it is looked for, and what to type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.cli.app import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def project(folder: Path) -> Path:
    (folder / "models" / "cats").mkdir(parents=True)
    (folder / "models" / "cats" / "model.yaml").write_text("schema: 1\n")
    (folder / "hef.yaml").write_text("schema: 1\n")
    return folder


def test_models_instead_of_files_are_told_with_their_hefs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path))
    assert run(["diff", "cats", "dogs"]) == 2
    assert "hint:  Build it first: hef build cats" in capsys.readouterr().err
    for arch in ("hailo8", "hailo8l"):
        (tmp_path / "artifacts" / "cats" / arch).mkdir(parents=True)
        (tmp_path / "artifacts" / "cats" / arch / f"model.{arch}.hef").touch()
    assert run(["diff", "cats", "dogs"]) == 2
    told = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "cats is a model here, and no file" in told
    assert "artifacts/cats/hailo8/model.hailo8.hef" in told
    assert "artifacts/cats/hailo8l/model.hailo8l.hef" in told
    assert "--compare" not in told  # each was built once
    (tmp_path / "artifacts" / "cats" / ".history" / "hailo8" / "1").mkdir(parents=True)
    assert run(["diff", "cats", "dogs"]) == 2
    assert "hef report --compare cats~1 cats" in capsys.readouterr().err
    assert run(["diff", "dogs", "cats"]) == 2
    assert "no such file or folder: dogs" in capsys.readouterr().err


def test_builds_are_looked_for_where_the_environment_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path))
    monkeypatch.setenv("HEFSMITH_ARTIFACTS", "elsewhere")
    built = tmp_path / "elsewhere" / "cats" / "hailo8"
    built.mkdir(parents=True)
    for name in ("model.hailo8.hef", "build.json"):
        (built / name).write_text("{}")
    assert run([]) == 0
    assert "hef report cats" in capsys.readouterr().out
    assert run(["diff", "cats", "dogs"]) == 2
    assert "elsewhere/cats/hailo8/model.hailo8.hef" in capsys.readouterr().err
    assert run(["report"]) != 0
    assert "elsewhere" in re.sub(r"\s+", "", capsys.readouterr().err)
