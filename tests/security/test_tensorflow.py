"""Networks of TensorFlow and Keras from strangers: code is seen before a library loads it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages.tensorflow_code import code_in_keras
from hefsmith_worker.stages.tensorflow_source import _refuse_code

from .conftest import Tally

h5py = pytest.importorskip("h5py")


def layer(name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def network(*layers: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "net", "layers": list(layers)},
        "compile_config": {"optimizer": {"module": "keras.optimizers", "class_name": "Adam"}},
    }


PLAIN = network(
    layer("InputLayer", dtype="float32"),
    layer("Conv2D", activation="relu", kernel_initializer=layer("GlorotUniform",
          "keras.initializers"), dtype=layer("DTypePolicy", "keras", kind="float32")),
    layer("Activation", activation={"module": "builtins", "class_name": "function",
          "config": "relu6", "registered_name": "function"}),
    layer("Add", "keras.src.ops.numpy"),
    {"class_name": "TFOpLambda", "config": {"name": "x", "function": "math.multiply"}},
)  # fmt: skip

HOSTILE = {
    "lambda": layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wE="}}),
    "old lambda": {"class_name": "Lambda", "config": {"function": ["4wE=", None, None]}},
    "nested": layer("TimeDistributed", layer=layer("Lambda")),
    "os": layer("function", "os", config="system"),
    "pathlib": layer("Path", "pathlib"),
    "get file": layer("function", "keras.utils", config="get_file"),
    "src utils": layer("function", "keras.src.utils.file_utils", config="get_file"),
    "importlib": layer("import_module", "importlib"),
    "saving": layer("load_model", "keras.saving"),
    "tf io": {"class_name": "TFOpLambda", "config": {"function": "io.write_file"}},
    "raw": {"class_name": "TFOpLambda", "config": {"function": "raw_ops.WriteFile"}},
}


def written(path: Path, document: Any) -> Path:
    text = json.dumps(document)
    if path.suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = text
    return path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_keras_file_is_seen_before_it_is_loaded(
    tmp_path: Path, suffix: str, tally: Tally
) -> None:
    for name, one in HOSTILE.items():
        path = written(tmp_path / f"net{suffix}", network(layer("Dense"), one))
        with pytest.raises(StageError) as caught:
            _refuse_code(path, "keras")
        tally.held(name, caught.value.code == "export.keras-code")
    assert code_in_keras(written(tmp_path / f"net{suffix}", PLAIN)) == ""


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    for name, kind in (("net.h5", "keras"), ("net", "saved_model")):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(StageError, match="cannot be read"):
            _refuse_code(tmp_path / name, kind)


def test_operators_that_touch_files_are_seen_in_a_saved_model(tmp_path: Path, tally: Tally) -> None:
    graph = tmp_path / "saved_model.pb"
    graph.write_bytes(b"\x0a\x01a\x12\x06Conv2D\x0a\x09WriteFile\x12\x06SaveV2")
    _refuse_code(tmp_path, "saved_model")
    for name in ("WriteFile", "ReadFile", "PyFunc", "EagerPyFunc", "PrintV2"):
        graph.write_bytes(b"\x0a\x01a\x12" + bytes([len(name)]) + name.encode() + b"\x1a\x01x")
        with pytest.raises(StageError) as caught:
            _refuse_code(tmp_path, "saved_model")
        tally.held(name, caught.value.code == "export.saved-model-code")
