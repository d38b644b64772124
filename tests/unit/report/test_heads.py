"""Detectors whose HEF gives raw tensors are judged by their boxes and key points too."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker import decoding
from hefsmith_worker.contract.options import NmsOptions

from orchestrator.report import (
    Golden,
    Head,
    Verdict,
    VerdictThresholds,
    decide,
    load_golden,
    read_head,
)
from orchestrator.report.heads import decode_steps
from tests.unit.report.folders import write_golden

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE, CLASSES, BINS, POINTS = 64, 3, 16, 5
STRIDES = (8, 16, 32)
NMS = NmsOptions(score=0.3)


def report(*extra: str, **more: Any) -> dict[str, Any]:
    roles = ("box", "class", *extra)
    channels = {"box": 4 * BINS, "class": CLASSES, "keypoints": 3 * POINTS, "angle": 1}
    return {
        "task": "detection",
        "family": "yolov8",
        "end_nodes": [f"/{role}/{stride}" for stride in STRIDES for role in roles],
        "end_roles": [role for _ in STRIDES for role in roles],
        "end_shapes": [
            [1, channels[role], SIDE // stride, SIDE // stride]
            for stride in STRIDES
            for role in roles
        ],
        "strides": list(STRIDES),
        "regression_length": BINS,
        "anchors": None,
        **more,
    }


def tensors(head: dict[str, Any], seed: int = 3, samples: int = 20) -> list[NDArray[np.float32]]:
    """Heads with sharp distributions and a few confident cells, NHWC."""
    random = np.random.default_rng(seed)
    found = []
    for role, (_, channels, height, width) in zip(
        head["end_roles"], head["end_shapes"], strict=True
    ):
        values = random.normal(0, 1, (samples, height, width, channels))
        if role == "box":
            values = values * 4
        elif role == "class":
            values = values * 2 - 3
        found.append(values.astype(np.float32))
    return found


def fixture(
    folder: Path,
    steps: dict[str, list[NDArray[np.float32]]],
    head: dict[str, Any],
    task: str = "detection",
    boxes: list[list[list[float]]] | None = None,
) -> tuple[Golden, Head]:
    write_golden(folder, steps, task=task, boxes=boxes)
    path = folder / "golden.json"
    document = json.loads(path.read_text())
    document["inputs"][0]["preprocess"] = {"size": [SIDE, SIDE]}
    path.write_text(json.dumps(document))
    golden = load_golden(folder)
    found = read_head(head, golden, end_nodes=head["end_nodes"], nms=NMS)
    assert found is not None
    return golden, found


def judge(golden: Golden, head: Head | None) -> Verdict:
    return decide(golden, VerdictThresholds.for_task(golden.task), head=head)


def noisy(good: list[NDArray[np.float32]], size: float = 0.02) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(9)
    return [t + random.normal(0, size, t.shape).astype(np.float32) for t in good]


def test_boxes_are_those_of_the_decoder_that_compares_hefs_with_nms(tmp_path: Path) -> None:
    head = report()
    good = tensors(head)
    golden, found = fixture(tmp_path, {"onnx": good}, head)
    boxes = decode_steps(golden, found)["onnx"].boxes
    wanted = decoding.decode(good, head, (SIDE, SIDE), 0.3, 0.7, 100)
    assert sum(map(len, wanted)) > 40
    for index, rows in enumerate(wanted):
        np.testing.assert_array_equal(boxes.sample(index), rows)


def test_a_little_noise_passes_and_is_measured_in_boxes(tmp_path: Path) -> None:
    head = report()
    good = tensors(head)
    golden, found = fixture(tmp_path, {"onnx": good, "device": noisy(good)}, head)
    verdict = judge(golden, found)
    assert verdict.passed, verdict.headline
    assert verdict.steps[-1].measures["f1"] > 0.95
    assert {check.measure for check in verdict.checks} >= {"f1", "mean_iou", "cosine"}
    assert "boxes agree" in verdict.worst[0].note


def test_broken_boxes_fail_even_when_the_tensors_look_alike(tmp_path: Path) -> None:
    """Left and right change places: a cosine of the numbers alone would not be asked about."""
    head = report()
    good = tensors(head)
    swapped = [
        t.reshape(*t.shape[:3], 4, BINS)[..., [2, 1, 0, 3], :].reshape(t.shape)
        if role == "box"
        else t
        for role, t in zip(head["end_roles"], good, strict=True)
    ]
    golden, found = fixture(
        tmp_path, {"onnx": good, "sdk_quantized": noisy(good), "device": swapped}, head
    )
    lenient = VerdictThresholds.for_task("detection", {"cosine": -1.0})
    assert decide(golden, lenient).passed
    verdict = decide(golden, lenient, head=found)
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert verdict.fault.measure == "f1"


def test_end_nodes_of_the_recipe_in_another_order_are_followed(tmp_path: Path) -> None:
    head = report()
    good = tensors(head)
    golden, _ = fixture(tmp_path, {"onnx": good}, head)
    straight = decode_steps(golden, fixture(tmp_path, {"onnx": good}, head)[1])["onnx"].boxes
    turned, _ = fixture(tmp_path / "turned", {"onnx": good[::-1]}, head)
    found = read_head(head, turned, end_nodes=head["end_nodes"][::-1], nms=NMS)
    assert found is not None
    np.testing.assert_array_equal(
        np.sort(decode_steps(turned, found)["onnx"].boxes.boxes, axis=0),
        np.sort(straight.boxes, axis=0),
    )


def test_key_points_are_compared_at_the_cells_of_the_float_models_boxes(tmp_path: Path) -> None:
    head = report("keypoints", task="pose")
    good = tensors(head)
    moved = [
        t + np.float32(0.5) if role == "keypoints" else t
        for role, t in zip(head["end_roles"], good, strict=True)
    ]
    golden, found = fixture(tmp_path, {"onnx": good, "device": moved}, head, "pose")
    verdict = judge(golden, found)
    measures = verdict.steps[-1].measures
    assert measures["f1"] == 1.0
    # Half a unit is one cell (2 x 0.5 x stride) in x and in y: more than nothing, less than all.
    assert 0.05 < measures["keypoint_distance"] < 3.0
    assert verdict.steps[0].measures["keypoint_distance"] == 0.0


def test_key_points_have_the_pixels_that_the_network_means(tmp_path: Path) -> None:
    head = report("keypoints", task="pose")
    blank = [np.full_like(t, -9.0) for t in tensors(head, samples=1)]
    by_name = dict(zip(head["end_nodes"], blank, strict=True))
    by_name["/class/16"][0, 1, 2, 0] = 5.0
    by_name["/keypoints/16"][0, 1, 2, :] = np.tile([0.25, -0.5, 0.0], POINTS)
    golden, found = fixture(tmp_path, {"onnx": blank}, head, "pose")
    decoded = decode_steps(golden, found)["onnx"]
    assert len(decoded.boxes.boxes) == 1
    # (0.25 x 2 + column 2) x 16 and (-0.5 x 2 + row 1) x 16
    np.testing.assert_allclose(decoded.points[0][0], np.tile([40.0, 0.0], (POINTS, 1)))


def turned_everywhere(samples: int) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    """A head that finds one long box in each sample, turned by 45 degrees, at column 2, row 3."""
    head = report("angle", task="oriented boxes")
    found = [np.full_like(t, -9.0) for t in tensors(head, samples=samples)]
    by_name = dict(zip(head["end_nodes"], found, strict=True))
    for sample in range(samples):
        by_name["/class/8"][sample, 3, 2, sample % CLASSES] = 5.0
        sides = by_name["/box/8"][sample, 3, 2].reshape(4, BINS)
        sides[(0, 1, 2, 3), (2, 0, 2, 0)] = 9.0
        # The sigmoid of no number is a half: a quarter of pi, 45 degrees.
        by_name["/angle/8"][sample, 3, 2] = 0.0
    return head, found


def test_oriented_boxes_are_judged_as_they_lie(tmp_path: Path) -> None:
    head, good = turned_everywhere(6)
    # 32 pixels long and flat, about (20, 28): 22.6 pixels across and down when turned.
    reach = 16 / np.sqrt(2)
    truth = [
        [[(28 - reach) / SIDE, (20 - reach) / SIDE, (28 + reach) / SIDE, (20 + reach) / SIDE, n]]
        for n in (0, 1, 2, 0, 1, 2)
    ]
    # Not turned, it is as flat as a line.
    straight = [
        np.full_like(t, -np.log(3.0)) if role == "angle" else t
        for role, t in zip(head["end_roles"], good, strict=True)
    ]
    steps = {"onnx": good, "device": straight}
    golden, found = fixture(tmp_path, steps, head, "obb", boxes=truth)
    first, last = judge(golden, found).steps
    assert first.measures["map50"] == 1.0
    assert last.measures["f1"] == 0.0
    assert last.measures["map50"] == 0.0
    verdict = judge(*fixture(tmp_path / "good", {"onnx": good}, head, "obb", boxes=truth))
    assert verdict.passed
    assert verdict.headline.startswith("passed: the model's boxes are right at the step ONNX")
    assert "whether its angles are was not tested" in verdict.headline


def test_oriented_boxes_are_drawn_as_they_lie(tmp_path: Path) -> None:
    from orchestrator.report.views import overlay_of

    head, good = turned_everywhere(2)
    golden, found = fixture(tmp_path, {"onnx": good}, head, "obb")
    drawn = overlay_of(
        golden, found, "onnx", 0, style="ref", labels=("<a>",), size=(2 * SIDE, SIDE)
    )
    # 32 pixels long, flat, about (20, 28), at 45 degrees; the picture is twice as high.
    reach = 16 / np.sqrt(2)
    (points,) = re.findall(r'<polygon class="ref" points="([^"]+)">', drawn)
    corners = np.array([[float(v) for v in pair.split(",")] for pair in points.split()])
    assert corners.shape == (4, 2)
    np.testing.assert_allclose(corners.mean(0), [20.0, 56.0], atol=0.1)
    np.testing.assert_allclose(np.abs(corners - [20.0, 56.0]).max(0), [reach, 2 * reach], atol=0.2)
    assert "<rect" not in drawn
    assert "&lt;a&gt;" in drawn


def test_the_first_tensor_of_a_head_is_no_heat_map(tmp_path: Path) -> None:
    head = report("keypoints", task="pose")
    good = tensors(head)
    golden, found = fixture(tmp_path, {"onnx": good, "device": good}, head, "pose")
    with_head = judge(golden, found).steps[-1].measures
    assert {"f1", "mean_iou", "keypoint_distance", "cosine"} <= set(with_head)


@pytest.mark.parametrize(
    "change",
    [
        {"family": "ssd"},
        {"strides": []},
        {"regression_length": 8},
        {"end_roles": ["logits"] * 6},
        {"end_roles": ["box"] * 6},
    ],
)
def test_heads_that_nobody_can_decode_are_judged_by_tensors(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    golden, _ = fixture(tmp_path, {"onnx": tensors(report())}, report())
    head = report(**change)
    assert read_head(head, golden, end_nodes=head["end_nodes"], nms=NMS) is None
    assert read_head(report(), golden, end_nodes=["/box/8"], nms=NMS) is None


def test_a_device_with_other_shapes_is_told_by_tensors(tmp_path: Path) -> None:
    head = report()
    good = tensors(head)
    cut = [t[:, :1] for t in good]
    golden, found = fixture(tmp_path, {"onnx": good, "device": cut}, head)
    verdict = judge(golden, found)
    assert not verdict.passed
    assert verdict.fault is not None
    assert "shape" in verdict.fault.reason
