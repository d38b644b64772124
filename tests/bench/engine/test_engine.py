"""How much time the engine room takes for itself, against Docker's own client in the same run."""

from __future__ import annotations

import json
import os
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def fastest(times: int, *acts: Callable[[], object]) -> list[float]:
    """Return the shortest run of each in seconds; they take turns, so that they share the load."""
    taken: list[list[float]] = [[] for _ in acts]
    for _ in range(times):
        for number, act in enumerate(acts):
            started = time.perf_counter()
            act()
            taken[number].append(time.perf_counter() - started)
    return [min(one) for one in taken]


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


@pytest.mark.timeout(400)
def test_a_build_costs_little_more_than_its_stages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator", "build", "digits", "--json", "--fresh"]

    def build() -> tuple[float, float]:
        """Return the seconds of the command, and those of its stages as the worker has them."""
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--engine", "docker"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        whole = time.perf_counter() - started
        stages = json.loads(done.stdout)["stages"].values()
        return whole, sum(stage["seconds"] for stage in stages)

    def reference() -> float:
        """Return the seconds of what every build needs: a container, and the libraries of ours."""
        started = time.perf_counter()
        docker("run", "--rm", "--init", "--network", "none", BASE, "python3", "-c", "pass")
        needed = "import docker, paramiko, pydantic, typer, yaml"
        subprocess.run([sys.executable, "-c", needed], check=True)
        return time.perf_counter() - started

    build()
    for _ in range(3):
        whole, stages = build()
        over, least = whole - stages, reference()
        print(f"\nbuild {whole:.1f} s, its stages {stages:.1f} s, over {over:.2f} s, "
              f"bare container and imports {least:.2f} s")  # fmt: skip
        # The aim is 1.5 s; on a crowded machine that is only a multiple of the least there is.
        if over < max(1.5, 4 * least):
            break
    assert over < max(1.5, 4 * least)
