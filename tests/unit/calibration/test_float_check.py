"""The float model on the calibration arrays: networks are built here, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hefsmith_worker.calibration import build_calibration
from hefsmith_worker.calibration.answers import read_answers, suppress
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


def save_model(
    path: Path, nodes: Sequence[Any], constants: dict[str, np.ndarray], size: int
) -> str:
    graph = helper.make_graph(
        list(nodes), "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return str(path)


def red_or_blue(path: Path) -> str:
    """Class 0 when red is above blue on average, else class 1; sharp about it."""
    weights = np.array([[30.0, -30.0], [0.0, 0.0], [-30.0, 30.0]])
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["out"]),
    ]
    return save_model(path, nodes, {"weights": weights}, 32)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Folders ``red`` and ``blue`` with pictures of these casts."""
    chance = np.random.RandomState(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for index in range(6):
            picture = chance.randint(0, 120, (32, 32, 3))
            picture[..., channel] += 100
            Image.fromarray(picture.astype(np.uint8)).save(
                tmp_path / "colours" / name / f"{index}.png"
            )
    return tmp_path / "colours"


def check(request: Any, tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    made = build_calibration(request, tmp_path / "out")
    return made.float_check, {finding.code: finding for finding in made.findings}


def test_the_summary_shows_what_the_float_model_sees_on_eight_arrays(
    colours: Path, make_request: Any, tmp_path: Path
) -> None:
    request = make_request(
        colours, count=12, model=red_or_blue(tmp_path / "m.onnx"), labels=["red", "blue"],
        task="classification",
    )  # fmt: skip

    seen, found = check(request, tmp_path)

    assert len(seen.names) == 8
    for name, answer in zip(seen.names, seen.answers, strict=True):
        assert answer.startswith(name.split("/")[0] + " 0.9") or answer.endswith("1.00")
    assert seen.right == 8
    assert "calib.channel-order" not in found


def test_swapped_channels_are_suspected_by_the_labels(
    colours: Path, make_request: Any, tmp_path: Path
) -> None:
    request = make_request(
        colours, count=12, model=red_or_blue(tmp_path / "m.onnx"), labels=["red", "blue"],
        task="classification", preprocess={"color": "bgr"},
    )  # fmt: skip

    seen, found = check(request, tmp_path)

    assert seen.right == 0
    assert found["calib.channel-order"].got == "rgb"
    assert "right on 8 of 8 with a known label against 0" in found["calib.channel-order"].message
    assert found["calib.float.wrong"].severity == "warning"


@pytest.mark.slow
def test_swapped_channels_are_suspected_by_confidence_alone(
    make_request: Any, draw: Any, tmp_path: Path
) -> None:
    """A network that is sure of sandy pictures only, as one trained on them is."""
    (tmp_path / "sand").mkdir()
    for index in range(8):
        cast = np.clip(draw(index, 32, 32) // 3 + np.array([140, 80, 10]), 0, 255)
        Image.fromarray(cast.astype(np.uint8)).save(tmp_path / "sand" / f"{index}.png")
    sure = np.array([[9.0, 0.0], [0.0, 0.0], [-9.0, 0.0]])
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("Relu", ["raw"], ["out"]),
    ]
    model = save_model(tmp_path / "m.onnx", nodes, {"weights": sure}, 32)

    _, wrong = check(
        make_request(tmp_path / "sand", model=model, preprocess={"color": "bgr"}), tmp_path
    )
    _, right = check(make_request(tmp_path / "sand", model=model), tmp_path)

    assert "calib.channel-order" in wrong
    assert "calib.channel-order" not in right


def yolo_like(path: Path) -> str:
    """(1, 5, 16): boxes at 16 places; the score is high where the picture is all but grey 114."""
    size = 32
    kernel = np.full((1, 3, 8, 8), 1 / 192)
    centres = np.stack(np.meshgrid(np.arange(4), np.arange(4))).reshape(2, 16) * 8 + 4
    boxes = np.concatenate([centres, np.full((2, 16), 8.0)])[None]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["level"], strides=[8, 8]),
        helper.make_node("Sub", ["level", "grey"], ["off"]),
        helper.make_node("Abs", ["off"], ["far"]),
        helper.make_node("Mul", ["far", "gain"], ["gained"]),
        helper.make_node("Clip", ["gained", "", "one"], ["scores"]),
        helper.make_node("Reshape", ["scores", "shape"], ["row"]),
        helper.make_node("Concat", ["boxes", "row"], ["out"], axis=1),
    ]
    constants = {
        "kernel": kernel, "grey": np.array(114 / 255), "gain": np.array(3.0),
        "one": np.array(1.0), "boxes": boxes,
    }  # fmt: skip
    graph_path = save_model(path, nodes, constants, size)
    model = onnx.load(graph_path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 16]), "shape"))
    onnx.save(model, graph_path)
    return graph_path


