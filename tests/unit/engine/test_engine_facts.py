"""What an engine says of itself, from recorded answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.box import Caller, choose_user
from orchestrator.engine.choose import missing_limits
from orchestrator.engine.facts import read_info
from orchestrator.engine.image_store import lies_apart, refused

ADDRESS = Address("docker", "unix:///run/user/1001/podman/podman.sock", "test")

# Podman 4.3.1 on Debian 12 with control groups of version 1, as user 1001 (shortened).
INFO: dict[str, Any] = {
    "SecurityOptions": ["name=seccomp,profile=default"], "MemoryLimit": True, "SwapLimit": True,
    "CpuCfsQuota": True, "PidsLimit": True, "OperatingSystem": "debian", "Name": "vm", "NCPU": 2,
    "MemTotal": 25276514304, "Architecture": "amd64", "Driver": "vfs",
}  # fmt: skip
VERSION = {
    "Version": "4.3.1", "ApiVersion": "1.41",
    "Components": [{"Name": "Podman Engine", "Details": {"APIVersion": "4.3.1"}}],
}  # fmt: skip


def podman(rootless: bool, *controllers: str) -> dict[str, Any]:
    return {"host": {"security": {"rootless": rootless}, "cgroupControllers": list(controllers)}}


def test_a_rootless_podman_is_known_only_by_its_own_word() -> None:
    found = read_info(INFO, VERSION, ADDRESS, podman(True))
    assert (found.product, found.rootless) == ("podman", True)
    assert found.lacks == ("memory", "swap", "cpus", "pids")
    # The caller is root in there, and so its results are the caller's.
    assert choose_user(found, Caller(1001, 1001)) == "0:0"


def test_a_rootless_podman_has_the_limits_that_were_delegated() -> None:
    found = read_info(INFO, VERSION, ADDRESS, podman(True, "memory", "pids"))
    assert found.lacks == ("cpus",)


def test_a_podman_of_root_has_every_limit_whatever_it_lists() -> None:
    found = read_info(INFO, VERSION, ADDRESS, podman(False))
    assert (found.rootless, found.lacks) == (False, ())
    assert choose_user(found, Caller(0, 0)) == "0:0"


def test_a_docker_engine_says_it_itself() -> None:
    info = {**INFO, "SecurityOptions": ["name=seccomp", "name=rootless"], "PidsLimit": False}
    found = read_info(info, {"Version": "20.10.24"}, Address("docker", "unix:///run/d", "test"))
    assert (found.product, found.rootless, found.lacks) == ("docker", True, ("pids",))


# dockerd-rootless.sh of Debian 12, control groups of version 1: there are none for it.
ROOTLESS: dict[str, Any] = {
    "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"], "MemoryLimit": False,
    "SwapLimit": False, "CpuCfsQuota": False, "CpuCfsPeriod": False, "PidsLimit": False,
    "CgroupDriver": "none", "CgroupVersion": "1", "Name": "vm", "NCPU": 2,
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "MemTotal": 25276514304,
    "Architecture": "x86_64", "Driver": "overlay2",
}  # fmt: skip


def test_limits_that_are_not_in_force_are_said() -> None:
    found = read_info(ROOTLESS, {"Version": "20.10.24"}, ADDRESS)
    assert "cannot limit memory, cpus, pids" in missing_limits(found)
    # What systemd delegates to a user by itself: memory and pids.
    delegated = {**ROOTLESS, "MemoryLimit": True, "PidsLimit": True}
    assert "cannot limit cpus," in missing_limits(read_info(delegated, {}, ADDRESS))
    # A kernel that does not account for swap still limits memory.
    whole = {**delegated, "CpuCfsQuota": True}
    assert missing_limits(read_info(whole, {}, ADDRESS)) == ""


def test_containerds_image_store_is_known_by_its_driver() -> None:
    # A new installation of Docker 29, and what 28 has with the feature containerd-snapshotter.
    status = {
        "Driver": "overlayfs",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    }
    assert read_info({**INFO, **status}, {}, ADDRESS).containerd_store
    old = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
    assert not read_info({**INFO, **old}, {}, ADDRESS).containerd_store
    assert not read_info({**INFO, "DriverStatus": None}, {}, ADDRESS).containerd_store


def test_images_that_lie_on_another_disk_are_not_measured_in_the_engines_folder(
    tmp_path: Path,
) -> None:
    root, store = tmp_path / "docker", tmp_path / "containerd"
    root.mkdir()
    assert not lies_apart(root, store), "there is no such folder"
    store.mkdir()
    assert not lies_apart(root, store), "one disk holds both"
    other = Path("/dev/shm")
    assert lies_apart(root, other) == (other.stat().st_dev != root.stat().st_dev)
    (root / "containerd").mkdir()
    assert not lies_apart(root, other), "the engine's own containerd"


@pytest.mark.parametrize(
    "said",
    [
        "open /var/lib/docker/tmp/docker-import-1/repositories: no such file or directory",
        "unrecognized image format",
    ],
)
def test_a_tar_without_an_image_is_told_in_the_same_words_by_every_engine(said: str) -> None:
    error = refused("download.tar", said)
    assert "no image is in it" in error.message
    assert "download itself" in (error.hint or "")
