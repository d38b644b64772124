"""The bundled classifier through the emulator: accuracy kept, and calibration decides it."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

NORMALIZE = "normalization1 = normalization([0.0],[255.0])\n"
CALIBRATION = "model_optimization_config(calibration, batch_size=8, calibset_size=256)\n"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bundled_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def digits(repository: Path, tmp_path_factory: pytest.TempPathFactory):
    """(ONNX file, calibration images, validation images, labels): uint8 (N, 32, 32, 1)."""
    import torch
    from PIL import Image

    folder = repository / "models" / "digits"
    scans = _module(folder / "data.py").load()
    labels = np.array([scan.label for scan in scans])
    held_out = np.array([scan.held_out for scan in scans])
    small = [Image.frombytes("L", (8, 8), scan.points) for scan in scans]
    pictures = np.stack([np.asarray(s.resize((32, 32), Image.Resampling.BILINEAR)) for s in small])[
        ..., None
    ]
    network = _module(folder / "model.py").build()
    network.load_state_dict(torch.load(folder / "digits.pt", weights_only=True))
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), torch.zeros(1, 1, 32, 32), str(path), opset_version=13, dynamo=False,
            input_names=["image"], output_names=["logits"],
        )  # fmt: skip
    shuffled = np.random.default_rng(1).permutation(np.flatnonzero(~held_out))
    return path, pictures[shuffled], pictures[held_out], labels[held_out]


def _run(path, script, calibration, images):
    """Top-1 votes of the float network and of the quantised one."""
    from hailo_sdk_client import ClientRunner, InferenceContext

    runner = ClientRunner(hw_arch="hailo8l")
    runner.translate_onnx_model(path, "digits")
    runner.load_model_script(script)
    runner.optimize(calibration)
    votes = []
    for context in (InferenceContext.SDK_FP_OPTIMIZED, InferenceContext.SDK_QUANTIZED):
        with runner.infer_context(context) as opened:
            votes.append(runner.infer(opened, images).argmax(1))
    return votes


@pytest.mark.slow
def test_top_1_stays_within_one_and_a_half_points(digits):
    path, calibration, images, labels = digits
    exact, quantized = _run(path, NORMALIZE + CALIBRATION, calibration, images)
    assert np.mean(exact == labels) > 0.95
    assert np.mean(exact == labels) - np.mean(quantized == labels) <= 0.015
    assert np.mean(exact == quantized) >= 0.97


@pytest.mark.slow
def test_black_images_wreck_the_accuracy(digits):
    path, calibration, images, labels = digits
    black = np.zeros_like(calibration[:64])
    _, quantized = _run(path, NORMALIZE, black, images)
    assert np.mean(quantized == labels) < 0.6


@pytest.mark.slow
def test_0_to_255_where_0_to_1_is_meant_wrecks_the_accuracy(digits):
    path, calibration, images, labels = digits
    exact, quantized = _run(
        path, "", calibration.astype(np.float32), images.astype(np.float32) / 255
    )
    assert np.mean(exact == labels) > 0.95
    assert np.mean(quantized == labels) < 0.6


@pytest.mark.slow
def test_scaled_twice_wrecks_the_accuracy(digits):
    path, calibration, images, labels = digits
    _, quantized = _run(path, NORMALIZE, calibration.astype(np.float32) / 255, images)
    assert np.mean(quantized == labels) < 0.6
