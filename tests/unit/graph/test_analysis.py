"""The head finder gives each end its role, by what the graph does and never by its names."""

from __future__ import annotations

import io
import random
import warnings
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hefsmith_worker.graph import GraphError, HeadReport, analyse, cut_tail

from tests.unit.graph.networks import CASES, OTHERS, Case, SharedTowers

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def export(module: nn.Module, size: tuple[int, int], opset: int = 13) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.zeros(1, 3, *size),), buffer, opset_version=opset, dynamo=False
        )
    return onnx.load_from_string(buffer.getvalue())


@cache
def network(name: str) -> onnx.ModelProto:
    case = CASES[name]
    return export(case.build(), case.size)


def truth(model: onnx.ModelProto, case: Case) -> list[str]:
    """Names of the nodes that multiply by the weights of the truth."""
    found = []
    for role, weight in case.ends:
        node = next(node for node in model.graph.node if weight in node.input)
        if role == "prototypes":  # with its activation, which is an output of the network
            node = next(n for n in model.graph.node if model.graph.output[-1].name in n.output)
        found.append(node.name)
    return found


def scramble(model: onnx.ModelProto, *, nameless: bool) -> onnx.ModelProto:
    """Give every node and tensor but inputs and outputs another name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = {value.name for value in (*copy.graph.input, *copy.graph.output)}
    names: dict[str, str] = {}

    def other(name: str) -> str:
        return name if name in kept or not name else names.setdefault(name, f"t{len(names) * 7}")

    for tensor in copy.graph.initializer:
        tensor.name = other(tensor.name)
    for index, node in enumerate(copy.graph.node):
        node.name = "" if nameless else f"n{index * 3}"
        node.doc_string = ""
        for names_of in (node.input, node.output):
            names_of[:] = [other(name) for name in names_of]
    del copy.graph.value_info[:]
    onnx.checker.check_model(copy)
    return copy


def check(report: HeadReport, case: Case) -> None:
    assert report.task == case.task
    assert report.end_roles == tuple(role for role, _ in case.ends)
    assert report.classes == case.classes
    assert report.strides == case.strides
    assert report.regression_length == case.bins
    if case.family is not None:
        assert report.family == case.family
    if case.anchors is None:
        assert report.anchors is None
    else:
        assert report.anchors is not None
        for found, wanted in zip(report.anchors, case.anchors, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert report.reasons
    assert 0 < report.confidence < 1


@pytest.mark.parametrize("name", CASES)
def test_finds_the_layers_of_a_head_and_their_roles(name: str) -> None:
    model, case = network(name), CASES[name]
    report = analyse(model)
    check(report, case)
    assert list(report.end_nodes) == truth(model, case)


@pytest.mark.parametrize("name", CASES)
def test_gives_the_same_answer_when_every_name_is_another(name: str) -> None:
    model, case = network(name), CASES[name]
    places = [node.name for node in model.graph.node]
    wanted = [places.index(node) for node in truth(model, case)]
    scrambled = scramble(model, nameless=False)
    report = analyse(scrambled)
    check(report, case)
    assert list(report.end_nodes) == [scrambled.graph.node[index].name for index in wanted]
    bare = scramble(model, nameless=True)
    assert list(analyse(bare).end_nodes) == [bare.graph.node[index].output[0] for index in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 17])
def test_reads_old_and_new_operator_sets_alike(opset: int) -> None:
    for name in ("distributions, joined first", "anchors", "key points"):
        case = CASES[name]
        model = export(case.build(), case.size, opset)
        check(analyse(model), case)


@pytest.mark.parametrize("name", OTHERS)
def test_answers_other_where_nothing_is_known(name: str) -> None:
    report = analyse(export(OTHERS[name](), (96, 160)))
    assert (report.task, report.family, report.end_nodes) == ("other", "other", ())
    assert report.reasons


@pytest.mark.slow
@pytest.mark.parametrize(
    ("anchors", "centre", "family", "roles"),
    [
        (9, False, "retinanet", ("box", "class")),
        (1, True, "fcos", ("box", "objectness", "class")),
    ],
)
def test_towers_that_all_scales_share_have_an_end_per_scale(
    anchors: int, centre: bool, family: str, roles: tuple[str, ...]
) -> None:
    model = export(SharedTowers(6, anchors, centre), (256, 128))
    report = analyse(model)
    assert (report.task, report.family, report.classes) == ("detection", family, 6)
    assert report.end_roles == roles * 5
    assert report.strides == (8, 16, 32, 64, 128)
    weights = {"box": "box.weight", "class": "category.weight", "objectness": "middle.weight"}
    by_name = {node.name: node for node in model.graph.node}
    for name, role in zip(report.end_nodes, report.end_roles, strict=True):
        assert weights[role] in by_name[name].input
    assert len(set(report.end_nodes)) == len(report.end_nodes)


@pytest.mark.parametrize("name", [name for name in CASES if "cut already" not in name])
def test_the_tail_behind_the_cut_gives_the_networks_own_outputs(name: str) -> None:
    model = network(name)
    ends = analyse(model).end_nodes
    tail = cut_tail(model, ends)
    tensors = {node.name: node.output[0] for node in model.graph.node}
    wanted = [tensors[end] for end in ends]
    outputs = [value.name for value in model.graph.output]
    if tail is None:
        assert set(outputs) <= set(wanted)
        return
    onnx.checker.check_model(tail)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    missing = [tensor for tensor in wanted if tensor not in outputs]
    probe.graph.output.extend(
        onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None)
        for tensor in missing
    )
    whole = onnxruntime.InferenceSession(probe.SerializeToString())
    picture = np.random.default_rng(0).random((1, 3, *CASES[name].size), np.float32)
    names = [*outputs, *missing]
    given = dict(zip(names, whole.run(names, {whole.get_inputs()[0].name: picture}), strict=True))
    alone = onnxruntime.InferenceSession(tail.SerializeToString())
    feed = {value.name: given[value.name] for value in alone.get_inputs()}
    assert set(feed) <= set(wanted)
    for output, found in zip(outputs, alone.run(outputs, feed), strict=True):
        np.testing.assert_allclose(found, given[output], rtol=1e-4, atol=1e-5)


def test_a_cut_that_leaves_something_out_is_an_error() -> None:
    model = network("distributions")
    with pytest.raises(GraphError, match="which is not one of them"):
        cut_tail(model, analyse(model).end_nodes[:-1])
    with pytest.raises(GraphError, match="no node nowhere"):
        cut_tail(model, ["nowhere"])


def test_a_picture_of_open_size_is_looked_at_with_the_usual_one() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(network("anchors, not decoded"))
    for side, name in ((2, "h"), (3, "w")):
        model.graph.input[0].type.tensor_type.shape.dim[side].dim_param = name
    report = analyse(model)
    assert any("leaves its size open" in reason for reason in report.reasons)


def test_weights_in_a_file_beside_it_are_not_read(tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(network("anchors"))
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=1024)
    assert analyse(path).to_dict() == analyse(network("anchors")).to_dict()
    (tmp_path / "m.data").unlink()
    assert analyse(path).task == "detection"


@pytest.mark.parametrize("content", [b"", b"\x89HEF and more", b"not a network" * 50])
def test_a_file_that_is_no_network_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"m\.onnx"):
        analyse(path)


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_graph_is_an_answer_or_an_error_of_ours(seed: int) -> None:
    chance = random.Random(seed)
    model = onnx.ModelProto()
    model.CopyFrom(network("distributions, joined first"))
    nodes = model.graph.node
    for _ in range(4):
        node = nodes[chance.randrange(len(nodes))]
        damage = chance.randrange(5)
        if damage == 0:
            nodes.remove(node)
        elif damage == 1 and node.input:
            del node.input[chance.randrange(len(node.input))]
        elif damage == 2 and node.attribute:
            del node.attribute[chance.randrange(len(node.attribute))]
        elif damage == 3 and node.input:
            node.input[0] = nodes[chance.randrange(len(nodes))].output[0]
        else:
            node.op_type = chance.choice(["Reshape", "Split", "Conv", "Slice", "Unheard"])
    try:
        assert analyse(model).task in {
            "classification", "detection", "segmentation", "pose", "oriented boxes", "other"
        }  # fmt: skip
    except GraphError as error:
        assert str(error)


def test_the_report_as_json_has_the_keys_of_the_contract() -> None:
    assert list(analyse(network("masks")).to_dict()) == [
        "task", "family", "end_nodes", "end_roles", "end_shapes", "classes", "strides",
        "regression_length", "anchors", "confidence", "reasons", "decoding", "nameless",
        "layers",
    ]  # fmt: skip


def test_kinds_of_layers_that_settings_are_known_for_are_named() -> None:
    from onnx import helper

    def kinds(*nodes: onnx.NodeProto, weights: tuple[str, ...] = ()) -> tuple[str, ...]:
        graph = helper.make_graph(
            list(nodes), "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.ones((8, 8), np.float32), name) for name in weights],
        )  # fmt: skip
        return analyse(helper.make_model(graph)).layers

    square = helper.make_node("MatMul", ["x", "x"], ["m"])
    assert kinds(helper.make_node("Relu", ["x"], ["y"])) == ()
    assert kinds(helper.make_node("MatMul", ["x", "w"], ["y"]), weights=("w",)) == ()
    assert kinds(helper.make_node("Add", ["x", "w"], ["y"]), weights=("w",)) == ()
    assert kinds(square, helper.make_node("Add", ["m", "x"], ["y"])) == ("ew_add", "matmul")
