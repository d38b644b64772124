"""Puts the emulator's packages on the path, as its image does, and keeps its line fixed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
for _folder in ("docker/worker", "docker/emulator/packages"):
    if str(_ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(_ROOT / _folder))


@pytest.fixture(autouse=True)
def _fixed_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts as compiler 3.33.0 without a GPU, whatever the shell says."""
    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", "3.33.0")
    monkeypatch.delenv("HEFSMITH_EMULATED_GPU", raising=False)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(11)


@pytest.fixture
def models():
    """The ONNX models of these tests (see ``onnx_models.py``)."""
    import importlib.util

    name = "emulator_onnx_models"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, Path(__file__).with_name("onnx_models.py")
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
