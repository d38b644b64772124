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
