"""A small convolutional network in int8, as ONNX: random weights, real integer arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_int8_model(path: Path) -> Path:
    """Write a network of three quantised convolutions; uint8 (1, 3, 24, 24) in, uint8 out."""
    random = np.random.default_rng(7)
    nodes, weights = [], []
    name, channels = "image", 3
    for number, (width, stride) in enumerate([(8, 2), (16, 2), (10, 1)]):
        constants = {
            "x_scale": np.float32(0.05), "x_zero": np.uint8(0 if number else 128),
            "w": random.integers(-90, 90, (width, channels, 3, 3), dtype=np.int8),
            "w_scale": np.float32(0.01), "w_zero": np.int8(0),
            "y_scale": np.float32(0.05 * (3.0 + number)), "y_zero": np.uint8(0),
            "bias": random.integers(-500, 500, width, dtype=np.int32),
        }  # fmt: skip
        for key, value in constants.items():
            weights.append(numpy_helper.from_array(np.asarray(value), f"{key}{number}"))
        inputs = [name, *(f"{key}{number}" for key in constants)]
        name = f"conv{number}"
        nodes.append(
            helper.make_node("QLinearConv", inputs, [name], strides=[stride] * 2, pads=[1] * 4)
        )
        channels = width
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 24, 24])],
        [helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 10, 6, 6])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
