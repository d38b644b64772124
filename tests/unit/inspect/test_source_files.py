"""``hef inspect`` on what is not compiled yet: what it is, and how to build it."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from orchestrator.cli.app import run
from orchestrator.errors import ArtifactError
from orchestrator.inspect.source_files import describe_source

if TYPE_CHECKING:
    from pathlib import Path


def safetensors(path: Path, header: object) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64)
    return path


def checkpoint(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/data/0", b"\0" * 4000)
    return path


class _Acts:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]  # type: ignore[return-value]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("call", "named"),
    [((os.system, "echo"), "system"), ((subprocess.Popen, "echo"), "Popen"),
     ((eval, "1"), "eval"), ((__import__, "os"), "__import__")],
)  # fmt: skip
def test_a_checkpoint_that_runs_a_program_is_called_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: int,
    zipped: bool,
    call: tuple[object, ...],
    named: str,
) -> None:
    content = pickle.dumps(OrderedDict(a=_Acts(*call)), protocol)
    path = tmp_path / "w.pt"
    if zipped:
        checkpoint(path, content)
    else:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match="when it is loaded") as caught:
        describe_source(path)
    assert named in caught.value.message
    assert run(["inspect", str(path)]) == 6
    assert run(["init", "m", "--weights", str(path)]) == 6
    monkeypatch.chdir(tmp_path)
    assert run(["init", "m"]) == 6, "also where it was found"


def test_a_checkpoint_with_methods_and_paths_is_an_ordinary_one(tmp_path: Path) -> None:
    content = pickle.dumps({"p": PurePosixPath("a"), "f": OrderedDict(a=1).get, "s": {1}}, 4)
    assert describe_source(checkpoint(tmp_path / "w.pt", content)).kind.endswith("of weights")
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"a": 1}, 2) + b"\xff" * 100)
    assert describe_source(tmp_path / "old.pt").kind.endswith("of weights")


def test_weights_alone_need_the_code_that_makes_the_network(tmp_path: Path) -> None:
    found = describe_source(checkpoint(tmp_path / "w.pt", pickle.dumps(OrderedDict(a=1), 2)))
    assert found.kind == "PyTorch checkpoint of weights"
    assert found.command == f"hef init --weights {tmp_path / 'w.pt'}"
    assert "its code" in dict(found.facts)["network"]


def test_a_network_of_ultralytics_is_told_by_its_class_and_nothing_runs(tmp_path: Path) -> None:
    # GLOBAL names a class; it is not there, and is not looked for.
    content = b"\x80\x02cultralytics.nn.tasks\nPoseModel\n)\x81."
    found = describe_source(checkpoint(tmp_path / "p.pt", content))
    assert found.facts == (("network", "Ultralytics, pose"),)
    assert found.command == f"hef init --weights {tmp_path / 'p.pt'}"


def test_safetensors_are_counted(tmp_path: Path) -> None:
    file = safetensors(
        tmp_path / "w.safetensors",
        {
            "__metadata__": {"format": "pt"},
            "a": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
            "b": {"dtype": "F16", "shape": [], "data_offsets": [48, 50]},
        },
    )
    facts = dict(describe_source(file).facts)
    assert facts["tensors"] == "2 (F16, F32)"
    assert facts["parameters"] == "13"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pt", b"abc"),
        ("a.pth", b""),
        ("a.ckpt", b"PK\x03\x04cut off"),
        ("a.safetensors", b""),
        ("a.safetensors", struct.pack("<Q", 1 << 60)),
        ("a.safetensors", struct.pack("<Q", 2) + b"[]"),
        ("a.safetensors", struct.pack("<Q", 9) + b'{"a": {}}'),
        ("a.tflite", b"TFL3"),
        ("a.tflite", b"\x10\0\0\0TFL3" + b"\xff" * 40),
    ],
)
def test_a_damaged_file_is_told_so(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError):
        describe_source(tmp_path / name)


def test_a_bad_file_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = checkpoint(tmp_path / "good.pt", pickle.dumps({}, 2))
    (tmp_path / "bad.pt").write_bytes(b"abc")
    assert run(["inspect", str(tmp_path / "bad.pt"), str(good), "--json"]) == 6
    bad, fine = json.loads(capsys.readouterr().out)
    assert bad["error"]["code"] == "file.kind"
    assert fine["next"].startswith("hef init --weights")
    assert run(["inspect", str(good)]) == 0
    assert "build it  hef init --weights" in capsys.readouterr().out


def keras(path: Path, config: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
    return path


def test_a_keras_file_is_a_network_and_no_damaged_hef(tmp_path: Path) -> None:
    layer = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 48, 48, 3]}}
    config = {"class_name": "Functional", "config": {"layers": [layer, 3, {"class_name": "Add"}]}}
    found = describe_source(keras(tmp_path / "n.keras", config))
    assert found.facts == (
        ("network", "whole, Functional, Keras 3.15.1"), ("input", "x  ?x48x48x3"),
    )  # fmt: skip
    assert found.command == f"hef init --keras {tmp_path / 'n.keras'}"


@pytest.mark.parametrize("config", [[], "text", {"config": {"layers": {"a": 1}}}, {"config": 3}])
def test_a_strange_keras_file_is_told_and_ends_in_no_traceback(
    tmp_path: Path, config: object
) -> None:
    file = keras(tmp_path / "n.keras", config)
    if isinstance(config, dict):
        assert describe_source(file).kind == "Keras network"
    else:
        with pytest.raises(ArtifactError, match="not a Keras file, or a damaged one"):
            describe_source(file)


def test_keras_in_hdf5_a_saved_model_and_what_only_looks_like_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 64)
    assert describe_source(tmp_path / "old.h5").kind == "Keras network (HDF5)"
    (tmp_path / "not.keras").write_bytes(b"no archive")
    with pytest.raises(ArtifactError, match="not a Keras file"):
        describe_source(tmp_path / "not.keras")
    folder = tmp_path / "my saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    assert run(["inspect", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["next"] == f"hef init --saved-model '{folder}'"
    (folder / "saved_model.pb").write_bytes(b"")
    assert run(["inspect", str(folder)]) == 6
    assert "cut download" in capsys.readouterr().err
