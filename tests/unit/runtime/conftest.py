"""The emulator's packages, importable, and an emulated device of each test's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator.paths import image_context

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = str(image_context("emulator") / "packages")
if PACKAGES not in sys.path:
    sys.path.insert(0, PACKAGES)


@pytest.fixture(autouse=True)
def emulated_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hailo-8L with HailoRT 4.23.0 and a device node of the test's own; logs in its folder."""
    node = tmp_path / "hailo0"
    node.touch()
    for name in ("CHIP", "HAILORT", "FAULT"):
        monkeypatch.delenv(f"HEFSMITH_EMULATED_{name}", raising=False)
    monkeypatch.setenv("HEFSMITH_EMULATED_NODE", str(node))
    monkeypatch.setenv("HAILORT_LOGGER_PATH", str(tmp_path))
    return node


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Run one command line as a device of some chip, version and fault."""

    from hailo_emulator.runtime.cli.main import main

    def run(
        *argv: str, version: str = "4.23.0", chip: str | None = None, fault: str = ""
    ) -> tuple[int, str, str]:
        line = "hailo8l" if version.startswith("4") else "hailo10h"
        monkeypatch.setenv("HEFSMITH_EMULATED_CHIP", chip or line)
        monkeypatch.setenv("HEFSMITH_EMULATED_HAILORT", version)
        monkeypatch.setenv("HEFSMITH_EMULATED_FAULT", fault)
        try:
            code = main(list(argv))
        except SystemExit as leave:
            code = int(leave.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
