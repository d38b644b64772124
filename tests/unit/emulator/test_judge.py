"""One judgement of what the compiler takes: ``hef inspect``, ``hef lint`` and the parser agree."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hailo_emulator.translate import translate
from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException
from onnx import TensorProto, helper, numpy_helper

from orchestrator.cli.app import run
from orchestrator.inspect.compiler import cure_of, judge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def network(bad: str | None, path: Path) -> Path:
    """Two convolutions with a remainder before, between or behind them."""
    random = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants = [
        numpy_helper.from_array(np.array(2.0, np.float32), "two"),
        numpy_helper.from_array(random.normal(size=(4, 3, 3, 3)).astype(np.float32), "w1"),
        numpy_helper.from_array(random.normal(size=(4, 4, 3, 3)).astype(np.float32), "w2"),
    ]
    tensor = "x"

    def add(op: str, name: str, *more: str, **attributes: Any) -> None:
        nonlocal tensor
        nodes.append(helper.make_node(op, [tensor, *more], [f"{name}_out"], name, **attributes))
        tensor = f"{name}_out"

    if bad == "before":
        add("Mod", "/bad/Mod", "two", fmod=1)
    add("Relu", "/r0/Relu")
    add("Conv", "/c1/Conv", "w1")
    if bad == "middle":
        add("Mod", "/bad/Mod", "two", fmod=1)
    add("Conv", "/c2/Conv", "w2")
    if bad == "after":
        add("Mod", "/bad/Mod", "two", fmod=1)
    add("Relu", "/end/Relu")
    graph = helper.make_graph(
        nodes,
        "n",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, 4, 12, 12])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def parser_says(path: Path, **cut: Any) -> set[str]:
    """Return the nodes that a build's parser refuses."""
    try:
        translate(str(path), "net", **cut)
    except ParsingWithRecommendationException as error:
        lines = [line for line in str(error).splitlines() if " in op " in line]
        return {line.split(" in op ")[1].split(":")[0] for line in lines}
    return set()


@pytest.mark.parametrize(
    ("bad", "advice"),
    [
        (None, None),
        ("before", "start_nodes: [/r0/Relu]"),
        ("middle", "in the middle"),
        ("after", "end_nodes: [/c2/Conv]"),
    ],
)
def test_all_say_the_same_of_a_network_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str | None, advice: str | None
) -> None:
    path = network(bad, tmp_path / "net.onnx")
    judged = judge(path)
    assert judged is not None
    assert {problem.node for problem in judged.problems} == parser_says(path)
    assert [problem.place for problem in judged.problems] == ([bad] if bad else [])
    assert run(["inspect", str(path), "--json"]) == 0
    refused = json.loads(capsys.readouterr().out)["refused_by_hailo"]
    assert run(["lint", str(path), "--json"]) == (2 if bad else 0)
    linted = json.loads(capsys.readouterr().out)["findings"]
    assert len(refused) == len(linted) == (1 if bad else 0)
    for item, finding in zip(refused, linted, strict=True):
        assert advice is not None
        assert advice in item["fix"] == finding["fix"]
        assert finding["severity"] == "error"
        assert "/bad/Mod" in finding["message"]


@pytest.mark.parametrize("bad", ["before", "after"])
def test_the_advice_is_one_that_the_parser_takes(tmp_path: Path, bad: str) -> None:
    path = network(bad, tmp_path / "net.onnx")
    judged = judge(path)
    assert judged is not None
    side = "start_nodes" if bad == "before" else "end_nodes"
    names = getattr(judged, side)
    assert names
    assert parser_says(path, **{side: list(names)}) == set()
    again = judge(path, **{side: names})
    assert again is not None
    assert again.problems == ()


def test_what_cannot_be_read_is_judged_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no network")
    judged = judge(path)
    assert judged is None or judged.refused
    assert judge(tmp_path / "absent.onnx") is None


def test_a_cut_that_the_file_does_not_have_is_told(tmp_path: Path) -> None:
    judged = judge(network(None, tmp_path / "net.onnx"), end_nodes=["/none/Conv"])
    assert judged is not None
    assert "/none/Conv" in (judged.refused or "")
    assert "in the middle" in cure_of(judged, "middle")


