"""How much time the engine room takes for itself, against Docker's own client in the same run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.base import IN, WORK, Job
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.results import unpack
from orchestrator.engine.transfer import digest_tree, list_tree, pack
from tests.bench.turns import fastest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.bench

BASE = "debian:bookworm-slim"
MIB = 1024**2
SIZE = 500 * MIB


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    made = DockerEngine(Address("docker", "unix:///var/run/docker.sock", "bench"))
    yield made
    made.close()


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_build_costs_little_more_than_a_bare_container(
    engine: DockerEngine, tmp_path: Path
) -> None:
    image = engine.find_image(BASE)
    assert image is not None
    work = tmp_path / "work"
    work.mkdir()
    job = Job("bench", image.id, ("python3", "-c", "pass", IN, WORK), work)

    def ours() -> None:
        with engine.start(job) as running:
            assert running.wait().ok

    def bare() -> None:
        docker("run", "--rm", "--init", "--network", "none", BASE, "python3", "-c", "pass")

    ours()
    own, plain = fastest(4, ours, bare)
    print(f"\nwhole life of a job {own:.2f} s, docker run {plain:.2f} s")
    # The box, the guard's report and the clean-up: far below the 1.5 s that a build may cost.
    assert own < 2.0 * plain + 0.3


@pytest.mark.timeout(400)
def test_copying_in_and_out_keeps_up_with_docker_cp(engine: DockerEngine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    block = os.urandom(MIB)
    for number in range(20):
        with (source / f"{number}.npy").open("wb") as stream:
            for _ in range(SIZE // 20 // MIB):
                stream.write(block)
    out = tmp_path / "out"
    cp_out = tmp_path / "cp"
    name = docker("create", "-v", "/data", BASE, "true")
    api = engine.connection.api
    try:
        entries = list_tree(source, prefix="source")
        docker("cp", str(source), f"{name}:/data/cp")

        def fetch() -> None:
            blocks, _ = api.get_archive(name, "/data/source/.")
            unpack(iter(blocks), out)

        def measure() -> list[float]:
            seconds = fastest(
                2,
                lambda: docker("cp", f"{source}/.", f"{name}:/data/cp"),
                lambda: api.put_archive(name, "/data", pack(entries)),
                lambda: docker("cp", f"{name}:/data/source", str(cp_out)),
                fetch,
            )
            return [SIZE / one / MIB for one in seconds]

        # One thread of ours gets less of a crowded machine than Docker's many: one good round of
        # four is enough. Shown on two crowded cores: in 1.4, out 0.87.
        wanted = 0.7
        for _ in range(4):
            cp_in, own_in, cp_out_rate, own_out = measure()
            print(f"\nMiB/s: in {own_in:.0f} (docker cp {cp_in:.0f}), "
                  f"out {own_out:.0f} (docker cp {cp_out_rate:.0f})")  # fmt: skip
            if own_in > wanted * cp_in and own_out > wanted * cp_out_rate:
                break
    finally:
        docker("rm", "-fv", name)
    assert digest_tree(out) == digest_tree(source)
    assert own_in > wanted * cp_in
    assert own_out > wanted * cp_out_rate


def run_build(folder: Path, model: str) -> tuple[float, float]:
    """Return the seconds of a whole build, and those of its stages as the worker has them."""
    command = [sys.executable, "-m", "orchestrator", "build", model, "--json", "--fresh"]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--engine", "docker"], cwd=folder, capture_output=True, text=True, check=True
    )
    whole = time.perf_counter() - started
    return whole, sum(stage["seconds"] for stage in json.loads(done.stdout)["stages"].values())


def least() -> float:
    """Return the seconds of what every build needs: a container, and the libraries of ours."""
    started = time.perf_counter()
    docker("run", "--rm", "--init", "--network", "none", BASE, "python3", "-c", "pass")
    subprocess.run([sys.executable, "-c", "import docker, typer"], check=True)
    return time.perf_counter() - started


@pytest.mark.timeout(400)
def test_a_build_costs_little_more_than_its_stages(tmp_path: Path) -> None:
    run_build(tmp_path, "digits")
    for _ in range(4):
        whole, stages = run_build(tmp_path, "digits")
        over, needed = whole - stages, least()
        print(f"\nbuild {whole:.1f} s, its stages {stages:.1f} s, over {over:.2f} s, "
              f"bare container and imports {needed:.2f} s")  # fmt: skip
        # The aim is 1.5 s; on a crowded machine that is only a multiple of the least there is.
        if over < max(1.5, 2.5 * needed):
            break
    assert over < max(1.5, 2.5 * needed)


@pytest.mark.timeout(400)
def test_large_outputs_cost_a_build_little_beside_its_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_segmentation(tmp_path / "models" / "seg")
    for number in range(3):
        # A cache of its own, which must take all of it.
        monkeypatch.setenv("HEFSMITH_CACHE", str(tmp_path / f"cache{number}"))
        whole, stages = run_build(tmp_path, "seg")
        over, needed = whole - stages, least()
        outputs = sorted((tmp_path / "artifacts/seg/hailo8l/golden").rglob("*.npy"))
        size = sum(path.stat().st_size for path in outputs)
        started = time.perf_counter()
        for path in outputs:
            copy = tmp_path / "copy"
            with path.open("rb") as stream:
                hashlib.file_digest(stream, "sha256")
            shutil.copyfile(path, copy)
            copy.unlink()
        once = time.perf_counter() - started
        print(f"\nbuild {whole:.1f} s, its stages {stages:.1f} s, over {over:.2f} s, bare "
              f"{needed:.2f} s; to hash and copy {size / MIB:.0f} MiB {once:.2f} s")  # fmt: skip
        shutil.rmtree(tmp_path / "artifacts")
        shutil.rmtree(tmp_path / f"cache{number}")
        # The host reads and stores them while the stages run, not after them. With caches that are
        # new each time, the code behind the stages is looked at too, and inputs are read for sure.
        if over < max(2.0, 3.5 * needed) + 0.25 * once:
            break
    assert size > 350 * MIB
    assert over < max(2.0, 3.5 * needed) + 0.25 * once


SEGMENTATION = """
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 3, 176, 176]}
preprocessing: {size: [176, 176], mean: [0, 0, 0], std: [255, 255, 255]}
calibration: {source: pictures, count: 16}
optimization: {level: 0}
postprocess: {task: segmentation}
validation: {source: held, samples: 32}
arch: [hailo8l]
"""


def write_segmentation(folder: Path) -> None:
    """Write a network whose outputs are as large as those of segmentation: 83 MB a step."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from PIL import Image

    chance = np.random.default_rng(0)
    for name, count in (("pictures", 16), ("held", 32)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = chance.integers(0, 256, (176, 176, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{name}{number}.png")
    weight = chance.normal(0, 0.1, (21, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["out"], pads=[1, 1, 1, 1])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 176, 176])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 21, 176, 176])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    (folder / "model.yaml").write_text(SEGMENTATION)
