"""Networks of a few kilobytes, one for each task: an honest one, and what proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.tensor = "image"

    def add(self, op: str, *constants: Any, **attributes: Any) -> None:
        name = f"/{op.lower()}_{len(self.nodes)}/{op}"
        inputs = [self.tensor]
        for index, value in enumerate(constants):
            self.constants.append(numpy_helper.from_array(np.asarray(value), f"{name}.{index}"))
            inputs.append(f"{name}.{index}")
        self.tensor = f"{name}_out"
        self.nodes.append(helper.make_node(op, inputs, [self.tensor], name, **attributes))

    def model(self, shape: list[int]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
            [helper.make_tensor_value_info(self.tensor, TensorProto.FLOAT, shape)],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        made.ir_version = 8
        onnx.checker.check_model(made)
        return made


def _f32(values: Any) -> Any:
    return np.asarray(values, np.float32)


def _body(builder: _Builder, width: int = 8) -> None:
    random = np.random.default_rng(7)
    kernel = _f32(random.normal(0, 0.5, (width, 1, 3, 3)))
    builder.add("Conv", kernel, _f32(np.zeros(width)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    builder.add("Relu")


def vector(size: int, *, scale: float = 1.0, tilt: float = 0.0) -> onnx.ModelProto:
    """A vector of ``size`` per picture; ``scale`` 0 lets it be the same for each."""
    random = np.random.default_rng(3)
    builder = _Builder()
    _body(builder)
    builder.add("GlobalAveragePool")
    builder.add("Flatten", axis=1)
    weights = _f32(random.normal(0, 4, (size, 8)) * scale)
    builder.add("Gemm", weights, _f32(random.normal(0, 1, size) + tilt), transB=1)
    return builder.model([1, size])


def brightness(*, swapped: bool = False, scale: float = 8.0) -> onnx.ModelProto:
    """Tells dark pictures (class 0) from bright ones (class 1) by their mean."""
    builder = _Builder()
    kernel = _f32([[[[1.0]]], [[[-1.0]]]])
    builder.add("Conv", kernel, _f32([0.0, 1.0]), kernel_shape=[1, 1])
    builder.add("Relu")
    builder.add("GlobalAveragePool")
    builder.add("Flatten", axis=1)
    rows = _f32([[0, 1], [1, 0]]) * np.float32(scale)
    builder.add("Gemm", rows[::-1].copy() if swapped else rows, _f32([0, 0]), transB=1)
    return builder.model([1, 2])


def maps(
    channels: int, *, scale: float = 1.0, favourite: int | None = None, noise: int = 5
) -> onnx.ModelProto:
    """One map per channel; ``favourite`` wins everywhere, ``scale`` 0 leaves only the bias."""
    random = np.random.default_rng(noise)
    builder = _Builder()
    _body(builder)
    kernel = _f32(random.normal(0, 1, (channels, 8, 1, 1)) * scale)
    bias = _f32(random.normal(0, 0.1, channels))
    if favourite is not None:
        bias[favourite] += 60
    builder.add("Conv", kernel, bias, kernel_shape=[1, 1])
    return builder.model([1, channels, SIDE, SIDE])


def points(*, top: float) -> onnx.ModelProto:
    """Five heat maps that are the picture itself, up to ``top``."""
    builder = _Builder()
    kernel = _f32(np.full((5, 1, 1, 1), top) * np.linspace(0.9, 1.0, 5)[:, None, None, None])
    builder.add("Conv", kernel, _f32(np.zeros(5)), kernel_shape=[1, 1])
    builder.add("Relu")
    return builder.model([1, 5, SIDE, SIDE])


def refused() -> onnx.ModelProto:
    """A network with a remainder behind its last layer, which no chip computes."""
    builder = _Builder()
    _body(builder)
    builder.add("Mod", _f32(2.0), fmod=1)
    return builder.model([1, 8, SIDE, SIDE])
