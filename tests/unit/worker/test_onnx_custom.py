"""An NMS of another runtime behind the network is left out; anything else of its own is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hefsmith_worker.onnx_files import checked
from hefsmith_worker.onnx_forms import bring_into_form
from hefsmith_worker.protocol import StageError
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {"x": (1, 3, 8, 8)}


def network(path: Path, *, behind: bool) -> Path:
    weights = [
        numpy_helper.from_array(np.ones((5, channels, 1, 1), np.float32), name)
        for name, channels in (("w1", 3), ("w2", 5))
    ]
    nms = helper.make_node("NMS_TRT", ["boxes", "scores"], ["found"], "/nms", domain="other.rt")
    tail = helper.make_node("Conv", ["found", "w2"], ["y"], "/more", kernel_shape=[1, 1])
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["map"], "/conv", kernel_shape=[1, 1]),
        helper.make_node("Relu", ["map"], ["boxes"], "/boxes"),
        helper.make_node("Sigmoid", ["map"], ["scores"], "/scores"),
        nms,
        tail if behind else helper.make_node("Identity", ["found"], ["y"], "/end"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 8, 8])],
        weights,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("other.rt", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def test_an_nms_of_another_runtime_is_left_out_and_told(tmp_path: Path) -> None:
    model, changes = bring_into_form(network(tmp_path / "net.onnx", behind=False), SHAPES)
    assert [change.code for change in changes] == ["onnx.ends-earlier"]
    assert "NMS_TRT of other.rt (/nms)" in changes[0].message
    onnx.save(model, str(tmp_path / "cut.onnx"))
    whole = checked(tmp_path / "cut.onnx", SHAPES)
    assert [value.name for value in whole.graph.output] == ["boxes", "scores"]


def test_what_the_network_goes_on_behind_is_refused(tmp_path: Path) -> None:
    model, changes = bring_into_form(network(tmp_path / "net.onnx", behind=True), SHAPES)
    assert not changes
    onnx.save(model, str(tmp_path / "same.onnx"))
    with pytest.raises(StageError, match=r"NMS_TRT of other\.rt"):
        checked(tmp_path / "same.onnx", SHAPES)
