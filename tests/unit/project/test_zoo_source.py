"""``source: zoo``: what a hailomz YAML gives, what the recipe overrides, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.project.loading import load_recipe
from orchestrator.project.recipe import Preprocessing, Recipe
from orchestrator.project.workspace import open_workspace
from orchestrator.project.zoo_source import expand

BASE = """\
parser: {normalization_params: {normalize_in_net: false, mean_list: null, std_list: null}}
preprocessing: {meta_arch: null, padding_color: 0, input_shape: null}
info: {task: N/A}
"""
NETWORK = """\
base: [base/base.yaml]
network: {network_name: plates}
paths: {alls_script: plates.alls, network_path: [zoo/plates.onnx]}
parser: {nodes: [images, [/head/a, /head/b]]}
preprocessing: {meta_arch: yolo_v5, padding_color: 114, input_shape: [640, 480, 3]}
evaluation: {classes: 90}
info: {task: object detection, supported_hw_arch: [hailo8, hailo8l]}
"""
ALLS = """\
normalization1 = normalization([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
nms_postprocess("../../../postprocess_config/plates.json", meta_arch=ssd, engine=cpu)
"""
RECIPE = """\
schema: 1
source: {zoo: zoo/networks/plates.yaml, weights: plates.onnx}
calibration: {source: pictures}
arch: [hailo8l]
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "plates"
    files = {
        "zoo/base/base.yaml": BASE,
        "zoo/networks/plates.yaml": NETWORK,
        "zoo/alls/generic/plates.alls": "normalization1 = normalization([0.0], [1.0])\n",
        "zoo/alls/hailo8l/base/plates.alls": ALLS,
        "zoo/postprocess_config/plates.json": json.dumps({"classes": 91, "bbox_decoders": []}),
        "plates.onnx": "",
        "model.yaml": RECIPE,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def shared_preprocessing(recipe: Recipe) -> Preprocessing:
    assert isinstance(recipe.preprocessing, Preprocessing)
    return recipe.preprocessing


def test_the_zoo_gives_what_hailomz_would_take_from_it(model: Path) -> None:
    recipe = open_workspace(model).recipe("plates").recipe
    assert recipe.source.onnx == str(model / "plates.onnx")
    assert recipe.source.zoo is None
    shared = shared_preprocessing(recipe)
    assert (shared.resize, shared.pad, shared.size) == ("letterbox", 114, (640, 480))
    assert (shared.mean, shared.std, shared.normalize) == ((1, 2, 3), (4, 5, 6), "chip")
    assert recipe.parser.end_nodes == ("/head/a", "/head/b")
    assert recipe.parser.start_nodes == ("images",)
    # The chip's own script goes before the generic one.
    assert recipe.optimization.script_file is None
    # Its normalisation is the recipe's now, and is written from there.
    assert recipe.optimization.script == (ALLS.splitlines()[1],)
    assert recipe.postprocess.nms.config == str(model / "zoo/postprocess_config/plates.json")
    # No --classes: the JSON's own count stays, with its background.
    assert recipe.postprocess.nms.classes is None


def test_each_chip_has_its_own_script(model: Path) -> None:
    loaded = load_recipe(model)
    full, _ = expand(loaded, model / "zoo/networks/plates.yaml", "hailo8")
    assert full.recipe.optimization.script == ()
    assert shared_preprocessing(full.recipe).std == (1,)
    # No nms_postprocess in that script: hailomz adds none either.
    assert full.recipe.postprocess.nms.enabled is False


def test_what_the_recipe_states_goes_before_the_zoo(model: Path) -> None:
    text = RECIPE + (
        "preprocessing: {mean: [7], std: [8], resize: stretch}\n"
        "optimization: {script: ['performance_param(fps=30)']}\n"
        "postprocess: {nms: {classes: 3}}\nparser: {end_nodes: [/mine]}\nstrict: true\n"
    )
    (model / "model.yaml").write_text(text, encoding="utf-8")
    recipe = open_workspace(model).recipe("plates").recipe
    shared = shared_preprocessing(recipe)
    assert (shared.mean, shared.std, shared.resize, shared.pad) == ((7,), (8,), "stretch", 114)
    assert recipe.postprocess.nms.classes == 3
    assert recipe.parser.end_nodes == ("/mine",)
    assert recipe.parser.start_nodes == ("images",)
    assert recipe.optimization.script == (ALLS.splitlines()[1], "performance_param(fps=30)")
    assert recipe.strict


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("weights: plates.onnx", "kwargs: {}"), "zoo.checkpoint"),
        (("hailo8l", "hailo15h"), "zoo.arch"),
        (("plates.yaml", "other.yaml"), "recipe.missing"),
    ],
)
def test_what_is_missing_is_told(model: Path, change: tuple[str, str], code: str) -> None:
    (model / "model.yaml").write_text(RECIPE.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        open_workspace(model).recipe("plates")
    assert caught.value.code == code
    assert "model.yaml:" in caught.value.message


def test_a_script_that_is_not_there_is_not_replaced_in_silence(model: Path) -> None:
    for path in model.rglob("*.alls"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"plates\.alls"):
        open_workspace(model).recipe("plates")


def test_a_scale_that_nobody_states_is_not_guessed(model: Path) -> None:
    network = NETWORK.replace("alls_script: plates.alls, ", "")
    (model / "zoo/networks/plates.yaml").write_text(network, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        open_workspace(model).recipe("plates")
    assert caught.value.code == "zoo.normalisation"
    (model / "model.yaml").write_text(
        RECIPE + "preprocessing: {preset: imagenet}\n", encoding="utf-8"
    )
    assert shared_preprocessing(open_workspace(model).recipe("plates").recipe).mean is None
