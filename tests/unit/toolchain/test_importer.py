"""Importing against a stand-in engine: what is asked, what is recorded, what is never trusted."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, EngineError
from orchestrator.toolchain import importer, probe, registry
from orchestrator.toolchain.archive import BrokenArchiveError
from tests.unit.toolchain.test_archive import image_tar, vendor_zip

ANSWER = {
    "python": "/local/workspace/hailo_virtualenv/bin/python",
    "versions": {"dfc": "3.31.0", "python": "3.10.12", "hailort": "4.21.0"},
    "zoo": "/local/workspace/hailo_model_zoo/hailo_model_zoo",
    "venv": "/local/workspace/hailo_virtualenv",
}


@dataclass
class Image:
    id: str
    tags: tuple[str, ...] = ("hailo8_ai_sw_suite_2099-01:latest",)
    size: int = 25_000_000_000
    user: str = "hailo"
    architecture: str = "amd64"
    content: str = "sha256:what-is-in-it"


@dataclass
class Said:
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


@dataclass
class Engine:
    """An engine that takes archives and answers probes."""

    answer: Said = field(
        default_factory=lambda: Said(0, "noise\n" + probe.MARK + json.dumps(ANSWER))
    )
    gpu: Said | EngineError = field(default_factory=Said)
    free: int | None = None
    runtimes: tuple[str, ...] = ("runc",)
    images: dict[str, Image] = field(default_factory=dict)
    loads: tuple[Image, ...] = (Image("sha256:" + "1" * 64),)
    got: bytes = b""
    asked: list[bool] = field(default_factory=list)
    name: str = "unix:///var/run/docker.sock"

    def find(self, reference: str) -> Image | None:
        return self.images.get(reference)

    def free_space(self) -> int | None:
        return self.free

    def load(self, label: str, blocks: Iterator[bytes]) -> tuple[str, ...]:
        self.got = b"".join(blocks)
        for one in self.loads:
            self.images.update({one.id: one, **dict.fromkeys(one.tags, one)})
        return tuple(tag for one in self.loads for tag in one.tags)

    def ask(
        self,
        image: str,
        argv: tuple[str, ...],
        *,
        gpus: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 300.0,
    ) -> Said:
        self.asked.append(gpus)
        if not gpus:
            return self.answer
        if isinstance(self.gpu, EngineError):
            raise self.gpu
        return self.gpu


def test_what_is_recorded_was_read_inside_and_not_in_the_name(tmp_path: Path) -> None:
    engine = Engine()
    steps: list[importer.Step] = []
    found = importer.import_file(vendor_zip(tmp_path), engine, steps.append)
    assert found.name == "suite-3.31.0"
    assert found.versions["dfc"] == "3.31.0"
    assert found.line == 3
    assert found.image == "sha256:" + "1" * 64
    assert engine.got == gzip.decompress(gzip.compress(engine.got))
    assert [step.what for step in steps][-1] == "asking the image"
    assert {"checking", "loading", "waiting for the engine"} <= {step.what for step in steps}
    assert registry.find("suite-3.31.0") == found


def test_nothing_reaches_the_engine_when_the_zip_is_damaged(tmp_path: Path) -> None:
    path = vendor_zip(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x1f\x8b") + 4000] ^= 1
    path.write_bytes(raw)
    engine = Engine()
    with pytest.raises(BrokenArchiveError):
        importer.import_file(path, engine, lambda _: None)
    assert engine.got == b""
    assert registry.load_all() == ()


def test_nothing_reaches_a_full_engine(tmp_path: Path) -> None:
    engine = Engine(free=1)
    with pytest.raises(EngineError, match="free"):
        importer.import_file(vendor_zip(tmp_path), engine, lambda _: None)
    assert engine.got == b""


def test_an_image_without_a_compiler_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "debian.tar"
    path.write_bytes(image_tar())
    engine = Engine(answer=Said(3, "", "tried: /usr/bin/python3\n"))
    with pytest.raises(probe.NoCompilerError, match="no Hailo Dataflow Compiler") as caught:
        importer.import_file(path, engine, lambda _: None)
    assert caught.value.exit_code == 6
    assert registry.load_all() == ()


def test_an_image_for_another_processor_is_not_even_started(tmp_path: Path) -> None:
    foreign = Image("sha256:" + "2" * 64, architecture="arm64")
    engine = Engine(images={"mine:1": foreign})
    with pytest.raises(ConfigError, match="is for arm64"):
        importer.import_image("mine:1", engine, lambda _: None)
    assert engine.asked == []


def test_an_image_that_does_not_answer_is_named(tmp_path: Path) -> None:
    class Hanging(Engine):
        def ask(self, *_: object, **__: object) -> Said:
            raise EngineError("the program in the container did not end within 300 s")

    engine = Hanging(images={"mine:1": Image("sha256:" + "2" * 64)})
    with pytest.raises(EngineError, match="image mine:1 did not say what it is") as caught:
        importer.import_image("mine:1", engine, lambda _: None)
    assert caught.value.hint
    assert registry.load_all() == ()


def test_a_compiler_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    answer = {**ANSWER, "versions": {"python": "3.10.12"}, "failure": "ImportError: libfoo.so"}
    engine = Engine(answer=Said(0, probe.MARK + json.dumps(answer)))
    with pytest.raises(probe.NoCompilerError, match=r"ImportError: libfoo\.so"):
        importer.import_file(vendor_zip(tmp_path), engine, lambda _: None)


def test_several_names_of_one_image_are_one_toolchain_and_two_images_a_question(
    tmp_path: Path,
) -> None:
    one = Image("sha256:" + "2" * 64, tags=("a:1", "a:latest"))
    engine = Engine(loads=(one,))
    assert importer.import_file(vendor_zip(tmp_path), engine, lambda _: None).image == one.id
    engine = Engine(loads=(one, Image("sha256:" + "3" * 64, tags=("b:1",))))
    with pytest.raises(ConfigError, match="2 images"):
        importer.import_file(vendor_zip(tmp_path), engine, lambda _: None)


def test_a_loaded_image_is_imported_by_name(tmp_path: Path) -> None:
    image = Image("sha256:" + "4" * 64)
    engine = Engine(images={"my_suite:1": image})
    assert importer.import_image("my_suite:1", engine, lambda _: None).image == image.id
    with pytest.raises(ConfigError, match="neither a file nor an image"):
        importer.import_image("other:1", engine, lambda _: None)


def test_the_gpu_is_probed_only_where_it_can_be_there(tmp_path: Path) -> None:
    plain = Engine()
    found = importer.import_file(vendor_zip(tmp_path), plain, lambda _: None)
    assert plain.asked == [False]
    assert found.gpu.usable is False
    answer = probe.MARK + json.dumps({"tensorflow": True, "gpus": ["/physical_device:GPU:0"]})
    nvidia = Engine(runtimes=("runc", "nvidia"), gpu=Said(0, answer))
    found = importer.import_file(vendor_zip(tmp_path), nvidia, lambda _: None)
    assert nvidia.asked == [False, True]
    assert found.gpu.usable is True


def test_an_engine_that_refuses_the_gpu_does_not_stop_the_import(tmp_path: Path) -> None:
    engine = Engine(gpu=EngineError("could not select device driver"))
    found = importer.import_file(vendor_zip(tmp_path), engine, lambda _: None, gpu="on")
    assert found.gpu.usable is False
    assert "device driver" in found.gpu.why


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A Python environment with a compiler of its own: what the probe meets in an image."""
    site = tmp_path / "site"
    (site / "hailo_sdk_client").mkdir(parents=True)
    (site / "hailo_model_zoo").mkdir()
    (site / "hailo_model_zoo" / "__init__.py").touch()
    (site / "hailo_sdk_client" / "__init__.py").write_text(
        "import os\nprint('[info] noise of the SDK')\nos.environ['USER']\n__version__ = '5.2.0'\n"
    )
    return site


def _ask(site: Path | None) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    if site is not None:
        env["PYTHONPATH"] = str(site)
    return subprocess.run(probe.command(), capture_output=True, text=True, env=env, timeout=60)


def test_the_probe_reads_a_compiler_that_tells_its_version_only_when_imported(place: Path) -> None:
    said = _ask(place)
    inside = probe.understand("x", said.stdout, said.stderr)
    assert inside.versions["dfc"] == "5.2.0"
    assert inside.zoo == str(place / "hailo_model_zoo")
    assert inside.versions["python"].count(".") == 2


def test_the_probe_prefers_what_the_packages_say_of_themselves(place: Path) -> None:
    info = place / "hailo_dataflow_compiler-3.34.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: hailo-dataflow-compiler\nVersion: 3.34.0\n"
    )
    said = _ask(place)
    assert probe.understand("x", said.stdout, said.stderr).versions["dfc"] == "3.34.0"


def test_the_probe_of_a_place_without_a_compiler_says_so() -> None:
    said = _ask(None)
    with pytest.raises(probe.NoCompilerError, match="tried:"):
        probe.understand("debian:12", said.stdout, said.stderr)
