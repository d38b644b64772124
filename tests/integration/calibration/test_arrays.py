"""Networks whose inputs are no pictures, from arrays to the device, as a user builds them."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.integration.main_job.conftest import Project

pytestmark = pytest.mark.engine

RECIPE = """schema: 1
source: {onnx: net.onnx}
preprocessing: {normalize: host}
calibration: {source: calibration.npy, count: 64}
optimization: {level: 0}
arch: [hailo8l]
postprocess: {task: other}
validation: {source: validation.npz, samples: 16}
"""


def weights(name: str, *shape: int) -> onnx.TensorProto:
    chance = np.random.RandomState(len(name) + sum(shape))
    fan = int(np.prod(shape[1:])) or 1
    return numpy_helper.from_array(
        chance.normal(0, (2 / fan) ** 0.5, shape).astype(np.float32), name
    )


def spectral(path: Path) -> tuple[int, ...]:
    """Seven channels through two convolutions to five classes."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "c1", kernel_shape=[3, 3], strides=[2, 2],
                         pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "r1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "c2", kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c2"], ["r2"], "r2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"], "g"),
        helper.make_node("Flatten", ["g"], ["f"], "f"),
        helper.make_node("Gemm", ["f", "w3"], ["y"], "y_gemm", transB=1),
    ]  # fmt: skip
    shape = (1, 7, 16, 16)
    _save(path, nodes, [weights("w1", 12, 7, 3, 3), weights("w2", 12, 12, 3, 3),
                        weights("w3", 5, 12)], shape)  # fmt: skip
    return shape


def features(path: Path) -> tuple[int, ...]:
    """Sixteen features through one hidden layer to four classes."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["h"], "hidden", transB=1),
        helper.make_node("Relu", ["h"], ["r"], "r"),
        helper.make_node("Gemm", ["r", "w2"], ["y"], "y_gemm", transB=1),
    ]
    shape = (1, 16)
    _save(path, nodes, [weights("w1", 32, 16), weights("w2", 4, 32)], shape)
    return shape


def _save(path: Path, nodes: list, constants: list, shape: tuple[int, ...]) -> None:
    classes = constants[-1].dims[0]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes])],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))


@pytest.mark.parametrize("make", [spectral, features])
def test_arrays_feed_calibration_samples_and_the_device(
    make: Callable[[Path], tuple[int, ...]], tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    shape = make(folder / "net.onnx")
    row = (*shape[2:], shape[1])
    chance = np.random.RandomState(0)
    np.save(folder / "calibration.npy", chance.normal(5, 3, (70, *row)).astype(np.float32))
    held_out = chance.normal(5, 3, (20, *row)).astype(np.float32)
    np.savez(folder / "validation.npz", x=held_out)
    (folder / "model.yaml").write_text(RECIPE)
    project = Project(tmp_path)

    up = project.hef("up", "net", "--engine", "local", "--json")

    assert up.returncode == 0, up.stderr
    outcome = json.loads(up.stdout)
    measures = {one["step"]: one["measures"] for one in outcome["proof"]["verdict"]["steps"]}
    assert measures["sdk_native"]["cosine"] == pytest.approx(1, abs=1e-5)
    assert 0.99 <= measures["device"]["cosine"] < 1
    golden = tmp_path / "artifacts/net/hailo8l/golden"
    index = json.loads((golden / "golden.json").read_text())
    rows = [int(re.findall(r"\[(\d+)\]", sample["name"])[0]) for sample in index["samples"]]
    assert np.array_equal(np.load(golden / "inputs/0.npy"), held_out[rows])
    sheet = sheet_of(tmp_path / "artifacts/net/hailo8l/report.html")
    assert sheet.width <= 940
    assert len(np.unique(np.asarray(sheet.convert("L")))) > 50


def sheet_of(report: Path) -> Image.Image:
    """The contact sheet that the page carries in itself."""
    (found,) = re.findall(
        r'<img class=sheet src="data:image/jpeg;base64,([^"]+)"', report.read_text(encoding="utf-8")
    )
    return Image.open(io.BytesIO(base64.b64decode(found)))
