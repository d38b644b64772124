"""Channels that an ONNX file leaves open are those that its first convolution takes."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")

from hefsmith_worker.graph.model import Graph  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.mark.parametrize(("group", "channels"), [(1, 3), (3, 9)])
def test_channels_are_told_by_the_weights(group: int, channels: int) -> None:
    import numpy as np

    weights = numpy_helper.from_array(np.zeros((6, 3, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=group)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "C", "H", "W"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "D", "H", "W"])
    graph = Graph(helper.make_model(helper.make_graph([node], "g", [x], [y], [weights])))
    assert graph.inputs["x"][:2] == (1, channels)
    assert graph.open_inputs == ["x"]
