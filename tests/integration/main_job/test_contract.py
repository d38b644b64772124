"""One and the same worker through the emulator, for networks of every kind it must take."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from PIL import Image

from tests.unit.emulator import onnx_models

from .conftest import Project


def two_pictures() -> onnx.ModelProto:
    """Two pictures, each through a convolution of its own, joined before the dense layer."""
    b = onnx_models.Builder()
    sides = []
    for name in ("left", "right"):
        x = b.input(name, [1, 3, 16, 16])
        sides.append(b.cbs(x, 8, stride=2, name=f"/{name}"))
    y = b.node("Add", sides, name="/join")
    y = b.node("Flatten", [b.node("GlobalAveragePool", [y], name="/gap")], name="/flat", axis=1)
    b.features[y] = 8
    return b.build([b.dense(y, 8, 5, name="/fc")])


MODELS: dict[str, tuple[Any, str]] = {
    "classifier": (lambda: onnx_models.classifier(), "postprocess: {task: classification}"),
    "detector": (
        lambda: onnx_models.yolov8(size=64),
        "postprocess: {task: detection, nms: {score: 0.01, classes: 3}}",
    ),
    "two": (two_pictures, ""),
    "wide": (
        lambda: onnx_models.classifier(),
        "optimization: {level: 0, outputs_16bit: true}",
    ),
    "gray": (lambda: onnx_models.fully_convolutional(channels=1), ""),
}


def shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.input
        if value.name not in weights
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All five models, built by one command."""
    root = tmp_path_factory.mktemp("contract")
    pictures = root / "pictures"
    pictures.mkdir()
    random = np.random.default_rng(5)
    for index in range(16):
        small = random.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((48, 40), Image.Resampling.BICUBIC).save(
            pictures / f"{index:02d}.png"
        )
    for name, (make, extra) in MODELS.items():
        folder = root / "models" / name
        folder.mkdir(parents=True)
        model = make()
        onnx.save(model, str(folder / "net.onnx"))
        inputs = shapes(model)
        sources = dict.fromkeys(inputs, "pictures") if len(inputs) > 1 else "pictures"
        recipe = {
            "source": {"onnx": "net.onnx"},
            "calibration": {"source": sources, "count": 12, "deduplicate": False},
            "validation": {"samples": 4},
            "preprocessing": {"mean": 0, "std": 255},
        }
        lines = yaml.safe_dump(recipe, sort_keys=False) + extra + "\n"
        (folder / "model.yaml").write_text(lines, encoding="utf-8")
    made = Project(root)
    done = made.hef("build", *MODELS, "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    return made


def golden(project: Project, model: str) -> dict[str, Any]:
    folder = project.root / "artifacts" / model / "hailo8l" / "golden"
    return dict(json.loads((folder / "golden.json").read_text(encoding="utf-8")))


def load(project: Project, model: str, step: str, index: int = 0) -> np.ndarray:
    folder = project.root / "artifacts" / model / "hailo8l" / "golden"
    return np.asarray(np.load(folder / golden(project, model)["steps"][step][index]))


@pytest.mark.parametrize("model", ["classifier", "two", "wide", "gray"])
def test_the_parsed_network_computes_what_onnx_does(project: Project, model: str) -> None:
    for index in range(len(golden(project, model)["outputs"])):
        native = load(project, model, "sdk_native", index)
        np.testing.assert_allclose(native, load(project, model, "onnx", index), atol=1e-4)


@pytest.mark.parametrize("model", ["classifier", "two", "gray"])
def test_quantising_changes_the_numbers_a_little(project: Project, model: str) -> None:
    exact = load(project, model, "sdk_fp_optimized")
    quantised = load(project, model, "sdk_quantized")
    noise = float(np.abs(quantised - exact).max())
    assert 0 < noise < 0.2 * float(np.abs(exact).max())


def test_sixteen_bits_are_finer_than_eight(project: Project) -> None:
    def error(model: str) -> float:
        exact = load(project, model, "sdk_fp_optimized")
        return float(np.abs(load(project, model, "sdk_quantized") - exact).mean())

    assert error("wide") < error("classifier")


def test_a_detector_is_cut_and_its_boxes_are_decoded(project: Project) -> None:
    document = golden(project, "detector")
    assert document["outputs"][0]["kind"] == "nms"
    folder = project.root / "artifacts" / "detector" / "hailo8l"
    assert "nms_postprocess" in (folder / "model.alls").read_text(encoding="utf-8")
    for step in ("onnx", "sdk_fp_optimized"):
        with np.load(folder / "golden" / document["steps"][step][0]) as found:
            assert found["boxes"].shape[1] == 6
            assert len(found["offsets"]) == 5


def test_both_inputs_are_calibrated(project: Project) -> None:
    assert len(golden(project, "two")["inputs"]) == 2
    script = (project.root / "artifacts/two/hailo8l/model.alls").read_text(encoding="utf-8")
    assert "normalization1" in script
    assert "normalization2" in script
