"""Networks of a few kilobytes, one for each task: an honest one, and what proves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDE = 16


class Builder:
    """Adds operators one behind the other; ``tensor`` is what the next one reads."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.tensor = "image"

    def add(self, op: str, *constants: Any, **attributes: Any) -> str:
        """Add an operator and return its result; names among ``constants`` are other results."""
        name = f"/{op.lower()}_{len(self.nodes)}/{op}"
        inputs = [self.tensor]
        for index, value in enumerate(constants):
            if isinstance(value, str):
                inputs.append(value)
                continue
            self.constants.append(numpy_helper.from_array(np.asarray(value), f"{name}.{index}"))
            inputs.append(f"{name}.{index}")
        self.tensor = f"{name}_out"
        self.nodes.append(helper.make_node(op, inputs, [self.tensor], name, **attributes))
        return self.tensor

    def model(self, shape: list[int]) -> onnx.ModelProto:
        return self.of({"image": [1, 1, SIDE, SIDE]}, {self.tensor: shape})

    def of(
        self, inputs: Mapping[str, list[int]], outputs: Mapping[str, list[int]]
    ) -> onnx.ModelProto:
        """Return the network with these inputs and outputs (name: shape)."""
        values = [
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
                for n, shape in some.items()
            ]
            for some in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "net", *values, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        made.ir_version = 8
        onnx.checker.check_model(made)
        return made


def f32(values: Any) -> Any:
    return np.asarray(values, np.float32)


def _body(builder: Builder, width: int = 8) -> None:
    random = np.random.default_rng(7)
    kernel = f32(random.normal(0, 0.5, (width, 1, 3, 3)))
    builder.add("Conv", kernel, f32(np.zeros(width)), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    builder.add("Relu")


def vector(size: int, *, scale: float = 1.0, tilt: float = 0.0) -> onnx.ModelProto:
    """A vector of ``size`` per picture; ``scale`` 0 lets it be the same for each."""
    random = np.random.default_rng(3)
    builder = Builder()
    _body(builder)
    builder.add("GlobalAveragePool")
    builder.add("Flatten", axis=1)
    weights = f32(random.normal(0, 4, (size, 8)) * scale)
    builder.add("Gemm", weights, f32(random.normal(0, 1, size) + tilt), transB=1)
    return builder.model([1, size])


def brightness(*, swapped: bool = False, scale: float = 8.0) -> onnx.ModelProto:
    """Tells dark pictures (class 0) from bright ones (class 1) by their mean."""
    builder = Builder()
    kernel = f32([[[[1.0]]], [[[-1.0]]]])
    builder.add("Conv", kernel, f32([0.0, 1.0]), kernel_shape=[1, 1])
    builder.add("Relu")
    builder.add("GlobalAveragePool")
    builder.add("Flatten", axis=1)
    rows = f32([[0, 1], [1, 0]]) * np.float32(scale)
    builder.add("Gemm", rows[::-1].copy() if swapped else rows, f32([0, 0]), transB=1)
    return builder.model([1, 2])


def maps(
    channels: int, *, scale: float = 1.0, favourite: int | None = None, noise: int = 5
) -> onnx.ModelProto:
    """One map per channel; ``favourite`` wins everywhere, ``scale`` 0 leaves only the bias."""
    random = np.random.default_rng(noise)
    builder = Builder()
    _body(builder)
    kernel = f32(random.normal(0, 1, (channels, 8, 1, 1)) * scale)
    bias = f32(random.normal(0, 0.1, channels))
    if favourite is not None:
        bias[favourite] += 60
    builder.add("Conv", kernel, bias, kernel_shape=[1, 1])
    return builder.model([1, channels, SIDE, SIDE])


def points(*, top: float) -> onnx.ModelProto:
    """Five heat maps that are the picture itself, up to ``top``."""
    builder = Builder()
    kernel = f32(np.full((5, 1, 1, 1), top) * np.linspace(0.9, 1.0, 5)[:, None, None, None])
    builder.add("Conv", kernel, f32(np.zeros(5)), kernel_shape=[1, 1])
    builder.add("Relu")
    return builder.model([1, 5, SIDE, SIDE])


def refused() -> onnx.ModelProto:
    """A network with a remainder behind its last layer, which no chip computes."""
    builder = Builder()
    _body(builder)
    builder.add("Mod", f32(2.0), fmod=1)
    return builder.model([1, 8, SIDE, SIDE])
