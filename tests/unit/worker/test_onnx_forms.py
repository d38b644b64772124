"""ONNX files of others: brought into the one form, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hefsmith_worker.onnx_external import external_files  # noqa: E402
from hefsmith_worker.onnx_files import Session, checked  # noqa: E402
from hefsmith_worker.onnx_forms import bring_into_form  # noqa: E402
from hefsmith_worker.protocol import StageError  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SHAPES = {"x": (1, 3, 16, 16)}


def network(
    tmp_path: Path,
    *,
    kind: int = TensorProto.FLOAT,
    weights: Any = np.float32,
    batch: int | str = 1,
    first: tuple[Any, ...] = (),
    enters: str = "x",
    shape: tuple[int, ...] = (3, 16, 16),
    reshaped: bool = False,
    bare: bool = False,
    **saving: Any,
) -> Path:
    """Write conv, ReLU, mean, Gemm; ``first`` are nodes that stand between input and conv."""
    random = np.random.default_rng(0)
    kernel = {} if bare else {"kernel_shape": [3, 3]}
    constants = [
        numpy_helper.from_array(random.normal(size=(8, 3, 3, 3)).astype(weights), "conv.w"),
        numpy_helper.from_array(random.normal(size=(8, 5)).astype(weights), "head.w"),
    ]
    flat = helper.make_node("Flatten", ["mean"], ["flat"])
    if reshaped:
        constants.append(numpy_helper.from_array(np.array([batch, 8]), "shape"))
        flat = helper.make_node("Reshape", ["mean", "shape"], ["flat"])
    nodes = [
        *first,
        helper.make_node("Conv", [enters, "conv.w"], ["a"], pads=[1] * 4, **kernel),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["mean"]),
        flat,
        helper.make_node("Gemm", ["flat", "head.w"], ["out"]),
    ]
    out = kind if kind in (TensorProto.FLOAT16, TensorProto.DOUBLE) else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, [batch, *shape])],
        [helper.make_tensor_value_info("out", out, [batch, 5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx", **saving)
    return tmp_path / "net.onnx"


def answers(model: Any, sample: np.ndarray) -> np.ndarray:
    (found,) = Session(model.SerializeToString()).run({"x": sample})
    return found


SAMPLE = np.random.default_rng(1).integers(0, 255, (1, 3, 16, 16)).astype(np.float32)
TURN = helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2])
CAST = helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT)
CAST_AND_TURN = (CAST, helper.make_node("Transpose", ["floats"], ["turned"], perm=[0, 3, 1, 2]))
TURN_AND_CAST = (TURN, helper.make_node("Cast", ["turned"], ["floats"], to=TensorProto.FLOAT))

FORMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "as it should be": ({}, []),
    "open batch": ({"batch": "N"}, []),
    "a kernel that only its weights tell": ({"bare": True}, ["onnx.kernel-shape"]),
    "half": ({"kind": TensorProto.FLOAT16, "weights": np.float16}, ["onnx.float-type"]),
    "double": ({"kind": TensorProto.DOUBLE, "weights": np.float64}, ["onnx.float-type"]),
    "tensorflow": (
        {"shape": (16, 16, 3), "first": (TURN,), "enters": "turned"},
        ["onnx.layout"],
    ),
    "bytes": (
        {"kind": TensorProto.UINT8, "first": (CAST,), "enters": "floats"},
        ["onnx.input-type"],
    ),
    "bytes of tensorflow": (
        {
            "kind": TensorProto.UINT8,
            "shape": (16, 16, 3),
            "first": CAST_AND_TURN,
            "enters": "turned",
        },
        ["onnx.input-type", "onnx.layout"],
    ),
    "bytes of tensorflow, cast later": (
        {
            "kind": TensorProto.UINT8,
            "shape": (16, 16, 3),
            "first": TURN_AND_CAST,
            "enters": "floats",
        },
        ["onnx.input-type", "onnx.layout"],
    ),
    "batch of four": ({"batch": 4}, ["onnx.batch"]),
    "batch of four in a shape": ({"batch": 4, "reshaped": True}, ["onnx.batch"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_answers_of_the_plain_one(tmp_path: Path, form: str) -> None:
    arguments, codes = FORMS[form]
    plain, _ = bring_into_form(network(tmp_path), SHAPES)
    model, changes = bring_into_form(network(tmp_path, **arguments), SHAPES)
    assert [change.code for change in changes] == codes
    onnx.checker.check_model(model, full_check=True)
    (given,) = model.graph.input
    assert given.type.tensor_type.elem_type == TensorProto.FLOAT
    sides = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert sides[1:] == [3, 16, 16]
    expected = answers(plain, SAMPLE)
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(answers(model, SAMPLE), expected, rtol=0, atol=5e-3 * scale)


@pytest.mark.parametrize("bytes_", [False, True])
@pytest.mark.parametrize("sides", [(3,), (1, 1, 3), (1,)])
def test_pictures_that_are_scaled_before_they_are_turned_round(
    tmp_path: Path, sides: tuple[int, ...], bytes_: bool
) -> None:
    random = np.random.default_rng(2)
    mean = random.uniform(100, 130, sides).astype(np.float32)
    kept = numpy_helper.from_array(np.float32(1 / 57).reshape((1,) * len(sides)))
    scaled = (
        *((CAST,) if bytes_ else ()),
        helper.make_node("Constant", [], ["mean_"], value=numpy_helper.from_array(mean)),
        helper.make_node("Constant", [], ["scale"], value=kept),
        helper.make_node("Sub", ["floats" if bytes_ else "x", "mean_"], ["zero"]),
        helper.make_node("Mul", ["scale", "zero"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["turned"], perm=[0, 3, 1, 2]),
    )
    kind = TensorProto.UINT8 if bytes_ else TensorProto.FLOAT
    path = network(tmp_path, kind=kind, shape=(16, 16, 3), first=scaled, enters="turned")
    model, changes = bring_into_form(path, SHAPES)
    assert [change.code for change in changes] == ["onnx.input-type"] * bytes_ + ["onnx.layout"]
    onnx.checker.check_model(model, full_check=True)
    assert "Transpose" not in {node.op_type for node in model.graph.node}
    turned = SAMPLE.transpose(0, 2, 3, 1).astype(np.uint8 if bytes_ else np.float32)
    expected = answers(onnx.load(path), turned)
    np.testing.assert_allclose(answers(model, SAMPLE), expected, rtol=1e-4, atol=1e-4)


def test_numbers_for_each_row_stay_where_they_are(tmp_path: Path) -> None:
    rows = numpy_helper.from_array(np.linspace(0, 1, 16, dtype=np.float32).reshape(16, 1))
    first = (
        helper.make_node("Constant", [], ["rows"], value=rows),
        helper.make_node("Mul", ["x", "rows"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["turned"], perm=[0, 3, 1, 2]),
    )
    path = network(tmp_path, shape=(16, 16, 3), first=first, enters="turned")
    _, changes = bring_into_form(path, {"x": (1, 16, 16, 3)})
    assert changes == []


def test_a_network_that_is_quantised_already_is_refused(tmp_path: Path) -> None:
    constants = (
        helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(np.float32(0.02))),
        helper.make_node("Constant", [], ["z"], value=numpy_helper.from_array(np.uint8(128))),
    )
    pair = (
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", "s", "z"], ["back"]),
    )
    with pytest.raises(StageError, match="quantised already: it has 2 operations") as caught:
        bring_into_form(network(tmp_path, first=(*constants, *pair), enters="back"), SHAPES)
    assert "float network" in caught.value.fix


def test_an_output_without_a_shape_gets_the_one_that_follows(tmp_path: Path) -> None:
    path = network(tmp_path)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    (output,) = checked(path, SHAPES).graph.output
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [1, 5]


def test_an_operator_of_somebodys_own_is_named(tmp_path: Path) -> None:
    own = helper.make_node("Swirl", ["x"], ["swirled"], domain="com.example")
    path = network(tmp_path, first=(own,), enters="swirled")
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, path)
    with pytest.raises(StageError, match=r"the operator Swirl of com\.example") as caught:
        checked(path, SHAPES)
    assert caught.value.code == "onnx.custom-op"


def test_a_network_whose_samples_meet_is_not_made_one(tmp_path: Path) -> None:
    mixing = helper.make_node("ReduceMean", ["x"], ["mixed"], axes=[0], keepdims=1)
    path = network(tmp_path, batch=4, first=(mixing,), enters="mixed")
    with pytest.raises(StageError) as caught:
        bring_into_form(path, SHAPES)
    assert caught.value.code == "onnx.form"
    assert "Export the model again" in caught.value.fix


def test_half_precision_in_a_branch_is_found_too(tmp_path: Path) -> None:
    value = numpy_helper.from_array(np.ones(1, np.float16))
    constant = helper.make_node("Constant", [], ["one"], value=value)
    add = helper.make_node("Add", ["x", "one"], ["more"])
    path = network(
        tmp_path,
        kind=TensorProto.FLOAT16,
        weights=np.float16,
        first=(constant, add),
        enters="more",
    )
    model, _ = bring_into_form(path, SHAPES)
    kinds = {a.t.data_type for node in model.graph.node for a in node.attribute if a.HasField("t")}
    assert kinds == {TensorProto.FLOAT}


def test_weights_in_files_beside_the_model_are_named(tmp_path: Path) -> None:
    path = network(
        tmp_path, save_as_external_data=True, location="weights of net.bin", size_threshold=0
    )
    assert external_files(path) == ("weights of net.bin",)
    assert external_files(network(tmp_path)) == ()
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert external_files(tmp_path / "empty.onnx") == ()


def test_nodes_that_are_called_alike_are_refused_with_their_name(tmp_path: Path) -> None:
    path = network(tmp_path)
    model = onnx.load(path)
    for node in model.graph.node:
        node.name = "same"
    onnx.save(model, path)
    with pytest.raises(StageError, match=r"net\.onnx has 5 nodes called same") as caught:
        bring_into_form(path, SHAPES)
    assert "node.name = str(i)" in caught.value.fix


def test_weights_that_did_not_come_along_are_told_by_their_file(tmp_path: Path) -> None:
    path = network(tmp_path, save_as_external_data=True, location="net.bin", size_threshold=0)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(StageError, match=r"net\.onnx keeps weights in 'net\.bin', which is not"):
        bring_into_form(path, SHAPES)
