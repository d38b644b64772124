"""What container a job gets, for every kind of engine, without an engine."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.engine.base import GIB, IN, WORK, Box, EngineInfo, ImageInfo, Input, Job
from orchestrator.engine.box import (
    Caller,
    ContainerSpec,
    create_config,
    environment,
    plan_container,
    safe_name,
    shell_line,
)
from orchestrator.errors import EngineError

INFO = EngineInfo("docker", "vm", "unix:///x", "29.0", memory=10 * GIB, cpus=4)
IMAGE = ImageInfo("sha256:abc", (), 1, "amd64", "", "hailo", {"PYTHONPATH": "/sdk"}, {})
ME = Caller(1000, 1001)


def plan(
    info: EngineInfo = INFO, caller: Caller = ME, box: Box | None = None, **more: object
) -> ContainerSpec:
    job = Job(
        "digits hailo8l",
        "x",
        ("python", "-m", "w", "--plan", WORK / "plan.json", IN),
        Path("/home/me/work"),
        inputs=(Input("calib", Path("/data/calib")), Input("w", Path("/data/w.pt"))),
        env={"A": "b", "P": WORK / "p"},
        limits=box or Box(),
        labels={"mine": "1"},
    )
    options = {"transfer": "bind", "lifeline": "eof", **more}
    return plan_container(
        job,
        build="b1",
        info=info,
        image=IMAGE,
        caller=caller,
        worker=Path("/pkg/worker"),
        **options,
    )  # type: ignore[arg-type]


def settings(spec: ContainerSpec) -> dict[str, object]:
    found: dict[str, object] = json.loads(spec.command[3])
    return found


def test_only_the_build_folder_is_writable_and_only_inputs_are_seen() -> None:
    spec = plan()
    assert [(one.source, str(one.target), one.read_only) for one in spec.mounts] == [
        ("/pkg/worker", "/hefsmith/worker/hefsmith_worker", True),
        ("/data/calib", "/hefsmith/in/calib", True),
        ("/data/w.pt", "/hefsmith/in/w", True),
        ("/home/me/work", "/hefsmith/work", False),
    ]
    assert spec.command[:3] == ("python", "-I", "/hefsmith/worker/hefsmith_worker/guard.py")
    assert spec.command[4:] == (
        "python", "-m", "w", "--plan", "/hefsmith/work/plan.json", "/hefsmith/in",
    )  # fmt: skip
    assert spec.image == "sha256:abc", "pinned by id, whatever the tag says later"


def test_the_tightest_box_is_the_default_in_the_api_and_on_the_command_line() -> None:
    from docker import APIClient

    api = APIClient(base_url="unix:///nowhere", version="1.41")
    config = create_config(plan(), api)
    api.close()
    host = config["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Init"] is True
    assert host["PidsLimit"] == 2048
    assert host["Memory"] == int(9 * GIB)
    assert host["MemorySwap"] == -1, "people add swap for the vendor's compiler"
    assert "DeviceRequests" not in host
    assert not host.get("Privileged")
    assert not host.get("Binds")
    assert config["User"] == "1000:1001"
    assert (config["OpenStdin"], config["StdinOnce"]) == (True, True)
    words = shlex.split(shell_line(plan()))
    for expected in ("--read-only", "--init", "--network", "none", "--cap-drop", "ALL"):
        assert expected in words
    assert words[-6:] == ["python", "-m", "w", "--plan", "/hefsmith/work/plan.json", "/hefsmith/in"]
    assert "type=bind,source=/data/w.pt,target=/hefsmith/in/w,readonly" in words


def test_a_stated_memory_limit_is_hard_and_processors_never_exceed_the_engines() -> None:
    spec = plan(box=Box(memory=2 * GIB, cpus=64))
    assert (spec.memory, spec.memory_and_swap, spec.cpus) == (2 * GIB, 2 * GIB, 4.0)


def test_limits_that_an_engine_lacks_are_left_out_unless_asked_for() -> None:
    poor = replace(INFO, lacks=("memory", "swap", "cpus", "pids"))
    spec = plan(poor)
    assert (spec.memory, spec.memory_and_swap, spec.cpus, spec.pids) == (None, None, None, None)
    with pytest.raises(EngineError, match="cannot limit memory"):
        plan(poor, box=Box(memory=GIB))
    with pytest.raises(EngineError, match="cannot limit cpus"):
        plan(poor, box=Box(cpus=1))


@pytest.mark.parametrize(
    ("info", "caller", "user"),
    [
        (INFO, Caller(1000, 1001), "1000:1001"),
        (INFO, Caller(0, 0), "0:0"),
        (replace(INFO, rootless=True), Caller(1000, 1001), "0:0"),
        (replace(INFO, product="podman", rootless=True), Caller(501, 20), "0:0"),
        (replace(INFO, product="desktop"), Caller(None, None), "1000:1000"),
        (replace(INFO, product="desktop"), Caller(501, 20), "501:20"),
    ],
)
def test_the_user_inside_is_the_one_whose_files_are_the_callers(
    info: EngineInfo, caller: Caller, user: str
) -> None:
    assert plan(info, caller).user == user


def test_copied_inputs_are_links_into_volumes_that_may_be_shared() -> None:
    volumes = {"work": "vw", "worker": "vc", "in/calib": "same", "in/w": "same"}
    spec = plan(transfer="copy", volumes=volumes)
    assert {(one.kind, one.source, str(one.target), one.read_only) for one in spec.mounts} == {
        ("volume", "vc", "/hefsmith/worker", True),
        ("volume", "same", "/hefsmith/volumes/same", True),
        ("volume", "vw", "/hefsmith/work", False),
    }
    assert settings(spec)["links"] == {
        "/hefsmith/in/calib": "/hefsmith/volumes/same/data",
        "/hefsmith/in/w": "/hefsmith/volumes/same/data",
    }
    assert "/hefsmith/in" in spec.tmpfs


@pytest.mark.parametrize(
    ("lifeline", "patience", "once"),
    [("eof", 0, True), ("beat", 120.0, False), ("none", None, False)],
)
def test_the_lifeline_decides_who_closes_standard_input(
    lifeline: str, patience: float | None, once: bool
) -> None:
    from docker import APIClient

    spec = plan(lifeline=lifeline)
    assert settings(spec)["patience"] == patience
    api = APIClient(base_url="unix:///nowhere", version="1.41")
    assert create_config(spec, api)["StdinOnce"] is once
    api.close()


def test_the_environment_has_what_the_vendors_code_reads_unguarded() -> None:
    env = environment({"USER": "x", "D": PurePosixPath("/hefsmith/in/d")}, {"PYTHONPATH": "/sdk"},
                      info=INFO, gpus=False)  # fmt: skip
    assert env["PYTHONPATH"] == "/hefsmith/worker:/sdk"
    assert (env["USER"], env["HOME"], env["D"]) == ("x", "/tmp", "/hefsmith/in/d")
    assert "NVIDIA_DISABLE_REQUIRE" not in env


def test_what_is_loosened_is_named() -> None:
    assert Box().overridden() == ()
    assert Box(network=True, gpus=True).overridden() == ("network", "gpus")
    words = shlex.split(shell_line(plan(box=Box(gpus=True, network=True, writable_root=True))))
    assert "--gpus" in words
    assert "--read-only" not in words


@pytest.mark.parametrize(
    ("name", "safe"),
    [("digits-h8l", "digits-h8l"), ("ä b/c:d", "b-c-d"), ("..", "job"), ("x" * 90, "x" * 40)],
)
def test_any_name_becomes_one_that_docker_takes(name: str, safe: str) -> None:
    assert safe_name(name) == safe
