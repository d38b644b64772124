"""What public sources say of the vendor's compiler: classes, messages, data sets, archives."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def images() -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)


def runner(models: Any, script: str = "", model: Any = None) -> Any:
    from hailo_sdk_client import ClientRunner

    made = ClientRunner(hw_arch="hailo8l")
    network = models.classifier() if model is None else model
    made.translate_onnx_model(network.SerializeToString(), "net")
    if script:
        made.load_model_script(script)
    return made


def test_compiling_too_early_fails_in_the_vendors_words(models: Any) -> None:
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendRuntimeException

    with pytest.raises(BackendRuntimeException) as caught:
        runner(models).compile()
    assert str(caught.value) == (
        "Model requires quantized weights in order to run on HW, but none were given. "
        "Did you forget to quantize?"
    )


def test_a_missing_nms_file_fails_in_the_vendors_words(models: Any, images: Any) -> None:
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import AllocatorScriptParserException

    made = runner(models, 'nms_postprocess("no.json", meta_arch=yolov8)\n', models.yolov8())
    with pytest.raises(
        AllocatorScriptParserException, match=r"Post-process config file isn't found in .*no\.json"
    ):
        made.optimize_full_precision()


def test_heads_that_end_in_a_concat_fail_in_the_vendors_words(models: Any) -> None:
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import AllocatorScriptParserException

    b = models.Builder()
    x = b.input("x", [1, 3, 64, 64])
    parts = [b.conv(x, width, stride=2, name=f"/c{width}") for width in (64, 3)]
    made = runner(
        models, "nms_postprocess(meta_arch=yolov8)\n", b.build([b.concat(parts, name="/join")])
    )
    with pytest.raises(
        AllocatorScriptParserException,
        match="Error in the last layers of the model, expected conv but found concat layer",
    ):
        made.optimize_full_precision()


def test_the_error_of_a_model_has_its_home_in_the_network_description() -> None:
    from hailo_sdk_client.model_translator import exceptions as old
    from hailo_sdk_common.hailo_nn.exceptions import UnsupportedModelError

    assert old.UnsupportedModelError is UnsupportedModelError


@pytest.mark.parametrize(
    ("version", "ends"), [("3.33.0", False), ("3.33.1", True), ("3.34.0", True)]
)
def test_more_images_than_there_are_end_the_run_from_3_33_1(
    models: Any, images: Any, monkeypatch: pytest.MonkeyPatch, version: str, ends: bool
) -> None:
    from hailo_model_optimization.acceleras.utils.acceleras_exceptions import (
        AccelerasInitializationError,
    )

    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", version)
    made = runner(models, "model_optimization_config(calibration, calibset_size=64)\n")
    if not ends:
        made.optimize(images)
        return
    with pytest.raises(AccelerasInitializationError, match="64"):
        made.optimize(images)


@pytest.mark.parametrize("version", ["3.33.0", "3.33.1"])
def test_the_compiler_turns_logits_of_a_head_into_scores_itself(
    models: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, version: str
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", version)
    made = runner(models, "nms_postprocess(meta_arch=yolov8, engine=cpu)\n", models.yolov8())
    made.optimize_full_precision()
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if "was replaced by a Sigmoid" in line]
    layers = {
        name: entry["params"].get("activation")
        for name, entry in made.get_hn_dict()["layers"].items()
        if name in ("net/conv41", "net/conv42")
    }
    if version == "3.33.0":
        assert lines == []
        assert layers == {"net/conv41": "linear", "net/conv42": "linear"}
        return
    assert "[info] The activation function of layer net/conv42 was replaced by a Sigmoid" in lines
    assert len(lines) == 3
    assert layers == {"net/conv41": "linear", "net/conv42": "sigmoid"}


class DatasetLike:
    """What ``tf.data.Dataset`` is to the emulator: an ``element_spec``, and pass after pass."""

    element_spec = ("image", "info")

    def __init__(self, frames: Any) -> None:
        self.frames = frames

    def __iter__(self) -> Any:
        return iter([(frame, {"label": 0}) for frame in self.frames])


def test_a_dataset_is_taken_as_itself_and_from_a_callable(models: Any, images: Any) -> None:
    results = []
    for data in (images, DatasetLike(images), lambda: DatasetLike(images)):
        made = runner(models)
        made.optimize(data)
        results.append(made.compile())
    assert results[0] == results[1] == results[2]


@pytest.mark.slow
def test_an_archive_holds_three_descriptions_and_is_read_by_name(
    models: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hailo_sdk_client import ClientRunner, States

    from orchestrator.cli.lint import _read_layers
    from orchestrator.inspect.har import read_har

    script = "n = normalization([0,0,0],[255,255,255])\nnms_postprocess(meta_arch=yolov8)\n"
    images = np.random.default_rng(3).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    seen = []
    for order in ("", "other-order"):
        monkeypatch.setenv("HEFSMITH_EMULATED_QUIRKS", order)
        made = runner(models, script, models.yolov8())
        made.optimize(images)
        path = tmp_path / f"{order}.har"
        made.save_har(path)
        with tarfile.open(path) as tar:
            names = tar.getnames()
            meta = tar.extractfile("net.modifications_meta_data.json")
            assert meta is not None
            inputs = json.load(meta)["inputs"]
        assert {"net.hn", "net.native.hn", "net.fp.hn", "net.npz"} <= set(names)
        assert [step["cmd_type"] for step in inputs["net/input_layer1"]] == ["normalization"]
        again = ClientRunner(hw_arch="hailo8l", har=path)
        assert again.state is States.QUANTIZED_MODEL
        found = read_har(path)
        seen.append((names[0], found.layers, found.script, _read_layers(path), again.compile()))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1]["postprocess"] == 1  # as it is now, not as it was parsed
    assert "net/yolov8_nms_postprocess" in seen[0][3]
    assert seen[0][1:] == seen[1][1:]


@pytest.mark.parametrize(
    ("version", "arch", "lines"),
    [
        ("3.33.0", "hailo8l", ["[info] No GPU chosen, Selected GPU 0"]),
        ("5.2.0", "hailo10h", ["[info] No GPU chosen, selecting least used GPU",
                               "[info] Selected GPU: 0"]),
    ],
)  # fmt: skip
def test_a_card_is_named_in_the_words_of_the_line(
    models: Any, images: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any,
    version: str, arch: str, lines: list[str],
) -> None:  # fmt: skip
    from hailo_sdk_client import ClientRunner

    from orchestrator.diagnose.log_reader import read_log

    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", version)
    monkeypatch.setenv("HEFSMITH_EMULATED_GPU", "1")
    made = ClientRunner(hw_arch=arch)
    made.translate_onnx_model(models.classifier().SerializeToString(), "net")
    made.optimize(images)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line in lines] == lines
    assert read_log(said).ran().gpu is True


def test_anchors_that_nobody_gave_are_said_to_be_the_published_ones(
    models: Any, capsys: Any
) -> None:
    b = models.Builder()
    x = b.input("x", [1, 3, 64, 64])
    heads = []
    for number in range(5):
        x = b.conv(x, 8, stride=2, name=f"/b{number}")
        if number >= 2:
            heads.append(b.conv(x, 24, 1, name=f"/h{number}"))
    made = runner(models, "nms_postprocess(meta_arch=yolov5, engine=cpu)\n", b.build(heads))
    made.optimize_full_precision()
    assert "Default values of NMS anchors were loaded" in capsys.readouterr().out