def test_a_model_is_linted_as_its_build_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models" / "net"
    (folder / "pictures").mkdir(parents=True)
    network("after", folder / "net.onnx")
    text = "schema: 1\nsource: {onnx: net.onnx}\ncalibration: {source: pictures}\n"
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["lint", "net"]) == 2
    assert "/bad/Mod" in capsys.readouterr().out
    cut = "parser: {end_nodes: [/c2/Conv]}\n"
    (folder / "model.yaml").write_text(text + cut, encoding="utf-8")
    assert run(["lint", "net"]) == 0
    assert run(["lint", "models/net/model.yaml"]) == 0
    script = "optimization: {script: ['quantisation_param(conv1, precision_mode=a16_w16)']}\n"
    (folder / "model.yaml").write_text(text + cut + script, encoding="utf-8")
    assert run(["lint", "net"]) == 2
    assert "quantisation_param" in capsys.readouterr().out
    assert run(["lint", "other"]) == 2


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("conv1", []),
        ("[conv1, matmul1]", ["m"]),
        ("{matmul*}", ["m"]),
        ("conv2", ["m"]),
        ("conv3", ["m"]),
        ("{*conv*}", ["m"]),
        ("conv4", []),
        ("output_layer1", []),
    ],
)
def test_sixteen_bits_for_attention_are_told_beforehand(
    named: str, told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text(f"quantization_param({named}, precision_mode=a16_w16)\n", encoding="utf-8")
    hn = tmp_path / "net.hn"
    layers = {
        "net/conv1": {"type": "conv", "output": ["net/conv2"]},
        "net/conv2": {"type": "conv", "input": ["net/conv1"], "output": ["net/format1"]},
        "net/format1": {"type": "format_conversion", "input": ["net/conv2"]},
        "net/matmul1": {
            "type": "matmul",
            "input": ["net/format1", "net/format1"],
            "output": ["net/conv3", "net/output_layer1"],
        },
        "net/conv3": {"type": "conv", "input": ["net/matmul1"], "output": ["net/conv4"]},
        "net/conv4": {"type": "conv", "input": ["net/conv3"], "output": []},
        "net/output_layer1": {"type": "output_layer", "input": ["net/matmul1"]},
    }
    hn.write_text(json.dumps({"layers": layers}), encoding="utf-8")

    def codes(arch: str) -> list[str]:
        assert run(["lint", str(script), "--layers", str(hn), "--arch", arch, "--json"]) == 0
        return [one["code"] for one in json.loads(capsys.readouterr().out)["findings"]]

    assert codes("hailo8l") == ["precision.matmul"] * len(told)
    assert codes("hailo10h") == []


@pytest.mark.parametrize(("arch", "told"), [("hailo8", True), ("hailo10h", False), (None, False)])
def test_a_har_tells_its_chip(
    arch: str | None, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text("quantization_param(matmul1, precision_mode=a16_w16)\n", encoding="utf-8")
    members = {
        "net.hn": {"layers": {"net/matmul1": {"type": "matmul"}}},
        "net.metadata.json": {} if arch is None else {"hw_arch": arch},
    }
    with tarfile.open(tmp_path / "net.har", "w") as archive:
        for name, content in members.items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    assert run(["lint", str(script), "--layers", str(tmp_path / "net.har")]) == 0
    assert ("precision.matmul" in capsys.readouterr().out) is told


def test_a_script_that_does_not_parse_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "my.alls"
    script.write_text("quantization_param(\nconv1(]\n", encoding="utf-8")
    hn = tmp_path / "net.hn"
    hn.write_text(json.dumps({"layers": {"net/matmul1": {"type": "matmul"}}}), encoding="utf-8")
    assert run(["lint", str(script), "--layers", str(hn), "--arch", "hailo8l"]) == 2
    assert "expected" in capsys.readouterr().out


def test_the_end_that_is_told_leaves_out_what_the_host_computes(tmp_path: Path) -> None:
    """A peak search reads the heat map twice: itself, and its pooled form."""
    path = network(None, tmp_path / "net.onnx")
    model = onnx.load(str(path))
    last = model.graph.output[0].name
    model.graph.node.extend(
        [
            helper.make_node(
                "MaxPool", [last], ["pooled"], "/pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]
            ),
            helper.make_node("Equal", [last, "pooled"], ["same"], "/equal"),
            helper.make_node("Cast", ["same"], ["mask"], "/cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [last, "mask"], ["peaks"], "/mul"),
        ]
    )
    model.graph.output[0].name = "peaks"
    onnx.save(model, str(path))
    judged = judge(path)
    assert judged is not None
    assert judged.end_nodes == ("/end/Relu",)


def test_no_learned_layer_is_left_to_the_host_for_a_shorter_cut(tmp_path: Path) -> None:
    """A head that the other could be computed of is still an end of its own."""
    path = network(None, tmp_path / "net.onnx")
    model = onnx.load(str(path))
    last = model.graph.output[0].name
    model.graph.node.extend(
        [
            helper.make_node("Conv", [last, "w2"], ["deep"], "/c3/Conv"),
            helper.make_node("Mod", ["deep", "two"], ["y1"], "/bad/one", fmod=1),
            helper.make_node("Mod", [last, "two"], ["y2"], "/bad/two", fmod=1),
        ]
    )
    model.graph.output[0].name = "y1"
    model.graph.output[0].type.tensor_type.ClearField("shape")
    second = model.graph.output.add()
    second.name = "y2"
    second.type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(model, str(path))
    judged = judge(path)
    assert judged is not None
    assert judged.end_nodes == ("/end/Relu", "/c3/Conv")


def test_a_cut_in_the_middle_says_what_it_keeps(tmp_path: Path) -> None:
    judged = judge(network("middle", tmp_path / "net.onnx"))
    assert judged is not None
    assert judged.learned == (1, 2)
    assert "end_nodes: [/c1/Conv]}), which keeps 1 of 2 learned" in cure_of(judged, "middle")
