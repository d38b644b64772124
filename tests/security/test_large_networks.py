"""Networks whose weights lie beside them, in files of gigabytes that cost nothing to send."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .conftest import Tally

if sys.platform == "win32":
    pytest.skip("forks processes, and Windows has no fork", allow_module_level=True)

from orchestrator.inspect.compiler import LARGEST, weight_of
from orchestrator.pipeline.linting import lint_graph

from ..unit.cli.bounded import run_bounded

GIGABYTES = 2200 << 20
WIDE = GIGABYTES // 2 // 4 // 64


def network(folder: Path, wide: int, *weights: dict[str, int], length: int = GIGABYTES) -> Path:
    """Write a network of one convolution and a layer for each of ``weights``: where they lie.

    ``wide`` is how many numbers a row of them has by the file's own word. The file is sparse.
    """
    import onnx
    from onnx import TensorProto, helper

    with (folder / "w.bin").open("wb") as file:
        file.truncate(length)
    tensors = [helper.make_tensor("w", TensorProto.FLOAT, [64, 3, 3, 3], bytes(6912), raw=True)]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
    ]
    for number, where in enumerate(weights):
        tensor = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[64, wide])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "w.bin", **where}.items():
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
        nodes.append(helper.make_node("Gemm", ["f", tensor.name], [f"y{number}"]))
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [
            helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, [1, wide])
            for number in range(len(weights))
        ],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


HALF = GIGABYTES // 2
CASES = {
    "two halves of 2.2 GB": (WIDE, [{"offset": at * HALF, "length": HALF} for at in (0, 1)]),
    "ten numbers that are the whole file": (10, [{}, {}]),
    "ten numbers of two gigabytes": (10, [{"length": 2000 << 20}] * 2),
    "the same gigabyte a hundred times": (WIDE, [{"length": HALF}] * 100),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_beside_a_network_are_not_read_to_look_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, name: str
) -> None:
    wide, weights = CASES[name]
    network(tmp_path, wide, *weights)
    monkeypatch.chdir(tmp_path)
    for argv in (["inspect", "net.onnx"], ["inspect", "net.onnx", "--json"]):
        ended = run_bounded(argv, memory=1 << 30)
        held = ended.code == 0 and "Traceback" not in ended.err and ended.megabytes < 400
        tally.held(f"{argv}: {ended.code} {ended.megabytes:.0f} MiB {ended.err[-300:]}", held)


def test_what_was_not_asked_is_said(tmp_path: Path) -> None:
    path = network(tmp_path, WIDE, {"length": HALF})
    assert "lint.large-network" in {one.code for one in lint_graph(path)}
    small = network(tmp_path, 10, {"length": 2560}, length=2560)
    assert "lint.large-network" not in {one.code for one in lint_graph(small)}


def test_a_network_weighs_what_lies_beside_it_or_what_it_claims(tmp_path: Path) -> None:
    small = network(tmp_path, 10, {"length": 2560}, length=2560)
    assert 2560 < weight_of(small) < 30_000
    assert weight_of(network(tmp_path, 10, {})) > GIGABYTES > LARGEST
    claims = network(tmp_path, 1 << 20, *[{"length": 2560}] * 8, length=2560)
    assert weight_of(claims) > 8 * 64 * 4 << 20
