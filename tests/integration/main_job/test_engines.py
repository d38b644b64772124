"""One recipe, several places: the same bytes and the same verdict everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..device.pi import Pi
from ..device.pi_image import pi_image, run
from .conftest import Project

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def docked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which ``hef up`` has run once on the Docker engine, with a cache of its own."""
    project = Project(tmp_path_factory.mktemp("docked"))
    done = project.hef("up", "digits", "--engine", "docker", "--json")
    assert done.returncode == 0, done.stderr
    (project.root / "first.json").write_text(done.stdout, encoding="utf-8")
    return project


def steps(outcome: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {item["step"]: item["measures"] for item in outcome["proof"]["verdict"]["steps"]}


def first(project: Project) -> dict[str, Any]:
    return dict(json.loads((project.root / "first.json").read_text(encoding="utf-8")))


def test_both_engines_give_the_same_bytes_and_verdict(built: Project, docked: Project) -> None:
    assert docked.build()["engine"]["kind"] == "docker"
    assert built.build()["engine"]["kind"] == "local"
    assert docked.digests() == built.digests()
    assert steps(first(docked)) == steps(first(built))


def test_results_belong_to_the_caller(docked: Project) -> None:
    for path in (docked.root / "artifacts").rglob("*"):
        assert path.stat().st_uid == os.getuid()


def test_no_container_is_left(docked: Project) -> None:
    listed = run(
        "docker", "ps", "-a", "--filter", "label=org.hefsmith.model", "--format", "{{.Names}}"
    )
    assert listed == ""


@pytest.fixture
def pi(tmp_path: Path) -> Iterator[Pi]:
    key = tmp_path / "id_ed25519"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    started = Pi.start(pi_image("amd64"), key, env={})
    yield started
    started.remove()


def test_a_pi_in_a_container_gives_the_embedded_devices_verdict(
    built: Project, pi: Pi, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(built.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    (copy.root / "hef.yaml").write_text(
        f"devices:\n  bench: {{host: {pi.address}, user: pi, identity: {pi.key}}}\ndevice: bench\n",
        encoding="utf-8",
    )
    refused = copy.hef("up", "digits", "--engine", "local")
    assert refused.returncode == 4, refused.stderr
    assert "hef device trust bench" in refused.stderr
    fingerprint = pi.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    trusted = copy.hef("device", "trust", "bench", "--fingerprint", fingerprint)
    assert trusted.returncode == 0, trusted.stderr
    done = copy.hef("up", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["proof"]["device"] == "bench"
    assert steps(outcome) == steps(first(built))
    assert pi.current("digits") is not None


def test_a_build_goes_on_in_the_background_and_is_picked_up_again(
    new_project: Callable[[str], Project],
) -> None:
    project = new_project("background")
    started = project.hef("up", "digits", "--engine", "docker", "--detach")
    assert started.returncode == 0, started.stderr
    identifier = started.stdout.strip()
    listed = project.hef("ps", "--json")
    assert identifier in listed.stdout
    attached = project.hef("attach", identifier)
    assert attached.returncode == 0, attached.stderr
    assert project.build()["model"] == "digits"
    assert identifier not in project.hef("ps", "--json").stdout


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_an_interrupt_leaves_no_container(new_project: Callable[[str], Project]) -> None:
    import signal

    project = new_project("interrupted")
    process = project.start("build", "digits", "--engine", "docker", "--fresh")
    assert process.stderr is not None
    for line in process.stderr:
        if "export:" in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 12
    left = subprocess.run(
        ["docker", "ps", "-aq", "--filter", "label=org.hefsmith.model=digits"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout.strip() == ""
    assert not (project.root / "artifacts" / "digits" / "hailo8l").exists()
