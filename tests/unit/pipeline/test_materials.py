"""What the worker says of an input is told with the path that the user gave."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from orchestrator.errors import StageFailed
from orchestrator.pipeline import runner
from orchestrator.pipeline.materials import BuildInput, as_on_this_machine

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sequence[BuildInput]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calib" / "photos").mkdir(parents=True)
    (tmp_path / "calib" / "photos" / "a.jpg").write_bytes(b"")
    (tmp_path / "calib" / "mine.npy").write_bytes(b"")
    (tmp_path / "model.onnx").write_bytes(b"")
    return (
        BuildInput("calibration.npy", tmp_path / "calib" / "mine.npy"),
        BuildInput("calibration", tmp_path / "calib" / "photos"),
        BuildInput("model.onnx", tmp_path / "model.onnx"),
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("calibration.npy: 3 arrays", "calib/mine.npy: 3 arrays"),
        ("in calibration.npy, row 3", "in calib/mine.npy, row 3"),
        ("calibration/a.jpg is not a picture", "calib/photos/a.jpg is not a picture"),
        # What the build makes itself, words, and other files.
        ("calibration/index.json is gone", "calibration/index.json is gone"),
        ("no calibration pictures", "no calibration pictures"),
        ("my-calibration.npy and calibration.npy.gz", "my-calibration.npy and calibration.npy.gz"),
        ("/tmp/calibration.npy", "/tmp/calibration.npy"),
        ("model.onnx has no output", "model.onnx has no output"),
    ],
)
def test_names_of_inputs_are_the_users(said: str, told: str, inputs: Sequence[BuildInput]) -> None:
    assert as_on_this_machine(said, inputs).replace("\\", "/") == told


def test_a_file_elsewhere_has_its_whole_path(
    inputs: Sequence[BuildInput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "calib" / "photos")
    told = as_on_this_machine("calibration.npy is empty", inputs)
    assert told == f"{tmp_path / 'calib' / 'mine.npy'} is empty"


def test_a_stage_that_fails_names_the_users_file(inputs: Sequence[BuildInput]) -> None:
    told = SimpleNamespace(
        kind="calibration.shape",
        known="calibration.shape",
        message="calibration.npy: an array of (3, 4)",
        fix="Make calibration.npy anew.",
        traceback=None,
    )
    failure = SimpleNamespace(stage="calibrate", told=told)
    reader = SimpleNamespace(done=False, failure=failure, interrupted=False, stages={}, tail=[])
    request = SimpleNamespace(model="net", materials=inputs)
    build = SimpleNamespace(plan=SimpleNamespace(request=request), failed_log="x.log")
    ending = SimpleNamespace(ok=False, kind="failed", detail="", hint="")
    with pytest.raises(StageFailed) as caught:
        runner._raise_unless_done(cast("Any", build), cast("Any", reader), cast("Any", ending))
    error = caught.value
    assert str(error).replace("\\", "/").startswith("net: stage calibrate: calib/mine.npy: an")
    assert "calibration.npy" not in f"{error} {error.hint}"
