"""Files of strangers: honest ones with some of their bytes changed, given to what reads them."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.chaos.count import Count, Ground
from tests.security.test_store_entries import har, network
from tests.unit.cli.bounded import run_bounded
from tests.unit.device.making import make_hef

RECIPE = """schema: 1
name: net
source: {onnx: net.onnx}
inputs: {x: [1, 4]}
preprocessing: {size: [8, 8], color: gray, mean: [0], std: [255]}
calibration: {source: pictures, count: 4}
optimization: {level: 0}
arch: [hailo8l]
"""

#: What somebody writes who wants a text to hurt whoever reads or shows it.
_TEXTS = (
    b"\x1b]0;owned\x07", b"\xe2\x80\xae", b"\x00", b"\n", b"../" * 20, b"-rf", b"$(id)", b"`id`",
    b"{{7*7}}", b"<script>alert(1)</script>", b"9" * 400, b"1e999", b".nan", b"&a [*a]",
    b"!!python/object/apply:os.system [id]", b"[" * 300, b"\r", b"%s%n", b"\xed\xa0\x80", b": ",
    b"\t", b"\xff\xfe",
)  # fmt: skip


def changed(content: bytes, chance: random.Random) -> bytes:
    """Return other content: bytes, runs and lengths changed, parts doubled or gone."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            data[at : at + 8] = chance.choice(
                [b"\xff" * 8, bytes(8), b"\xff\xff\xff\xff\x0f\0\0\0"]
            )
        elif kind == 3:
            del data[at : at + chance.randint(1, 64)]
        elif kind == 4:
            data[at:at] = data[at : at + chance.randint(1, 200)] * chance.randint(1, 20)
        elif kind == 5:
            data[at:at] = chance.choice(_TEXTS)
        else:
            del data[max(1, at) :]
    return bytes(data)


def _onnx() -> bytes:
    return network()


def _checkpoint() -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(4, 4), "names": ["a"], "epoch": 3}, stream)
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 8, 8, 1), np.float32))
    return stream.getvalue()


def _picture(kind: str) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(stream, kind)
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.png", _picture("png"))
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for number in range(4):
            head = tarfile.TarInfo(f"{number}.png")
            content = _picture("png")
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))
    return stream.getvalue()


def _log() -> bytes:
    return (
        b"[info] Translation started on ONNX model net\n[error] UnsupportedOperationError: op\n"
        b"hailo_sdk_client.exceptions: Traceback (most recent call last):\n  File x, line 3\n"
        b"HailoRTTimeout\n[HailoRT] [error] CHECK failed - HAILO_OUT_OF_PHYSICAL_DEVICES(74)\n"
    )


class _Kinds:
    """The honest files of a project, and the commands that read each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.hef = make_hef(folder / "base.hef", size=4000).read_bytes()
        made: dict[str, Callable[[], bytes]] = {
            "checkpoint.pt": _checkpoint,
            "net.onnx": _onnx,
            "net.har": lambda: har(net_hn=json.dumps({"layers": {"a": {"type": "conv"}}})),
            "net.hef": lambda: self.hef,
            "pictures.zip": _zip,
            "pictures.tgz": _tar,
            "array.npy": _npy,
            "one.png": lambda: _picture("png"),
            "one.jpg": lambda: _picture("jpeg"),
            "build.log": _log,
            "model.yaml": RECIPE.encode,
            "script.alls": lambda: (
                b"model_optimization_flavor(optimization_level=0)\na = b(c, [1.0])\n"
            ),
        }
        made["hef.yaml"] = lambda: (
            b"schema: 1\nengine: local\ndevice: pi\ndevices: {pi: {host: h}}\n"
        )
        self.files = {name: make() for name, make in made.items()}

    def place(self, name: str, content: bytes) -> list[list[str]]:
        """Write a file among honest ones; return the command lines that read it."""
        for other in ("net.onnx", "model.yaml", "hef.yaml"):
            Path(other).write_bytes(self.files[other])
        Path("pictures").mkdir(exist_ok=True)
        for number in range(4):
            Path(f"pictures/{number}.png").write_bytes(self.files["one.png"])
        suffix = Path(name).suffix
        Path(name).write_bytes(content)
        dry = ["build", ".", "--dry-run", "--engine", "local"]
        if name in ("model.yaml", "hef.yaml"):
            return [dry, ["lint", "."], ["config", "show"], ["trust"]]
        if name.startswith(("pictures.", "array.")):
            text = self.files["model.yaml"].replace(
                b"source: pictures", b"source: " + name.encode()
            )
            Path("model.yaml").write_bytes(text)
            return [["calib", "check", "."], dry]
        if name.startswith("one."):
            Path(f"pictures/0{suffix}").write_bytes(content)
            return [["calib", "check", "."]]
        if suffix == ".log":
            return [["explain", name]]
        if suffix == ".alls":
            return [["lint", name]]
        if suffix == ".hef":
            return [["inspect", name], ["diff", name, name], ["inspect", name, "--json"]]
        if suffix == ".pt":
            return [["inspect", name], ["init", "new", "--weights", name, "--force", "--yes"]]
        return [["inspect", name], ["inspect", name, "--json"]]


def files(ground: Ground, count: Count) -> None:
    """Give changed files to the commands: told in words, in 30 s and 1.5 GB, nothing touched."""
    kinds = _Kinds(ground.folder / "kinds")
    canary = ground.folder / "canary"
    canary.write_text("untouched")
    os.environ.update(
        HOME=str(ground.folder / "home"),
        HEFSMITH_CACHE=str(ground.folder / "cache"),
        HEFSMITH_DATA=str(ground.folder / "data"),
    )
    names = sorted(kinds.files)
    number = 0
    while count.more:
        name = names[number % len(names)]
        number += 1
        work = ground.folder / f"work{number}"
        work.mkdir()
        os.chdir(work)
        content = changed(kinds.files[name], ground.chance)
        if content == kinds.files[name]:
            count.missed()
            continue
        argv = ground.chance.choice(kinds.place(name, content))
        ended = run_bounded(argv)
        raw = any(char in ended.out + ended.err for char in "\x1b\x07\u202e\x00")
        held = (
            ended.code in (0, 1, 2, 3, 4, 5, 6)
            and "Traceback" not in ended.err
            and ended.megabytes < 1500
            and not raw
            and canary.read_text() == "untouched"
        )
        count.took(f"{number} {name} {argv}: {ended.code} {ended.err[-500:]!r}", held)
        os.chdir(ground.folder)
