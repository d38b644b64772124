"""One model broken on purpose at each step: the verdict names the right one each time.

Every build is a real one: the worker, the emulated SDK and the embedded device, by the command
line that users have.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.prove.colours import COLOURS, MEAN, SIDE, STD, add_model, write_project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("colours")
    write_project(root)
    return root


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all builds of this module: equal stages run once."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("HEFSMITH_CACHE", str(project / "cache"))
    monkeypatch.setenv("HEFSMITH_DATA", str(project / "data"))


def hef(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "orchestrator", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def prove(name: str) -> tuple[int, Any]:
    """Build and validate a model; return the exit code of validate and its document."""
    built = hef("build", name, "--engine", "local")
    assert built.returncode == 0, built.stderr
    done = hef("validate", name, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_sound_model_passes(project: Path) -> None:
    add_model(project, "sound")
    code, verdict = prove("sound")
    assert code == 0, verdict["headline"]
    assert verdict["passed"]
    assert [step["step"] for step in verdict["steps"]] == [
        "pytorch",
        "onnx",
        "sdk_native",
        "sdk_fp_optimized",
        "sdk_quantized",
        "device",
    ]
    measures = {step["step"]: step["measures"] for step in verdict["steps"]}
    assert measures["pytorch"]["top1"] == 1.0
    # The device computes what SDK_QUANTIZED computed, bit for bit.
    assert measures["device"] == measures["sdk_quantized"]
    assert "(emulated)" in verdict["headline"]


def test_channels_swapped_at_export(project: Path) -> None:
    add_model(
        project,
        "swapped",
        source={
            "torch": "model.py:build",
            "weights": "colours.pt",
            "kwargs": {"swap_on_export": True},
        },
    )
    # The build itself stops, because torch and ONNX differ ...
    stopped = hef("build", "swapped", "--engine", "local")
    assert stopped.returncode == 1
    assert "torch and ONNX differ" in stopped.stderr
    # ... and when told to go on all the same, the verdict names the step.
    path = project / "models" / "swapped" / "model.yaml"
    path.write_text(path.read_text() + "export: {tolerance: 1000.0}\n")
    code, verdict = prove("swapped")
    assert code == 5
    assert verdict["fault"]["step"] == "onnx"
    assert verdict["steps"][0]["measures"]["top1"] == 1.0


def test_a_start_node_that_leaves_out_a_layer(project: Path) -> None:
    """The network turns BGR into RGB first; the parser is told to begin after that."""
    changes: dict[str, Any] = {
        "source": {
            "torch": "model.py:build",
            "weights": "colours.pt",
            "kwargs": {"takes_bgr": True},
        },
        "preprocessing": {
            "size": [SIDE, SIDE],
            "color": "bgr",
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
        },
    }
    add_model(project, "whole", **changes)
    code, verdict = prove("whole")
    assert code == 0, verdict["headline"]
    add_model(project, "headless", **changes, parser={"start_nodes": ["/smooth/Conv"]})
    code, verdict = prove("headless")
    assert code == 5
    assert verdict["fault"]["step"] == "sdk_native"
    measures = {step["step"]: step["measures"] for step in verdict["steps"]}
    assert measures["onnx"]["top1"] == 1.0
    assert measures["sdk_native"]["top1"] < 0.5
    assert "start" in verdict["fault"]["causes"][0]["text"]


def test_a_script_that_swaps_colours(project: Path) -> None:
    line = "swap = input_conversion(input_layer1, bgr_to_rgb)"
    add_model(project, "script", optimization={"level": 0, "script": [line]})
    code, verdict = prove("script")
    assert code == 5
    assert verdict["fault"]["step"] == "sdk_fp_optimized"


def test_calibration_with_noise(project: Path) -> None:
    add_model(project, "noise", calibration={"source": "calib/noise", "count": 40, "minimum": 8})
    code, verdict = prove("noise")
    assert code == 5
    assert verdict["fault"]["step"] == "sdk_quantized"
    texts = [cause["text"] for cause in verdict["fault"]["causes"] if cause["evidence"]]
    assert any("calibration images" in text for text in texts)


def test_calibration_with_arrays_of_another_layout(project: Path) -> None:
    """NCHW data forced into an NHWC shape: every shape check passes, the colours are scrambled."""
    import numpy as np
    from PIL import Image

    files = sorted((project / "calib" / "colours" / "calibration").rglob("*.png"))
    pictures = np.stack([np.asarray(Image.open(file)) for file in files])
    nchw = pictures.transpose(0, 3, 1, 2)
    np.save(project / "calib" / "scrambled.npy", nchw.reshape(-1, SIDE, SIDE, 3))
    add_model(
        project,
        "layout",
        calibration={"source": "calib/scrambled.npy", "count": 60, "minimum": 8},
        validation={
            "source": "calib/colours/validation",
            "samples": 50,
            "thresholds": {"cosine": 0.9999},
        },
    )
    code, verdict = prove("layout")
    assert code == 5
    assert verdict["fault"]["step"] == "sdk_quantized"


def test_labels_in_another_order(project: Path) -> None:
    add_model(project, "stale", labels=[*list(COLOURS)[1:], "red"])
    code, verdict = prove("stale")
    assert code == 5
    assert verdict["fault"]["step"] == "labels"
    assert verdict["fault"]["causes"][0]["known"] == "A08"


def test_a_hef_for_another_chip(project: Path) -> None:
    from dataclasses import replace

    from orchestrator.device.base import EMBEDDED
    from orchestrator.device.connection_pool import default_pool
    from orchestrator.pipeline.finished.builds import find_build
    from orchestrator.pipeline.validation import validate_build

    add_model(project, "chip", arch=["hailo8"])
    assert hef("build", "chip", "--engine", "local").returncode == 0
    build = find_build(project / "artifacts", "chip")
    with default_pool().connect(replace(EMBEDDED, emulated_chip="hailo8l")) as session:
        verdict = validate_build(session, build)
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert verdict.fault.causes[0].known == "R01"
    assert "Device arch: HAILO8L, HEF arch: HAILO8" in verdict.fault.reason
