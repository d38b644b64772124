"""Calibration faults cost accuracy, and what they cost is seen on the shapes model.

The network is quantised to INT8 with ONNX Runtime, calibrated by arrays that this package
made: rightly, and with the faults that users make.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hefsmith_worker.calibration import (
    CalibrationRequest,
    InputSpec,
    build_calibration,
    load_samples,
    read_sources,
)
from hefsmith_worker.pictures import Preprocess, normalise
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

pytestmark = pytest.mark.bench

COUNT = 64


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"shapes_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds float arrays (N, C, H, W) one by one."""

    def __init__(self, batch: np.ndarray) -> None:
        self._rows = iter(batch)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self._rows, None)
        return None if row is None else {"image": row[None]}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, Any]:
    folder = repository / "tests" / "models" / "shapes"
    work = tmp_path_factory.mktemp("shapes")
    module(folder / "draw.py").prepare(work / "set", calibration=COUNT, validation=300)
    network = module(folder / "model.py").build()
    network.load_state_dict(torch.load(folder / "shapes.pt", weights_only=True))
    network.eval()
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(
            network, (torch.zeros(1, 3, 64, 64),), str(work / "float.onnx"), opset_version=13,
            dynamo=False, input_names=["image"], output_names=["logits"],
        )  # fmt: skip
    quant_pre_process(str(work / "float.onnx"), str(work / "ready.onnx"), skip_symbolic_shape=True)
    preprocess = Preprocess.from_dict({"preset": "imagenet", "size": 64, "resize": "letterbox"})
    labels = (folder / "labels.txt").read_text().split("\n")[:-1]
    samples = load_samples(
        [InputSpec("image", preprocess)], read_sources(str(work / "set" / "validation")), None, 0,
        labels, "classification",
    )  # fmt: skip
    pixels = samples.arrays["image"]
    batch = normalise(pixels, preprocess).transpose(0, 3, 1, 2)
    bgr = normalise(pixels[..., ::-1], preprocess).transpose(0, 3, 1, 2)
    return {
        "work": work, "preprocess": preprocess, "batch": np.ascontiguousarray(batch),
        "bgr": bgr, "truth": np.array(samples.labels), "float": str(work / "ready.onnx"),
    }  # fmt: skip


def accuracy(model: str, shapes: dict[str, Any]) -> float:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    votes = [session.run(None, {"image": row[None]})[0].argmax() for row in shapes["batch"]]
    return float(np.mean(np.array(votes) == shapes["truth"]))


def quantised(shapes: dict[str, Any], name: str, calibration: np.ndarray) -> float:
    """Accuracy after INT8 quantisation with these float arrays (N, H, W, C)."""
    target = str(shapes["work"] / f"{name}.onnx")
    batch = np.ascontiguousarray(calibration.transpose(0, 3, 1, 2)).astype(np.float32)
    quantize_static(
        shapes["float"], target, Reader(batch), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return accuracy(target, shapes)


def test_good_sets_keep_the_accuracy_and_faulty_ones_lose_it(
    shapes: dict[str, Any], tmp_path: Path
) -> None:
    preprocess: Preprocess = shapes["preprocess"]
    source = read_sources(str(shapes["work"] / "set" / "calibration"))

    def rows(chosen: Preprocess) -> np.ndarray:
        request = CalibrationRequest((InputSpec("image", chosen),), source, count=COUNT, level=0)
        made = build_calibration(request, tmp_path / "out")
        assert not made.errors
        array: np.ndarray = np.load(tmp_path / "out" / made.inputs[0].file)
        return array

    raw = rows(preprocess)
    good = normalise(raw, preprocess)
    reached = {
        "float": accuracy(shapes["float"], shapes),
        "good": quantised(shapes, "good", good),
        "black": quantised(shapes, "black", normalise(np.zeros_like(raw), preprocess)),
        "raw 0..255": quantised(shapes, "raw", raw.astype(np.float32)),
        "divided twice": quantised(shapes, "twice", good / 255.0),
    }

    # Channels that are swapped in calibration alone cost nothing here: the ranges stay alike.
    # Swapped in the recipe, they are swapped wherever the network is run.
    bgr = rows(replace(preprocess, color="bgr"))
    assert quantised(shapes, "calibrated-on-bgr", normalise(bgr, preprocess)) >= 0.97
    swapped = {**shapes, "batch": np.ascontiguousarray(shapes["bgr"])}
    reached["bgr"] = accuracy(str(shapes["work"] / "good.onnx"), swapped)

    print("\n" + ", ".join(f"{name} {value:.3f}" for name, value in reached.items()))
    assert reached["float"] >= 0.97
    assert reached["good"] >= reached["float"] - 0.02
    for fault in ("black", "raw 0..255", "divided twice", "bgr"):
        assert reached[fault] <= reached["good"] - 0.2
