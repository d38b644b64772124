"""ONNX and HAR files, read without onnx and without Hailo's software."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from orchestrator.hef import HefError, ModelFileError
from orchestrator.inspect.har import har_document, read_har
from orchestrator.inspect.onnx_cost import estimate_cost
from orchestrator.inspect.onnx_file import read_onnx
from orchestrator.inspect.onnx_report import find_mends, find_objections, onnx_document

if TYPE_CHECKING:
    from pathlib import Path


def weight(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    size = 4
    for side in shape:
        size *= side
    return helper.make_tensor(name, TensorProto.FLOAT, shape, bytes(size), raw=True)


def small_model(batch: int | str = 1, opset: int = 13) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", strides=[2, 2], pads=[1, 1, 1, 1],
                         kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "g", "b"], ["y"], "fc", transB=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 10])],
        [weight("w", (8, 3, 3, 3)), weight("g", (10, 8)), weight("b", (10,))],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="tests"
    )


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_an_onnx_model_is_described_as_onnx_itself_sees_it(tmp_path: Path) -> None:
    model = small_model()
    found = read_onnx(save(model, tmp_path))
    document = onnx_document(found)
    assert document["opset"] == 13
    assert document["inputs"] == [{"name": "x", "type": "float32", "shape": [1, 3, 32, 32]}]
    assert document["outputs"] == [{"name": "y", "type": "float32", "shape": [1, 10]}]
    assert document["parameters"] == 8 * 27 + 80 + 10
    assert document["parameter_bytes"] == 4 * document["parameters"]
    assert document["macs"] == 16 * 16 * 8 * 27 + 80
    assert document["op_counts"] == {
        "Conv": 1, "Relu": 1, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1
    }  # fmt: skip
    assert document["refused_by_hailo"] == []
    inferred = onnx.shape_inference.infer_shapes(model)
    shapes = estimate_cost(found).shapes
    for value in inferred.graph.value_info:
        sides = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        assert shapes[value.name] == sides


def test_what_the_parser_is_known_to_refuse_is_named_with_its_nodes(tmp_path: Path) -> None:
    model = small_model("batch", opset=19)
    model.graph.node.append(helper.make_node("TopK", ["y", "k"], ["v", "i"], "/head/TopK"))
    conv = model.graph.node[0]
    conv.attribute.remove(next(item for item in conv.attribute if item.name == "kernel_shape"))
    objections = {item.code: item for item in find_objections(read_onnx(save(model, tmp_path)))}
    assert objections.keys() == {"opset", "operator"}
    assert find_mends(read_onnx(save(model, tmp_path))) == (
        "kernel_shape is added to 1 convolutions",
        "the open batch of 1 inputs becomes 1",
    )
    assert objections["operator"].nodes == ("/head/TopK",)
    assert "UnsupportedOperationError" in objections["operator"].message


def test_an_open_side_other_than_the_batch_is_refused_as_a_build_does(tmp_path: Path) -> None:
    model = small_model("batch")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    found = read_onnx(save(model, tmp_path))
    (objection,) = find_objections(found)
    assert objection.code == "dynamic-shape"
    assert "batchx3xheightx32" in objection.message
    assert find_mends(found) == ()


def test_a_layer_of_unknown_shape_is_said_and_not_counted(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[1].op_type = "Mystery"
    document = onnx_document(read_onnx(save(model, tmp_path)))
    assert document["macs_unknown_nodes"] == ["fc"]
    assert document["macs"] == 16 * 16 * 8 * 27


@pytest.mark.parametrize("content", [b"", b"\x01HEF" + bytes(60), b"<html>", b"\xff" * 99])
def test_other_files_are_no_onnx_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"not an ONNX|empty"):
        read_onnx(path)


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html><html>sign in</html>", "web page", "download it again"),
        (None, "ends too early", ""),
    ],
)
def test_what_was_downloaded_instead_is_told(
    tmp_path: Path, content: bytes | None, what: str, hint: str
) -> None:
    path = save(small_model(), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ModelFileError, match=what) as caught:
        read_onnx(path)
    assert hint in (caught.value.hint or "")


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_onnx_file_is_an_error_or_a_description(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(small_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content)
    try:
        document = onnx_document(read_onnx(path))
    except HefError as error:
        assert error.code.startswith("onnx.")
    else:
        json.dumps(document, allow_nan=False)


HN = {
    "name": "tiny",
    "layers": {
        "tiny/input_layer1": {"type": "input_layer", "output_shapes": [[-1, 32, 32, 3]]},
        "tiny/conv1": {"type": "conv"},
        "tiny/conv2": {"type": "conv"},
        "tiny/output_layer1": {"type": "output_layer", "input_shapes": [[-1, 1, 1, 10]]},
    },
}


def make_har(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "tiny.har"
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_a_har_is_described(tmp_path: Path) -> None:
    path = make_har(
        tmp_path,
        {
            "tiny.hn": json.dumps(HN).encode(),
            "tiny.npz": bytes(1000),
            "tiny.alls": b"normalization1 = normalization([0.0], [255.0])\n",
            "tiny.metadata.json": json.dumps(
                {"state": "quantized_model", "hw_arch": "hailo8l", "sdk_version": "3.31.0"}
            ).encode(),
        },
    )
    document = har_document(read_har(path))
    assert document["state"] == "quantized_model"
    assert document["hw_arch"] == "hailo8l"
    assert document["layers"] == {"conv": 2, "input_layer": 1, "output_layer": 1}
    assert document["inputs"] == [{"name": "tiny/input_layer1", "shape": [-1, 32, 32, 3]}]
    assert document["script"] == ["normalization1 = normalization([0.0], [255.0])"]


@pytest.mark.parametrize(
    "members", [{"x.hn": b"{"}, {"x.hn": b"[" * 100_000}, {"x.metadata.json": b"\xff"}]
)
def test_a_har_with_broken_json_is_an_error(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(ModelFileError, match="not valid JSON"):
        read_har(make_har(tmp_path, members))


@pytest.mark.parametrize("content", [b"", b"\x01HEF", b"PK\x03\x04", bytes(2000)])
def test_other_files_are_no_har(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.har"
    path.write_bytes(content)
    try:
        assert read_har(path).layers == {}
    except ModelFileError as error:
        assert error.code == "har.not-a-har"


def test_what_is_folded_or_cut_off_is_no_objection(tmp_path: Path) -> None:
    """A build gives the parser neither arithmetic on shapes nor what lies behind the cut."""

    def refused(indices: str, cut: tuple[str, ...] = ()) -> list[str]:
        nodes = [
            helper.make_node("Shape", ["x"], ["sides"], name="shape"),
            helper.make_node("Gather", ["sides", "zero"], ["batch"], name="of_shape"),
            helper.make_node("Gather", ["x", "zero"], ["row"], name="of_data", axis=2),
            helper.make_node("Relu", ["row"], ["end"], name="end"),
            helper.make_node("Cast", ["end"], ["where"], name="cast", to=TensorProto.INT64),
            helper.make_node("Gather", ["end", indices], ["out"], name="by_data"),
        ]
        graph = helper.make_graph(
            nodes,
            "n",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
            [helper.make_tensor("zero", TensorProto.INT64, [], [0])],
        )
        opset = helper.make_opsetid("", 13)
        model = read_onnx(save(helper.make_model(graph, opset_imports=[opset]), tmp_path))
        return [name for item in find_objections(model, cut) for name in item.nodes]

    assert refused("zero") == []
    assert refused("where") == ["by_data"]
    assert refused("where", ("end",)) == []


@pytest.mark.slow
def test_an_opset_of_which_nothing_is_known_is_no_refusal(tmp_path: Path) -> None:
    """Lint, inspect and the build say the same of it: that it is not known."""
    from hefsmith_worker.stages import export

    from orchestrator.pipeline.linting import lint_graph

    path = save(small_model(1, opset=19), tmp_path)
    found = {item.code: item for item in lint_graph(path)}
    assert found["onnx.opset"].severity == "warning"
    document = onnx_document(read_onnx(path))
    assert [item["code"] for item in document["not_known"]] == ["opset"]
    assert "opset" not in [item["code"] for item in document["refused_by_hailo"]]
    told: list[tuple[Any, ...]] = []

    class Channel:
        def finding(self, *facts: Any, **more: Any) -> None:
            told.append((*facts, more["fix"]))

    class Workspace:
        channel = Channel()

    for opset in (13, 19):
        wanted = {"source": {"kind": "onnx"}}
        export._compare_opset(Workspace(), 13, opset, wanted)  # type: ignore[arg-type]
    lint = found["onnx.opset"]
    assert told == [("onnx.opset", "warning", lint.message, lint.fix)]
