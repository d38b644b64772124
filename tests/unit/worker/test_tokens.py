"""Inputs of three dimensions: tokens get an axis, and the network answers as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hefsmith_worker import onnx_files, onnx_forms, onnx_tokens
from hefsmith_worker.golden import input_specs
from hefsmith_worker.protocol import StageError
from onnx import TensorProto, helper, numpy_helper

from orchestrator.inspect.onnx_file import read_onnx
from orchestrator.inspect.onnx_report import find_objections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LENGTH, CHANNELS = 6, 4
RANDOM = np.random.default_rng(2)
Step = tuple[str, list[Any], dict[str, Any]]

LINEAR: Step = ("MatMul", [RANDOM.normal(0, 1, (CHANNELS, 5))], {})
POSITIONS: Step = ("Add", [RANDOM.normal(0, 1, (1, LENGTH, CHANNELS))], {})
NORM: Step = ("LayerNormalization", [np.ones(CHANNELS), np.zeros(CHANNELS)], {"axis": -1})
NETWORKS: dict[str, tuple[list[Step], bool]] = {
    "a linear layer": ([LINEAR], True),
    "positions, a norm, a linear layer": ([POSITIONS, NORM, LINEAR], True),
    "a convolution": ([("Conv", [RANDOM.normal(0, 1, (5, LENGTH, 3))], {"pads": [1, 1]})], False),
    "turned, then a linear layer": (
        [("Transpose", [], {"perm": [0, 2, 1]}), ("MatMul", [np.ones((LENGTH, 3))], {})],
        False,
    ),
    "a product of three dimensions": ([("MatMul", [np.ones((1, CHANNELS, 3))], {})], False),
}


def network(steps: list[Step], sides: Sequence[int | str] = (1, LENGTH, CHANNELS)) -> Any:
    nodes, constants, tensor = [], [], "tokens"
    for index, (op, values, attributes) in enumerate(steps):
        names = [f"c{index}.{number}" for number in range(len(values))]
        constants += [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in zip(names, values, strict=True)
        ]
        nodes.append(
            helper.make_node(op, [tensor, *names], [f"t{index}"], f"/n{index}", **attributes)
        )
        tensor = f"t{index}"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", "A", "B"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


@pytest.mark.parametrize("kind", NETWORKS)
def test_tokens_get_an_axis_and_nothing_else_does(kind: str, tmp_path: Path) -> None:
    steps, taken = NETWORKS[kind]
    path = tmp_path / "net.onnx"
    onnx.save(network(steps), path)
    model, changes = onnx_forms.bring_into_form(path, {"tokens": (1, LENGTH, CHANNELS)})
    ranks = [one for one in find_objections(read_onnx(path)) if one.code == "rank"]
    assert bool(ranks) is not taken
    if not taken:
        assert "onnx.tokens" not in [change.code for change in changes]
        with pytest.raises(StageError, match="that no linear layer reads") as caught:
            onnx_tokens.refuse_others(model)
        assert caught.value.code == "preprocess.tokens"
        assert "(1, C, 1, L)" in caught.value.fix
        return
    onnx_tokens.refuse_others(model)
    assert [change.code for change in changes][-1] == "onnx.tokens"
    assert onnx_files.describe(model)["inputs"][0]["shape"] == [1, CHANNELS, 1, LENGTH]
    assert onnx_tokens.with_axis(model) == ["tokens"]
    rows = RANDOM.normal(0, 1, (1, CHANNELS, 1, LENGTH)).astype(np.float32)
    (mine,) = onnx_files.Session(model.SerializeToString()).run({"tokens": rows})
    (own,) = onnx_files.Session(path).run({"tokens": onnx_tokens.as_tokens(rows)})
    np.testing.assert_array_equal(mine, own)


@pytest.mark.parametrize("shape", [(1, LENGTH, CHANNELS), (1, CHANNELS, 1, LENGTH)])
def test_a_recipe_fills_what_a_file_leaves_open(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(network([LINEAR], ("N", "L", CHANNELS)), path)
    model, _ = onnx_forms.bring_into_form(path, {"tokens": shape})
    built = onnx_tokens.as_built(model, {"tokens": shape})
    assert built == {"tokens": (1, CHANNELS, 1, LENGTH)}
    onnx.save(model, path)
    assert onnx_files.describe(onnx_files.checked(path, built))["inputs"][0]["shape"] == [
        1, CHANNELS, 1, LENGTH,
    ]  # fmt: skip


def test_an_axis_that_would_change_the_answers_is_told(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(network([POSITIONS, LINEAR]), path)
    real = onnx_tokens.as_tokens
    try:
        onnx_tokens.as_tokens = lambda array: real(array)[:, ::-1]
        with pytest.raises(StageError, match="differs by"):
            onnx_forms.bring_into_form(path, {})
    finally:
        onnx_tokens.as_tokens = real


def test_arrays_of_tokens_are_rows_of_height_1() -> None:
    for shape in ([1, LENGTH, CHANNELS], [1, CHANNELS, 1, LENGTH]):
        (spec,) = input_specs({"shared": {}}, [{"name": "tokens", "shape": shape}])
        assert spec.preprocess.color == "data"
        assert spec.preprocess.shape == (1, LENGTH, CHANNELS)


@pytest.mark.parametrize(
    ("steps", "sides", "word"),
    [
        (
            [
                ("Transpose", [], {"perm": [1, 0, 2]}),
                ("GRU", [np.ones((1, 9, CHANNELS)), np.ones((1, 9, 3))], {"hidden_size": 3}),
            ],
            (1, LENGTH, CHANNELS),
            "one step at a time",
        ),
        ([("Conv", [np.ones((2, 3, 3, 3, 3))], {})], (1, 3, 8, 16, 16), "a video"),
        ([("Conv", [np.ones((5, LENGTH, 3))], {})], (1, LENGTH, CHANNELS), "Signals"),
    ],
)
def test_what_is_refused_is_told_what_to_become(
    steps: list[Step], sides: tuple[int, ...], word: str, tmp_path: Path
) -> None:
    model = network(steps, sides)
    onnx.save(model, str(tmp_path / "net.onnx"))
    found = find_objections(read_onnx(tmp_path / "net.onnx"))
    objection = next(one for one in found if one.code == "rank")
    assert word.lower() in objection.fix.lower()
    if len(sides) == 3:
        with pytest.raises(StageError) as caught:
            onnx_tokens.refuse_others(model)
        assert caught.value.fix == objection.fix


def test_numbers_of_words_are_looked_up_by_the_program(tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.ones((9, CHANNELS), np.float32), "table")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["ids"], ["whole"], "/cast", to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "whole"], ["rows"], "/embed"),
        ],
        "net",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, [1, LENGTH])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [1, LENGTH, CHANNELS])],
        [table],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(StageError, match="embedding"):
        onnx_tokens.refuse_others(model)
    onnx.save(model, str(tmp_path / "net.onnx"))
    assert "lookup" in [one.code for one in find_objections(read_onnx(tmp_path / "net.onnx"))]
    # A table that the input itself is taken from is no embedding.
    model.graph.node[1].input[:] = ["whole", "table"]
    onnx_tokens.refuse_others(model)
