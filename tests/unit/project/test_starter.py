"""A first recipe: what the graph says, in the form in which the build takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")

from hefsmith_worker.graph.model import read_graph  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from orchestrator.project.starter import Network, inputs_as_built, render_recipe  # noqa: E402

TURN = {"perm": [0, 3, 1, 2]}


@pytest.mark.parametrize(
    ("shape", "first", "expected"),
    [
        ([1, 3, 8, 16], [("Relu", {})], (1, 3, 8, 16)),
        ([4, 3, 8, 16], [("Relu", {})], (1, 3, 8, 16)),
        ([1, 8, 16, 3], [("Transpose", TURN)], (1, 3, 8, 16)),
        ([1, 8, 16, 3], [("Cast", {"to": TensorProto.FLOAT}), ("Transpose", TURN)], (1, 3, 8, 16)),
        ([1, 8, 16, 3], [("Relu", {}), ("Transpose", TURN)], (1, 8, 16, 3)),
        ([1, 8, 16, 3], [("Transpose", {"perm": [0, 2, 1, 3]})], (1, 8, 16, 3)),
    ],
)
def test_inputs_have_the_form_of_the_build(
    tmp_path: Path, shape: list[int], first: list[tuple[str, dict[str, object]]], expected: object
) -> None:
    nodes = [
        helper.make_node(op, [f"t{index}"], [f"t{index + 1}"], **attributes)
        for index, (op, attributes) in enumerate(first)
    ]
    out = helper.make_tensor_value_info(f"t{len(first)}", TensorProto.FLOAT, None)
    given = helper.make_tensor_value_info("t0", TensorProto.FLOAT, shape)
    onnx.save(helper.make_model(helper.make_graph(nodes, "n", [given], [out])), tmp_path / "n.onnx")
    assert inputs_as_built(read_graph(tmp_path / "n.onnx")) == {"t0": expected}


@pytest.mark.parametrize(("confidence", "cut"), [(0.39, False), (0.8, True)])
def test_a_recipe_says_of_a_cut_what_a_build_does(confidence: float, cut: bool) -> None:
    head = {
        "task": "detection", "family": "yolov8", "confidence": confidence, "reasons": [],
        "end_nodes": ["/a/Conv"], "end_roles": ["box"],
    }  # fmt: skip
    text = render_recipe({"postprocess": {"task": "detection"}}, Network({}, head))
    assert ("# It is cut at these nodes" in text) == cut
    assert ("Too unsure to cut" in text) == (not cut)
    assert "#   /a/Conv: box" in text