def test_boxes_of_a_detector_are_read(make_request: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    chance = np.random.RandomState(0)
    for index in range(6):
        picture = np.full((32, 32, 3), 114, np.uint8)
        picture[8:16, 16:24] = 255
        picture += chance.randint(0, 3, picture.shape).astype(np.uint8) * (picture < 200)
        picture[index * 5, :4] = 60
        Image.fromarray(picture).save(tmp_path / "set" / f"{index}.png")
    request = make_request(
        tmp_path / "set", model=yolo_like(tmp_path / "m.onnx"), labels=["thing"],
        task="detection", drop_duplicates=False, count=6,
    )  # fmt: skip

    seen, _ = check(request, tmp_path)

    assert seen.answers == ("thing 1.00",) * 6


@pytest.mark.parametrize(
    ("nodes", "code", "severity"),
    [
        (["Div", "zero", "zero"], "calib.float.nan", "error"),
        (["Mul", "zero", "one"], "calib.float.constant", "warning"),
    ],
)
def test_a_model_that_answers_nonsense_is_told(
    nodes: list[str], code: str, severity: str, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    graph = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Mul", ["pooled", "zero"], ["none"]),
        helper.make_node(nodes[0], ["none", nodes[2]], ["all"]),
        helper.make_node("Flatten", ["all"], ["out"]),
    ]
    model = save_model(tmp_path / "m.onnx", graph, {"zero": np.zeros(1), "one": np.ones(1)}, 32)

    _, found = check(make_request(make_folder(), model=model), tmp_path)

    assert found[code].severity == severity


def test_a_model_that_cannot_be_run_skips_the_test_and_says_so(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no onnx")
    for model in (tmp_path / "bad.onnx", Path(red_or_blue(tmp_path / "other.onnx"))):
        request = make_request(
            make_folder(), model=str(model), preprocess={"size": [16, 16], "color": "gray"}
        )
        seen, found = check(request, tmp_path)
        assert seen is None
        assert found["calib.float.skipped"].severity == "info"


def test_overlapping_boxes_of_one_class_are_one() -> None:
    rows = np.array(
        [[0, 0, 10, 10, 0.9, 1], [1, 1, 10, 10, 0.8, 1], [1, 1, 10, 10, 0.7, 2],
         [50, 50, 60, 60, 0.6, 1]], np.float32,
    )  # fmt: skip

    assert suppress(rows)[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.6])


def test_older_yolos_multiply_by_objectness() -> None:
    output = np.zeros((1, 100, 7), np.float32)
    output[0, 3] = [10, 10, 4, 4, 0.5, 0.2, 0.9]
    output[0, 4] = [30, 30, 4, 4, 0.1, 1.0, 0.0]

    answers = read_answers([output], ["a", "b"], "detection")

    assert answers.texts == ("b 0.45",)


def test_outputs_of_unknown_form_are_described() -> None:
    answers = read_answers([np.ones((2, 4, 8, 8), np.float32)], [], "segmentation")

    assert answers.texts == ("mean 1, spread 0",) * 2
    assert answers.constant


def sure_when_letterboxed(path: Path) -> str:
    """Confident in class 0 when the rows at the top are padding of 114."""
    weights = np.zeros((1, 3, 32, 32))
    weights[:, :, :4, :] = 1 / (3 * 4 * 32)
    nodes = [
        helper.make_node("Conv", ["image", "top"], ["level"]),
        helper.make_node("Sub", ["level", "grey"], ["off"]),
        helper.make_node("Abs", ["off"], ["far"]),
        helper.make_node("Mul", ["far", "steep"], ["drop"]),
        helper.make_node("Sub", ["nine", "drop"], ["sure"]),
        helper.make_node("Relu", ["sure"], ["score"]),
        helper.make_node("Mul", ["score", "zero"], ["other"]),
        helper.make_node("Concat", ["score", "other"], ["both"], axis=1),
        helper.make_node("Flatten", ["both"], ["out"]),
    ]
    constants = {
        "top": weights, "grey": np.array(114 / 255), "steep": np.array(400.0),
        "nine": np.array(9.0), "zero": np.array(0.0),
    }  # fmt: skip
    return save_model(path, nodes, constants, 32)


@pytest.mark.parametrize(("resize", "suspected"), [("stretch", True), ("letterbox", False)])
def test_the_wrong_way_of_fitting_is_suspected(
    resize: str, suspected: bool, make_request: Any, draw: Any, tmp_path: Path
) -> None:
    (tmp_path / "wide").mkdir()
    for index in range(8):
        Image.fromarray(draw(index, 40, 120)).save(tmp_path / "wide" / f"{index}.png")
    request = make_request(
        tmp_path / "wide", model=sure_when_letterboxed(tmp_path / "m.onnx"),
        preprocess={"resize": resize},
    )  # fmt: skip

    _, found = check(request, tmp_path)

    assert ("calib.resize" in found) is suspected
    if suspected:
        assert (found["calib.resize"].asked, found["calib.resize"].got) == ("stretch", "letterbox")
