"""Golden folder, stand-in device, verdict: the whole way of ``hef validate`` but the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.pipeline.finished.builds import Build
from orchestrator.pipeline.finished.reporting import write_report
from orchestrator.pipeline.validation import validate_build
from tests.unit.report.folders import write_golden
from tests.unit.runtime import hefs
from tests.unit.runtime.runner import QuickRunner

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 24


def make_build(folder: Path, content: bytes, **more: Any) -> Build:
    hef = "model.hailo8l.emulated.hef"
    (folder / hef).write_bytes(content)
    summary = {"model": "net", "arch": "hailo8l", "emulated": True, "hef": hef, **more}
    return Build(folder, {"key": "0", "files": [], "labels": [], "thresholds": {}, **summary})


def network(content: bytes) -> Any:
    from hailo_emulator.execute import Executor
    from hailo_emulator.payload import read_payload

    return Executor(read_payload(content))


def pictures(side: int, channels: int) -> np.ndarray:
    random = np.random.default_rng(2)
    cells = random.integers(0, 256, (COUNT, 2, 2, channels))
    return cells.repeat(side // 2, 1).repeat(side // 2, 2).astype(np.uint8)


def test_a_detector_is_proven_with_its_boxes(tmp_path: Path) -> None:
    content = hefs.detector()
    chip, frames = network(content), pictures(16, 1)
    rows = []
    for frame in frames:
        result = chip.run({"net/input_layer1": frame.astype(np.float32)})
        by_class = result["net/yolov8_nms_postprocess"]
        boxes = [[*map(float, box), number] for number, kept in enumerate(by_class) for box in kept]
        rows.append(np.array(boxes, np.float32).reshape(-1, 6))
    steps: dict[str, Any] = {step: [rows] for step in ("onnx", "sdk_native", "sdk_quantized")}
    golden = write_golden(tmp_path / "golden", steps, task="detection")
    np.save(golden / "inputs" / "0.npy", frames)
    build = make_build(tmp_path, content, labels=["lamp", "cat", "dog"])
    verdict = validate_build(QuickRunner(), build)
    assert verdict.passed, verdict.headline
    assert verdict.steps[-1].step == "device"
    assert verdict.steps[-1].measures["f1"] == 1.0
    assert sum(len(boxes) for boxes in rows) > COUNT
    write_report(build)
    assert 'class="last"' in build.report.read_text(encoding="utf-8")


def test_a_hef_whose_boxes_are_broken_fails_on_the_device(tmp_path: Path) -> None:
    content = hefs.detector()
    chip, frames = network(content), pictures(16, 1)
    rows = []
    for frame in frames:
        by_class = chip.run({"net/input_layer1": frame.astype(np.float32)})[
            "net/yolov8_nms_postprocess"
        ]
        boxes = np.array(
            [[*map(float, box), number] for number, kept in enumerate(by_class) for box in kept],
            np.float32,
        ).reshape(-1, 6)
        # What the float model saw was half as large: the classes are right, the boxes are not.
        middle, half = (boxes[:, :2] + boxes[:, 2:4]) / 2, (boxes[:, 2:4] - boxes[:, :2]) / 4
        boxes[:, :2], boxes[:, 2:4] = middle - half, middle + half
        rows.append(boxes)
    steps: dict[str, Any] = {step: [rows] for step in ("onnx", "sdk_native", "sdk_quantized")}
    golden = write_golden(tmp_path / "golden", steps, task="detection")
    np.save(golden / "inputs" / "0.npy", frames)
    verdict = validate_build(QuickRunner(), make_build(tmp_path, content))
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert any("of its boxes" in (cause.evidence or "") for cause in verdict.fault.causes)


def test_a_classifier_is_proven_by_both_interfaces_on_each_chip(tmp_path: Path) -> None:
    for arch in ("hailo8l", "hailo8", "hailo10h"):
        folder = tmp_path / arch
        folder.mkdir()
        content = hefs.classifier(arch=arch)
        chip, frames = network(content), pictures(8, 3)
        logits = np.stack(
            [
                chip.run({"net/input_layer1": frame.astype(np.float32)})["net/fc1"]
                for frame in frames
            ]
        )
        golden = write_golden(folder / "golden", {"onnx": [logits], "sdk_quantized": [logits]})
        np.save(golden / "inputs" / "0.npy", frames)
        runner = QuickRunner(HEFSMITH_EMULATED_CHIP=arch)
        verdict = validate_build(runner, make_build(folder, content))
        # It was never trained, and says one class for noise: no step is to blame for that.
        assert verdict.fault is None, verdict.headline
        assert all(check.passed for check in verdict.checks)
        assert verdict.steps[-1].outputs[0].exact


@pytest.mark.parametrize(
    ("fault", "known"), [("page_size", "R07"), ("wrong_chip", "R01"), ("timeout", "R17")]
)
def test_the_messages_of_a_failed_run_are_explained(tmp_path: Path, fault: str, known: str) -> None:
    content = hefs.classifier()
    golden = write_golden(tmp_path / "golden", {"onnx": [np.zeros((COUNT, 5), np.float32)]})
    np.save(golden / "inputs" / "0.npy", pictures(8, 3))
    runner = QuickRunner(HEFSMITH_EMULATED_FAULT=fault)
    verdict = validate_build(runner, make_build(tmp_path, content))
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert known in [cause.known for cause in verdict.fault.causes[:2]]
    assert verdict.fault.causes[0].evidence
    assert all(cause.advice for cause in verdict.fault.causes)
