"""Weights that are no checkpoint yet (archives, parts), and checkpoints by other names."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from orchestrator.cli.app import run
from orchestrator.project.survey.folder import look_around

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch = pytest.importorskip("torch")
NET = "from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n"


def state() -> dict[str, object]:
    return dict(torch.nn.Linear(3, 2).state_dict())


def archive(folder: Path) -> Path:
    torch.save(state(), folder / "w.pt")
    with zipfile.ZipFile(folder / "weights.zip", "w") as packed:
        packed.write(folder / "w.pt", "release/w.pt")
    (folder / "w.pt").unlink()
    return folder / "weights.zip"


def part(folder: Path) -> Path:
    safetensors = pytest.importorskip("safetensors.torch")
    for number, (name, tensor) in enumerate(state().items(), 1):
        safetensors.save_file({name: tensor}, folder / f"model-0000{number}-of-00002.safetensors")
    return folder / "model-00001-of-00002.safetensors"


def parts(folder: Path) -> Path:
    part(folder)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {}}))
    return path


def program(folder: Path) -> Path:
    path = folder / "net.pt2"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("net/archive_format", "pt2")
    return path


PACKED = [
    (archive, "is a zip archive that holds release/w.pt", "Unpack it"),
    (part, "is one part of a network's weights", "'model-*-of-*.safetensors'"),
    (parts, "is a list of parts of a network's weights", "'model-*-of-*.safetensors'"),
    (program, "is a program of torch.export", "f='net.onnx'"),
]


@pytest.mark.parametrize(("make", "words", "step"), PACKED)
@pytest.mark.parametrize("command", ["init", "inspect"])
def test_a_file_with_weights_in_it_is_called_what_it_is(
    make: Callable[[Path], Path],
    words: str,
    step: str,
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    name = make(tmp_path).name
    line = ["init", "--weights", name] if command == "init" else ["inspect", name]
    assert run([*line]) != 0
    said = capsys.readouterr().err
    assert f"{name} {words}" in said
    assert step in said


@pytest.mark.parametrize(("make", "words", "_step"), PACKED)
def test_hef_init_finds_it_and_says_what_to_do_with_it(
    make: Callable[[Path], Path],
    words: str,
    _step: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    assert run(["init", "--yes"]) != 0
    said = capsys.readouterr().err
    assert "no network was found" not in said
    assert (words if make is not parts else "is one part of") in said


def test_the_parts_of_one_network_are_one_network(tmp_path: Path) -> None:
    parts(tmp_path)
    assert [one.path.name for one in look_around(tmp_path).networks] == [
        "model-00001-of-00002.safetensors"
    ]


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("name", ["net.tar", "net.zip", "net.bin", "net.pkl"])
def test_a_checkpoint_is_told_by_its_bytes_where_its_ending_is_another_kinds(
    name: str, new: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    torch.save(state(), path, _use_new_zipfile_serialization=new)
    (found,) = look_around(tmp_path).networks
    assert (found.path, found.words) == (path, "PyTorch weights")
    assert run(["inspect", str(path)]) == 0
    assert "PyTorch checkpoint of weights" in capsys.readouterr().out


def test_archives_and_pickles_of_other_things_are_no_networks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as packed:
        packed.writestr("a/1.jpg", b"\xff\xd8")
    (tmp_path / "scaler.pkl").write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "data.tar").write_bytes(b"\0" * 1024)
    assert look_around(tmp_path).networks == ()


@pytest.mark.parametrize(("make", "words", "_step"), PACKED[:2])
def test_a_build_says_so_too(
    make: Callable[[Path], Path], words: str, _step: str, tmp_path: Path
) -> None:
    from hefsmith_worker.protocol import StageError
    from hefsmith_worker.stages.checkpoint import load

    with pytest.raises(StageError, match=words):
        load(make(tmp_path), trust_pickle=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty, not a PyTorch checkpoint"),
        (b"hello\n", "is a text, not a PyTorch checkpoint"),
        (b"\0" * 4000, "is filled with zero bytes"),
        (None, "ends too early: a cut download or copy"),
    ],
)
def test_a_damaged_checkpoint_is_not_taken_for_weights_whose_code_is_missing(
    content: bytes | None,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pt"
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    assert run(["init", "--yes"]) != 0
    said = capsys.readouterr().err
    assert words in said
    assert "the code that defines the network" not in said


def test_a_checkpoint_without_weights_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"optimizer": {"lr": 0.1}, "epoch": 3}, "optimizer.pt")
    assert run(["init", "net", "--weights", "optimizer.pt"]) == 2
    said = capsys.readouterr().err
    assert "optimizer.pt holds no weights of a network" in said
    assert "torch.save(model.state_dict()" in said


def test_a_network_that_was_shared_out_over_gpus_is_found_by_its_own_class(tmp_path: Path) -> None:
    from orchestrator.project.survey.weights import read_weights

    torch.save(torch.nn.DataParallel(torch.nn.Linear(3, 2)), tmp_path / "dp.pth")
    found = read_weights(tmp_path / "dp.pth")
    assert found.classes == ("torch.nn.modules.linear.Linear",)
    assert dict(found.shapes) == {"weight": (2, 3), "bias": (2,)}
