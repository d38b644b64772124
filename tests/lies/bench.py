"""A project with small models, and ``hef`` on it in this process, as a user would call it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hefsmith_worker.contract.stages import NAMES
from PIL import Image

from orchestrator.cli.app import run
from tests.lies import networks

if TYPE_CHECKING:
    import onnx

ARCH = "hailo8l"
CALIBRATION, VALIDATION = 64, 16

RECIPE = """\
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 1, 16, 16]}
preprocessing: {color: gray, mean: [0], std: [255]}
calibration: {source: ../../pictures/calibration, count: 64}
validation: {source: ../../pictures/validation, samples: 16}
postprocess: {task: TASK}
optimization: {level: 0}
arch: [hailo8l]
"""


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def ran(self) -> set[str]:
        """The stages that ran."""
        return {name for name in NAMES if f"{name}: done in" in self.err}


class Bench:
    """One project; its cache and data are its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self._said: dict[str, Said] = {}
        _pictures(root / "pictures")

    @contextlib.contextmanager
    def _inside(self, cache: Path) -> Iterator[None]:
        known = dict(os.environ)
        here = Path.cwd()
        os.environ.update(
            HEFSMITH_CACHE=str(cache),
            HEFSMITH_DATA=str(self.root / "data"),
            HEFSMITH_ENGINE="local",
            HOME=str(self.root / "home"),
        )
        (self.root / "home").mkdir(exist_ok=True)
        os.chdir(self.root)
        try:
            yield
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(known)

    def hef(self, *words: str, cache: Path | None = None) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with (
            self._inside(cache or self.cache),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(list(words))
        return Said(int(code), out.getvalue(), err.getvalue())

    def once(self, what: str, *words: str) -> Said:
        """Run a command the first time that it is asked for; its answer is kept."""
        if what not in self._said:
            self._said[what] = self.hef(*words)
        return self._said[what]

    def model(
        self,
        name: str,
        network: Callable[[], onnx.ModelProto] = networks.brightness,
        task: str = "classification",
        changes: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a model; return its folder. What is written already stays."""
        folder = self.root / "models" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "net.onnx").write_bytes(network().SerializeToString())
            text = RECIPE.replace("TASK", task)
            for old, new in (changes or {}).items():
                assert old in text, old
                text = text.replace(old, new)
            (folder / "model.yaml").write_text(text, encoding="utf-8")
        return folder

    def folder(self, name: str) -> Path:
        return self.root / "artifacts" / name / ARCH

    def build(self, name: str, *options: str, command: str = "build") -> Said:
        return self.hef(command, name, *options)

    def lose(self, name: str) -> None:
        """Lose a finished build; the cache stays."""
        shutil.rmtree(self.root / "artifacts" / name, ignore_errors=True)


def flip(path: Path) -> None:
    """Change one bit and keep the file's size and time."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_quietly(path: Path, content: bytes) -> None:
    """Write other content of the same size, with the same time."""
    status = path.stat()
    assert len(content) == status.st_size
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _pictures(folder: Path) -> None:
    """Write dark and bright pictures with a spot, in class folders."""
    random = np.random.default_rng(1)
    for part, count in (("calibration", CALIBRATION), ("validation", VALIDATION)):
        for number in range(count):
            bright = number % 2
            base = 160 if bright else 10
            pixels = random.integers(base, base + 70, (16, 16))
            row, column = random.integers(0, 12, 2)
            pixels[row : row + 4, column : column + 4] = 255
            name = ("dark", "light")[bright]
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            # Not compressed: any other picture has the same size.
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(folder / part / name / f"{number}.bmp")
