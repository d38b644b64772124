"""What a network does to its own pixels, in graphs of each form in which exporters write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.graph.scaling import input_scaling
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


def model(steps: Sequence[tuple[str, Any]]) -> Any:
    """Return a network with one node a step (operator, constant) before its convolution."""
    nodes, constants, tensor = [], [], "image"
    for number, (op, value) in enumerate(steps):
        inputs = [tensor]
        values = value if isinstance(value, tuple) else (() if value is None else (value,))
        for place, one in enumerate(values):
            name = f"c{number}_{place}"
            constants.append(numpy_helper.from_array(np.asarray(one), name))
            inputs.append(name)
        if op.startswith("~"):
            inputs.reverse()
        more = {"axis": 1} if op == "Gather" else {"to": 1} if op == "Cast" else {}
        tensor = f"t{number}"
        nodes.append(helper.make_node(op.lstrip("~"), inputs, [tensor], **more))
    constants.append(numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "w"))
    nodes.append(helper.make_node("Conv", [tensor, "w"], ["out"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 6, 6])
    return helper.make_model(helper.make_graph(nodes, "g", [image], [out], constants))


def f(value: float) -> np.ndarray[Any, Any]:
    return np.array(value, np.float32)


BATCH_NORM = (
    np.ones(3, np.float32),
    np.zeros(3, np.float32),
    np.full(3, 120, np.float32),
    np.full(3, 3600, np.float32),
)


@pytest.mark.parametrize(
    ("steps", "mean", "std"),
    [
        ([("Div", f(255))], [0.0], [255.0]),
        ([("Mul", f(1 / 255))], [0.0], [255.0]),
        ([("Cast", None), ("Div", f(127.5)), ("Sub", f(1))], [127.5], [127.5]),
        ([("Sub", MEAN), ("Div", STD)], [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ([("~Mul", f(2)), ("~Add", f(-1))], [0.5], [0.5]),
        ([("Gather", np.array([2, 1, 0])), ("Div", f(255))], [0.0], [255.0]),
        ([("BatchNormalization", BATCH_NORM)], [120.0], [60.0]),
    ],
)
def test_scaling_is_told_by_mean_and_deviation(
    steps: list[tuple[str, Any]], mean: list[float], std: list[float]
) -> None:
    found = input_scaling(model(steps))["image"]
    assert found["mean"] == pytest.approx(mean, rel=1e-4)
    assert found["std"] == pytest.approx(std, rel=1e-4)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [("~Sub", f(1))],
        [("~Div", f(1))],
        [("Div", f(0))],
        [("Mul", np.full((1, 1, 8, 8), 2, np.float32))],
        [("Gather", np.array([0, 0, 0])), ("Div", f(255))],
        [("Add", f(float("nan")))],
    ],
    ids=["none", "inverted", "reciprocal", "zero", "a-map", "one-channel", "nan"],
)
def test_what_is_no_scaling_of_channels_is_left_out(steps: list[tuple[str, Any]]) -> None:
    assert input_scaling(model(steps)) == {}
