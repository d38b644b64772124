"""A network that never ends is ended, and told."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from hefsmith_worker import onnx_files
from hefsmith_worker.protocol import StageError
from onnx import TensorProto, helper


def endless() -> onnx.ModelProto:
    """Return a network with a Loop of (2^63 - 1) rounds."""

    def value(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    number, truth = TensorProto.FLOAT, TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes_on"]),
            helper.make_node("Add", ["v", "one"], ["next"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", truth, []), value("v", number, [])],
        [value("goes_on", truth, []), value("next", number, [])],
        initializer=[helper.make_tensor("one", number, [], [1.0])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["", "true", "zero"], ["sum"], body=body),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        "g",
        [value("x", number, [1, 2])],
        [value("y", number, [1, 2])],
        initializer=[
            helper.make_tensor("true", truth, [], [True]),
            helper.make_tensor("zero", number, [], [0.0]),
        ],
    )
    opset = helper.make_opsetid("", 13)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_loop_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_files, "SAMPLE_SECONDS", 1.0)
    session = onnx_files.Session(endless().SerializeToString())
    began = time.monotonic()
    with pytest.raises(StageError, match="not finish one sample within 1 s") as told:
        session.run({"x": np.zeros((1, 2), np.float32)})
    assert told.value.code == "onnx.endless"
    assert time.monotonic() - began < 45


def test_one_that_ends_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_files, "SAMPLE_SECONDS", 60.0)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnx_files.Session(model.SerializeToString())
    (found,) = session.run({"x": np.array([[-1, 2]], np.float32)})
    assert found.tolist() == [[0, 2]]
