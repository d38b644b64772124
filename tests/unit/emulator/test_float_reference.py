"""The float reference computes what the graph says, whatever the runtime's optimiser does."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hailo_emulator.execute import make_session  # noqa: E402
from hefsmith_worker.onnx_files import Session  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def test_expected_distances_are_right() -> None:
    bins = np.arange(16, dtype=np.float32)
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], axis=2),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["t", "bins"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "distances",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 16, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 20])],
        [numpy_helper.from_array(bins, "bins")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    x = np.random.default_rng(0).normal(0, 3, (1, 4, 16, 20)).astype(np.float32)
    share = np.exp(x) / np.exp(x).sum(2, keepdims=True)
    expected = np.einsum("abkd,k->abd", share, bins)
    (worker,) = Session(model).run({"x": x})
    (emulated,) = make_session(model).run(None, {"x": x})
    np.testing.assert_allclose(worker, expected, atol=1e-3)
    np.testing.assert_allclose(emulated, expected, atol=1e-3)
