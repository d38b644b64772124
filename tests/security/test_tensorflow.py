"""Networks of TensorFlow and Keras from strangers: code is seen before a library loads it."""

from __future__ import annotations

import contextlib
import json
import warnings
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
    "tensorflow's own": layer("function", "tensorflow.python.platform.gfile", config="Remove"),
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
    # A layer of that name is no operator.
    graph.write_bytes(b"\x0a\x08ReadFile\x12\x06Conv2D\x1a\x08ReadFile")
    _refuse_code(tmp_path, "saved_model")
    for name in (
        "WriteFile", "ReadFile", "PyFunc", "EagerPyFunc", "PrintV2", "TextLineReader",
        "TextLineReaderV2", "TFRecordDataset", "CacheDatasetV2", "SnapshotDatasetV2",
        "LMDBDataset", "DebugIdentityV3", "DebugNumericSummaryV2", "MatchingFiles", "SaveSlices",
        "InitializeTableFromTextFileV2", "FixedLengthRecordReaderV2", "DatasetToTFRecord", "Rpc",
        "ExperimentalSqlDataset", "CreateSummaryFileWriter", "DataServiceDatasetV4", "Save",
    ):  # fmt: skip
        size = bytes([len(name)])
        # Protobuf takes numbers that are written longer than they need be.
        longer = (b"\x12" + bytes([len(name) | 0x80]) + b"\0", b"\x92\0" + size,
                  b"\x92\x80\x80\0" + bytes([len(name) | 0x80]) + b"\x80\x80\0")  # fmt: skip
        for head in (b"\x12" + size, *longer):
            graph.write_bytes(b"\x0a\x01a" + head + name.encode() + b"\x1a\x01x")
            with contextlib.suppress(StageError):
                _refuse_code(tmp_path, "saved_model")
                tally.held(f"{name} {head!r}", False)
            tally.held(name, True)


def test_protobuf_takes_lengths_that_are_longer_than_needed() -> None:
    node = pytest.importorskip("onnx").NodeProto()
    node.ParseFromString(b"\x92\x80\x80\0\x89\x80\0WriteFile")
    assert list(node.output) == ["WriteFile"]


def _weights(path: Path, kind: str, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(PLAIN)
        group = file.create_group("layers/dense/vars")
        if kind == "a link":
            group["0"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "a link for the whole":
            file["model_weights"] = h5py.ExternalLink(str(secret), "/")
        elif kind == "raw":
            group.create_dataset("0", (8,), "u1", external=[(str(secret), 0, 8)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", shape=(4,))
            group.create_virtual_dataset("0", layout)
        else:
            group["0"] = [1.0, 2.0]
            # A group in itself ends, too; a soft link stays inside.
            group["round"] = file["layers"]
            group["soft"] = h5py.SoftLink("/layers/dense/vars/0")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_weights_that_lie_in_files_of_the_user_are_refused(
    tmp_path: Path, suffix: str, tally: Tally
) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = [1.0, 2.0, 3.0, 4.0]
    path = tmp_path / f"net{suffix}"
    for kind in ("a link", "a link for the whole", "raw", "virtual", "nothing of it"):
        plain = tmp_path / "weights.h5"
        _weights(plain, kind, secret)
        if suffix == ".keras":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("config.json", json.dumps(PLAIN))
                archive.write(plain, "model.weights.h5")
        else:
            plain.replace(path)
        found = code_in_keras(path)
        tally.held(f"{kind}: {found}", ("another file" in found) == (kind != "nothing of it"))


def test_a_file_of_two_kinds_is_refused(tmp_path: Path, tally: Tally) -> None:
    """Keras reads the one or the other, by its version: a guard of the other sees nothing."""
    hostile = written(tmp_path / "net.h5", network(HOSTILE["lambda"]))
    with zipfile.ZipFile(hostile, "a") as archive:
        archive.writestr("config.json", json.dumps(PLAIN))
    with h5py.File(hostile, "r") as file:
        assert "Lambda" in str(file.attrs["model_config"])
    tally.held("HDF5 and zip", "two networks" in code_in_keras(hostile))
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("config.json", json.dumps(network(HOSTILE["lambda"])))
        archive.writestr("config.json", json.dumps(PLAIN))
    tally.held("two configurations", "two files" in code_in_keras(tmp_path / "net.keras"))
