"""What the stage tells the user about a source that cannot be used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationError, build_calibration
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.golden import as_stage_error, emit_to


def workspace(inputs: Path, told: list[str]) -> Any:
    channel = SimpleNamespace(finding=lambda code, severity, message, *rest: told.append(message))
    return SimpleNamespace(plan=SimpleNamespace(inputs=inputs), channel=channel)


def test_inputs_are_named_as_they_were_handed_over_not_by_our_folder(
    make_request: Any, tmp_path: Path
) -> None:
    inputs = tmp_path / "hefsmith-in-x1"
    inputs.mkdir()
    np.save(inputs / "calibration.npy", np.zeros((8, 3, 32, 32), np.uint8))
    told: list[str] = []
    place = workspace(inputs, told)

    with pytest.raises(CalibrationError) as caught:
        build_calibration(make_request(inputs / "calibration.npy"), tmp_path / "out")
    emit_to(place)(Finding("calib.x", "info", f"{inputs / 'calibration.npy'}: odd"))

    error = as_stage_error(place, caught.value)
    assert error.message.startswith("calibration.npy: array of shape (8, 3, 32, 32)")
    assert (error.code, error.fix) == ("calib.layout", "array = array.transpose(0, 2, 3, 1)")
    assert told == ["calibration.npy: odd"]
