"""Every kind of file that is none, given to every command that reads files: told in time."""

from __future__ import annotations

import gzip
import io
import os
import socket
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import orchestrator.hef
import orchestrator.inspect.har  # noqa: F401  # loaded once, not in every child

if sys.platform == "win32":
    pytest.skip("no such files there", allow_module_level=True)

from .bounded import run_bounded

pytestmark = pytest.mark.slow

KINDS = ("fifo", "zero", "kmsg", "socket", "sparse", "folder", "packed", "pickle", "deep", "loop")

COMMANDS = {
    "inspect hef": (("inspect", "FILE"), ".hef"),
    "inspect onnx": (("inspect", "FILE"), ".onnx"),
    "inspect har": (("inspect", "FILE"), ".har"),
    "inspect pt": (("inspect", "FILE"), ".pt"),
    "inspect tflite": (("inspect", "FILE"), ".tflite"),
    "inspect safetensors": (("inspect", "FILE"), ".safetensors"),
    "inspect vendor": (("inspect", "--vendor", "FILE"), ".hef"),
    "diff": (("diff", "FILE", "FILE"), ".hef"),
    "lint": (("lint", "FILE"), ".alls"),
    "lint har": (("lint", "fine.alls", "--layers", "FILE"), ".har"),
    "lint json": (("lint", "fine.alls", "--layers", "FILE"), ".json"),
    "explain": (("explain", "FILE"), ".log"),
    "init onnx": (("init", "net", "--onnx", "FILE", "--force"), ".onnx"),
    "init pt": (("init", "net", "--weights", "FILE", "--force"), ".pt"),
    "init tflite": (("init", "net", "--tflite", "FILE", "--force"), ".tflite"),
}

#: A log of anything is a thing to read; a checkpoint of an unknown form counts as weights.
FINE = {
    *(("explain", kind) for kind in ("packed", "pickle", "deep")),
    ("inspect pt", "pickle"),
}


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of 1 GB in a few MB, and a checkpoint whose pickle has 200 MB in a few KB."""
    folder = tmp_path_factory.mktemp("bombs")
    head = tarfile.TarInfo("net.hn")
    head.size = 1 << 30
    block = gzip.compress(bytes(1 << 24), 1)
    (folder / "packed").write_bytes(gzip.compress(head.tobuf(), 1) + block * 64)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", bytes(200_000_000))
    (folder / "pickle").write_bytes(content.getvalue())
    return folder


def make(kind: str, path: Path, bombs: Path) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "kmsg":
        path.symlink_to("/proc/kmsg")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)  # the whole path can be too long for a socket
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(20 << 30)
    elif kind == "deep":
        path.write_text("[" * 3_000_000)
    else:
        path.symlink_to(bombs / kind)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bombs: Path, name: str
) -> None:
    argv, suffix = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    Path("hef.yaml").write_text("schema: 1\n")
    Path("fine.alls").write_text("model_optimization_flavor(optimization_level=0)\n")
    for kind in KINDS:
        path = Path(f"{kind}{suffix}")
        make(kind, path, bombs)
        ended = run_bounded([word.replace("FILE", str(path)) for word in argv])
        told = f"{kind}: {ended}"
        assert ended.code is not None, told
        assert "Traceback" not in ended.err, told
        assert ended.megabytes < 1500, told
        if (name, kind) not in FINE:
            assert ended.code in (1, 2, 6), told
            assert ended.err or ended.out, told


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_a_log_of_a_million_lines_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.log").write_text("some line that says nothing\n" * 1_000_000)
    ended = run_bounded(["explain", "long.log"])
    assert ended.code == 0, ended
    assert ended.megabytes < 900  # this process, which is forked, is in it


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["fifo", "zero", "kmsg", "deep", "folder", "loop"])
def test_a_recipe_that_names_such_a_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bombs: Path, kind: str
) -> None:
    from onnx import TensorProto, helper

    monkeypatch.chdir(tmp_path)
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", sides[:1], sides[1:])
    Path("fine.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    Path("hef.yaml").write_text("schema: 1\n")
    for text, suffix in (
        ("source: {onnx: FILE}\n", ".onnx"),
        ("source: {onnx: fine.onnx}\npostprocess: {labels: FILE}\n", ".txt"),
        *(
            ("source: {onnx: fine.onnx}\ncalibration: {source: FILE}\n", f".{one}")
            for one in ("npy", "npz", "zip", "tgz", "txt", "json", "yaml", "mp4", "png")
        ),
    ):
        path = Path(f"strange{suffix}")
        make(kind, path, bombs)
        Path("model.yaml").write_text("schema: 1\nname: net\n" + text.replace("FILE", path.name))
        ended = run_bounded(["build", ".", "--dry-run", "--engine", "local"])
        told = f"{text} {path}: {ended}"
        assert ended.code is not None, told
        assert "Traceback" not in ended.err, told
        assert ended.megabytes < 1500, told
        path.rmdir() if kind == "folder" else path.unlink()
