"""A project with two models, an engine of trivial stages, and a folder for what ran."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import trivial


@dataclass(frozen=True)
class Project:
    """A project folder with a cache of its own."""

    root: Path

    @property
    def runs(self) -> list[str]:
        file = self.root / "runs"
        return file.read_text().splitlines() if file.exists() else []

    def environ(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.root / "home"),
            "HEFSMITH_CACHE": str(self.root / "cache"),
            "HEFSMITH_DATA": str(self.root / "data"),
            "HEFSMITH_ENGINE": "local",
            "TRIVIAL_RUNS": str(self.root / "runs"),
            **more,
        }

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(Path(trivial.__file__)), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.root,
            env=self.environ(**more),
        )  # fmt: skip

    def hef(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(Path(trivial.__file__)), *arguments],
            capture_output=True, text=True, cwd=self.root, check=False,
            env=self.environ(**more),
        )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    for name in ("one", "two"):
        trivial.make_model(root, name)
    found = Project(root)
    monkeypatch.chdir(root)
    for name, value in found.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "orchestrator.pipeline.targets.open_engine", lambda *_, **__: trivial.TrivialEngine()
    )
    return found
