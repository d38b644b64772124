"""What exactly is asked of the engine for a GPU, on Linux, in WSL 2 and with Docker Desktop."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from orchestrator.engine.address import Address
from orchestrator.engine.base import GIB, Box, EngineInfo, ImageInfo, Job
from orchestrator.engine.box import (
    Caller,
    ContainerSpec,
    create_config,
    plan_capture,
    plan_container,
    shell_line,
)
from orchestrator.engine.facts import read_info

LINUX = EngineInfo("docker", "pc", "unix:///x", "29.0", memory=10 * GIB, runtimes=("nvidia",))
WSL = replace(LINUX, wsl=True)
DESKTOP = replace(WSL, product="desktop")
SUITE = ImageInfo(
    "sha256:abc", (), 1, "amd64", "", "hailo", {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64"}, {}
)
GPU = Box(gpus=True)
#: What the toolchain room adds for a GPU that was found usable.
DECIDED = {"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_DISABLE_REQUIRE": "1"}


def plan(info: EngineInfo, limits: Box = GPU) -> ContainerSpec:
    job = Job("net", "x", ("python", "-m", "w"), Path("/home/me/work"), env=DECIDED, limits=limits)
    return plan_container(
        job, build="b", info=info, image=SUITE, caller=Caller(1, 1), worker=Path("/pkg"),
        transfer="bind", lifeline="eof",
    )  # fmt: skip


def created(spec: ContainerSpec) -> dict[str, Any]:
    api = APIClient(base_url="unix:///nowhere", version="1.41")
    try:
        return create_config(spec, api)
    finally:
        api.close()


@pytest.mark.parametrize("info", [LINUX, WSL, DESKTOP])
def test_every_card_is_asked_for_and_the_first_is_named(info: EngineInfo) -> None:
    body = created(plan(info))
    assert body["HostConfig"]["DeviceRequests"] == [
        {"Driver": "", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}
    ]
    # Without the name the compiler takes no card that drives a display (over 5 % in use).
    assert "CUDA_VISIBLE_DEVICES=0" in body["Env"]
    assert "NVIDIA_DISABLE_REQUIRE=1" in body["Env"]
    line = shlex.split(shell_line(plan(info)))
    assert line[line.index("--gpus") + 1] == "all"


def test_wsl_gets_its_libraries_in_front_of_the_images() -> None:
    body = created(plan(WSL))
    assert "LD_LIBRARY_PATH=/usr/lib/wsl/lib:/usr/local/cuda/lib64" in body["Env"]
    mounts = [one for one in body["HostConfig"]["Mounts"] if one["Target"] == "/usr/lib/wsl"]
    assert mounts == [
        {"Target": "/usr/lib/wsl", "Source": "/usr/lib/wsl", "Type": "bind", "ReadOnly": True}
    ]
    line = shlex.split(shell_line(plan(WSL)))
    assert "type=bind,source=/usr/lib/wsl,target=/usr/lib/wsl,readonly" in line


def test_docker_desktop_brings_the_libraries_itself() -> None:
    body = created(plan(DESKTOP))
    assert "LD_LIBRARY_PATH=/usr/lib/wsl/lib:/usr/local/cuda/lib64" in body["Env"]
    assert all(one["Target"] != "/usr/lib/wsl" for one in body["HostConfig"]["Mounts"])


def test_plain_linux_keeps_the_images_own_path() -> None:
    body = created(plan(LINUX))
    assert not any(one.startswith("LD_LIBRARY_PATH") for one in body["Env"])
    assert all(one["Target"] != "/usr/lib/wsl" for one in body["HostConfig"]["Mounts"])


def test_without_a_gpu_nothing_of_it_is_there() -> None:
    body = created(plan(WSL, Box()))
    assert not body["HostConfig"].get("DeviceRequests")
    assert all("wsl" not in str(one) for one in (*body["HostConfig"]["Mounts"], *body["Env"]))


def test_the_probe_runs_in_the_same_surroundings_as_the_job() -> None:
    spec = plan_capture(SUITE, ("python",), name="n", info=WSL, limits=GPU, env=DECIDED, labels={})
    body = created(spec)
    assert body["HostConfig"]["DeviceRequests"]
    assert [one["Target"] for one in body["HostConfig"]["Mounts"]] == ["/usr/lib/wsl"]
    assert "LD_LIBRARY_PATH=/usr/lib/wsl/lib:/usr/local/cuda/lib64" in body["Env"]


@pytest.mark.parametrize(
    ("kernel", "wsl"),
    [("5.15.153.1-microsoft-standard-WSL2", True), ("6.8.0-45-generic", False), (None, False)],
)
def test_wsl_is_told_by_the_engines_kernel(kernel: str | None, wsl: bool) -> None:
    address = Address("docker", "unix:///x", "test")
    assert read_info({"KernelVersion": kernel}, {}, address).wsl is wsl
