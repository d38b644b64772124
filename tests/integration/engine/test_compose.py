"""compose.yaml: read by the old and the new program, and as tight as the box."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ..device.pi_image import pi_image
from .conftest import docker

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


def test_the_pi_by_hand_is_a_device_like_any_other(repository: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    override = tmp_path / "override.yaml"
    # The same image, without fetching packages once more.
    override.write_text(json.dumps({"services": {"pi": {"image": pi_image("amd64")}}}))
    compose = [
        "docker-compose", "-p", f"hefsmith-test-{os.getpid()}",
        "-f", str(repository / "compose.yaml"), "-f", str(override),
    ]  # fmt: skip
    environ = {**os.environ, "AUTHORIZED_KEY": key.with_suffix(".pub").read_text().strip()}

    def run(*words: str) -> str:
        done = subprocess.run(
            [*words], capture_output=True, text=True, env=environ, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    hef = [sys.executable, "-m", "orchestrator"]
    try:
        run(*compose, "up", "-d", "--no-build", "pi")
        pi = run(*compose, "ps", "-q", "pi").strip()
        [network] = json.loads(docker("inspect", pi))[0]["NetworkSettings"]["Networks"].values()
        # Its keys are made when it starts, and its sshd after that.
        keys = "/etc/ssh/ssh_host_ed25519_key.pub"
        docker("exec", pi, "sh", "-c", f"until [ -s {keys} ] && pgrep sshd; do sleep 0.2; done")
        public = docker("exec", pi, "ssh-keygen", "-lf", keys)
        run(*hef, "device", "add", "bench", f"pi@{network['IPAddress']}", "-i", str(key))
        run(*hef, "device", "trust", "bench", "--fingerprint", public.split()[1])
        said = run(*hef, "device", "identify", "bench", "--json")
    finally:
        subprocess.run([*compose, "down", "-v"], capture_output=True, env=environ, check=False)
    assert "hailo8l" in said.lower()
    assert "emulated" in said.lower()
