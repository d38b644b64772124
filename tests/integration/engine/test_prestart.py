"""The container of a build is there while the host still plans, and never when nothing must run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from orchestrator.engine.address import Address
from orchestrator.engine.base import Job
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.launch import process_labels

from .conftest import SOCKET, docker, exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import LoopbackSsh

RECIPE = """
schema: 1
source: {onnx: net.onnx}
inputs: {image: [1, 1, 8, 8]}
preprocessing: {size: [8, 8], color: gray, mean: [0], std: [255]}
calibration: {source: pictures, count: 8}
optimization: {level: 0}
validation: {source: held, samples: 4}
arch: [hailo8l]
"""

#: What takes seconds to hash and none to make.
LARGE = 3 << 30

#: The program, with inputs that turn out to be unusable while the container is made.
A_PLAN_THAT_FAILS = """
import sys, time
from orchestrator.cli.app import run
from orchestrator.errors import ConfigError
from orchestrator.pipeline import plan

def fail(*_):
    time.sleep(4)
    raise ConfigError("an input is gone")

plan.material_digests = fail
sys.exit(run(sys.argv[1:]))
"""

WAITS = "import sys; print('loaded', flush=True); print('heard', input(), flush=True)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(RECIPE)
    weight = np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3) / 36
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["out"], kernel_shape=[3, 3])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 6, 6])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    chance = np.random.default_rng(0)
    for name, count in (("pictures", 8), ("held", 4)):
        (folder / name).mkdir()
        for number in range(count):
            noise = chance.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{number}.png")
    return tmp_path


def build(project: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    env = {**os.environ, "HEFSMITH_CACHE": str(project / "cache"), **more}
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "build", "net", "--engine", "docker", *words],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip


def containers(project: Path) -> list[str]:
    """Return the containers whose build folder is in the project."""
    listed = docker("ps", "-aq", "--filter", "label=org.hefsmith.build").split()
    return [one for one in listed if str(project) in docker("inspect", one)]


def staged(project: Path) -> list[str]:
    folder = project / "artifacts" / "net"
    return [one.name for one in folder.iterdir() if "building" in one.name]


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.timeout(300)
def test_the_container_is_there_before_the_inputs_are_hashed_and_gone_after_a_cancel(
    project: Path,
) -> None:
    with (project / "models" / "net" / "pictures" / "large.bin").open("wb") as stream:
        stream.truncate(LARGE)
    process = build(project)
    try:
        wait_until(lambda: bool(containers(project)), 60.0)
        digests = project / "cache" / "digests.json"
        assert not digests.exists(), "the plan is made, and with it all is hashed"
        (name,) = containers(project)
        wait_until(lambda: "hefsmith_worker" in docker("top", name), 20.0)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        took = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "export" not in said, "no stage may begin before the plan is made"
    assert took < 10
    assert containers(project) == []
    assert staged(project) == []


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
@pytest.mark.timeout(300)
def test_a_host_that_is_killed_while_it_plans_leaves_nothing_that_runs(project: Path) -> None:
    with (project / "models" / "net" / "pictures" / "large.bin").open("wb") as stream:
        stream.truncate(LARGE)
    process = build(project)
    wait_until(lambda: bool(containers(project)), 60.0)
    (name,) = containers(project)
    process.kill()
    process.communicate()
    wait_until(lambda: not docker("ps", "-q", "--filter", f"id={name}"), 20.0)
    docker("rm", "-f", name)


@pytest.mark.timeout(300)
def test_a_build_that_fails_before_its_job_may_begin_takes_the_container_with_it(
    project: Path,
) -> None:
    began = str(time.time())
    process = subprocess.Popen(
        [sys.executable, "-c", A_PLAN_THAT_FAILS, "build", "net", "--engine", "docker"],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HEFSMITH_CACHE": str(project / "cache")},
    )  # fmt: skip
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "an input is gone" in said
    assert "export" not in said
    made = docker(
        "events", "--since", began, "--until", str(time.time()), "--filter", "event=create",
        "--filter", "label=org.hefsmith.build", "--format", "{{.Actor.Attributes.name}}",
    )  # fmt: skip
    assert "hefsmith-net-hailo8l-" in made, "it was under way"
    assert containers(project) == []
    assert staged(project) == []


@pytest.mark.timeout(300)
def test_a_build_that_is_cached_never_asks_the_engine(project: Path) -> None:
    process = build(project, "--json")
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    first = json.loads(out)
    # No engine can be there; and every time is new, so that all is hashed again.
    nobody = {"DOCKER_HOST": "tcp://127.0.0.1:9"}
    for path in (project / "models").rglob("*"):
        os.utime(path)
    process = build(project, "--json", **nobody)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert all(stage["cached"] for stage in json.loads(out)["stages"].values())
    # The build folder alone is gone: it is put together from the cache.
    for path in sorted((project / "artifacts").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    process = build(project, "--json", **nobody)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert json.loads(out)["hef"] == first["hef"]


@pytest.mark.parametrize("far", [False, True])
def test_a_job_that_waits_is_loaded_before_its_release_near_and_far(
    far: bool, image: str, work: Path, ssh: LoopbackSsh
) -> None:
    engine = DockerEngine(Address("docker", ssh.url if far else SOCKET, "test"))
    job = Job("test", image, ("python3", "-u", "-c", WAITS), work, waits=True)
    try:
        with engine.start(job, held=True) as running:
            lines = running.lines()
            assert next(lines) == "loaded"
            running.release()
            assert next(lines) == "heard begin"
            assert running.wait().ok
        with engine.start(job) as running:
            assert list(running.lines()) == ["loaded", "heard begin"]
        with engine.start(job, held=True) as running:
            name = running.record.container
            assert next(running.lines()) == "loaded"
        assert not exists(name), "it was never released, and is stopped"
    finally:
        engine.close()


def test_what_a_killed_run_left_is_removed_beside_the_job(
    image: str, work: Path, make_job: Callable[..., Job]
) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from orchestrator.processes import *; print(this_process())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    engine = DockerEngine(Address("docker", SOCKET, "test"))
    labels = {**process_labels(), "org.hefsmith.process": dead, "org.hefsmith.build": "left"}
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    left = docker("create", *words, image, "true")
    try:
        with engine.start(make_job("print(1)")) as running:
            assert running.wait().ok
        engine.close()
        assert not docker("ps", "-aq", "--filter", f"id={left}")
    finally:
        engine.close()
        subprocess.run(["docker", "rm", "-f", left], capture_output=True, check=False)
