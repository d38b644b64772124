"""compose.yaml: read by the old and the new program, and as tight as the box."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

#: Keys that docker-compose 1.29 does not know.
TOO_NEW = {"name", "version", "include", "develop", "additional_contexts"}


def load(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "compose.yaml").read_text())
    return found


def test_the_file_has_nothing_that_the_old_program_rejects(repository: Path) -> None:
    document = load(repository)
    assert not TOO_NEW & set(document)
    for service in document["services"].values():
        assert not (TOO_NEW | {"platforms"}) & (set(service) | set(service.get("build", {})))


def test_the_emulator_by_hand_has_the_limits_of_the_box(repository: Path) -> None:
    document = load(repository)
    emulator = document["services"]["emulator"]
    assert emulator["read_only"] is True
    assert emulator["cap_drop"] == ["ALL"]
    assert emulator["security_opt"] == ["no-new-privileges:true"]
    assert emulator["init"] is True
    assert emulator["pids_limit"] == 2048
    assert {"mem_limit", "cpus", "user", "tmpfs"} <= set(emulator)
    assert document["networks"]["bench"]["internal"] is True
    writable = [one["target"] for one in emulator["volumes"] if not one.get("read_only")]
    assert writable == ["/project/artifacts", "/project/calib"]
    assert not any("docker.sock" in str(one) for one in emulator["volumes"])


def test_the_installed_programs_accept_it(repository: Path) -> None:
    programs = [["docker-compose"]] if shutil.which("docker-compose") else []
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        programs.append(["docker", "compose"])
    assert programs, "install docker-compose, or Docker's compose plugin"
    for program in programs:
        done = subprocess.run(
            [*program, "-f", str(repository / "compose.yaml"), "config"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "no-new-privileges" in done.stdout
