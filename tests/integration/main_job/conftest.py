"""Helpers that run ``hef`` as a user does: a process in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Project:
    """A project folder with a cache of its own."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "HEFSMITH_CACHE": str(self.root / "cache"),
            "HEFSMITH_DATA": str(self.root / "data"),
        }

    def hef(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *arguments],
            capture_output=True,
            text=True,
            cwd=self.root,
            check=False,
            env={**self.environ, **environ},
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
            env=self.environ,
        )

    def build(self, arch: str = "hailo8l", model: str = "digits") -> dict[str, Any]:
        path = self.root / "artifacts" / model / arch / "build.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def digests(self, arch: str = "hailo8l", model: str = "digits") -> dict[str, str]:
        """What must be the same wherever a build was made."""
        return {
            file["path"]: file["sha256"]
            for file in self.build(arch, model)["files"]
            if file["role"] in ("onnx", "har", "hef", "script", "golden")
        }


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[str], Project]:
    def make(name: str) -> Project:
        root = tmp_path / name
        root.mkdir()
        return Project(root)

    return make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which ``hef up`` has run once on the local engine."""
    project = Project(tmp_path_factory.mktemp("built"))
    done = project.hef("up", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    (project.root / "first.json").write_text(done.stdout, encoding="utf-8")
    (project.root / "first.err").write_text(done.stderr, encoding="utf-8")
    return project
