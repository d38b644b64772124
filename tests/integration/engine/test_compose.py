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

from orchestrator.engine.address import Address
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.packages import extra_wheels

from ..device.pi_image import pi_image
from .conftest import SOCKET, docker

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


def lay_out(repository: Path, context: Path) -> None:
    """Write the emulator's build context with all that takes long taken from the image there is.

    The libraries of ``hef`` itself go on top of it, instead of into a copy of its environment;
    the stage that compose asks for is otherwise the Dockerfile's own.
    """
    engine = DockerEngine(Address("docker", SOCKET, "test"))
    try:
        emulator = engine.ensure_image("emulator").tags[0]
    finally:
        engine.close()
    ignore = shutil.ignore_patterns("wheels", "__pycache__")
    for folder in ("docker/emulator", "docker/pi", "docker/worker", "orchestrator", "models"):
        shutil.copytree(repository / folder, context / folder, ignore=ignore)
    wheels = context / "docker/emulator/wheels"
    wheels.mkdir()
    for one in extra_wheels(repository / "docker/emulator"):
        shutil.copy(one, wheels)
    text = (repository / "docker/emulator/Dockerfile").read_text()
    copies = [line for line in text.splitlines() if line.startswith("COPY") and "/build/" in line]
    own = text[text.index("FROM emulator AS cli") :].splitlines()
    moved = [line for line in own if "--from=host-libraries" in line]
    assert len(moved) == 1
    lines = [line for line in own[1:] if line not in moved]
    install = next(line for line in text.splitlines() if line.startswith("RUN sh /build/install"))
    words = ["ARG BASE", f"FROM {emulator} AS cli", *copies, install, *lines]
    (context / "docker/emulator/Dockerfile").write_text("\n".join(words) + "\n")


def test_a_model_goes_all_the_way_in_the_container_by_hand(
    repository: Path, tmp_path: Path
) -> None:
    project, name, uid = tmp_path / "project", f"hefsmith-test-{os.getpid()}", 4321
    shutil.copytree(repository / "models", project / "models")
    for folder in ("artifacts", "calib"):
        (project / folder).mkdir()
        os.chown(project / folder, uid, uid)
    # Readable for that user, whatever the temporary folder's mode is outside.
    project.chmod(0o755)
    lay_out(repository, tmp_path / "context")
    build = {"context": str(tmp_path / "context")}
    override = tmp_path / "override.yaml"
    override.write_text(json.dumps({"services": {"emulator": {"image": name, "build": build}}}))
    compose = [
        "docker-compose", "-p", name, "--project-directory", str(project),
        "-f", str(repository / "compose.yaml"), "-f", str(override),
    ]  # fmt: skip
    environ = {**os.environ, "HEFSMITH_UID": str(uid), "HEFSMITH_GID": str(uid)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*compose, *words], capture_output=True, text=True, env=environ, check=False
        )
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done

    try:
        run("build", "emulator")
        done = run("run", "--rm", "-T", "emulator", "up", "digits")
        again = run("run", "--rm", "-T", "emulator", "up", "digits", "--json")
    finally:
        subprocess.run([*compose, "down", "-v"], capture_output=True, env=environ, check=False)
        subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)
    assert "EMULATED" in done.stdout
    assert json.loads(again.stdout)
    made = list((project / "artifacts/digits").rglob("*"))
    assert any(one.name.endswith(".emulated.hef") for one in made)
    assert {one.stat().st_uid for one in made} == {uid}, "results belong to the caller"
