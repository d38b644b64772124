"""What is behind the cut runs alone, or says what it lacks."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hefsmith_worker.graph import GraphError, cut_tail
from onnx import TensorProto, helper, numpy_helper


def _network(*nodes: onnx.NodeProto, outputs: dict[str, list[int]]) -> onnx.ModelProto:
    """A network of one convolution ``/conv``, with what a test puts behind it."""
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32) / 3, "w")
    conv = helper.make_node("Conv", ["x", "w"], ["features"], "/conv", kernel_shape=[1, 1])
    graph = helper.make_graph(
        [conv, *nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 6])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        [weight],
    )
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    )


def test_a_residual_around_the_whole_network_reads_the_networks_input() -> None:
    model = _network(
        helper.make_node("Add", ["features", "x"], ["y"], "/add"), outputs={"y": [1, 3, 4, 6]}
    )
    tail = cut_tail(model, ["/conv"])
    assert tail is not None
    assert [value.name for value in tail.graph.input] == ["features", "x"]
    data = np.random.default_rng(0).standard_normal((1, 3, 4, 6)).astype(np.float32)
    whole = onnxruntime.InferenceSession(model.SerializeToString())
    rest = onnxruntime.InferenceSession(tail.SerializeToString())
    expected = whole.run(None, {"x": data})[0]
    found = rest.run(None, {"x": data, "features": expected - data})[0]
    assert np.allclose(found, expected, atol=1e-6)


def test_a_tail_that_is_wanted_alone_reads_no_input_of_the_network() -> None:
    model = _network(
        helper.make_node("Add", ["features", "x"], ["y"], "/add"), outputs={"y": [1, 3, 4, 6]}
    )
    with pytest.raises(GraphError, match="needs x"):
        cut_tail(model, ["/conv"], alone=True)


def test_a_head_that_is_left_out_is_no_part_of_the_tail() -> None:
    model = _network(
        helper.make_node("Relu", ["features"], ["a"], "/a"),
        helper.make_node("Sigmoid", ["a"], ["b"], "/b"),
        helper.make_node("Tanh", ["features"], ["c"], "/c"),
        outputs={"b": [1, 3, 4, 6], "c": [1, 3, 4, 6]},
    )
    with pytest.raises(GraphError, match="features"):
        cut_tail(model, ["/a"])
    tail = cut_tail(model, ["/a"], outputs=["b"])
    assert tail is not None
    assert [value.name for value in tail.graph.output] == ["b"]
