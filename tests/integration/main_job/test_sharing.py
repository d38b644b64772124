"""A store between two machines: what one has built, the other's build finds cached."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Project

#: Another machine's engine: these are never asked when everything is there.
NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture(scope="module")
def share(built: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to which the builder of ``built`` has pushed."""
    share = tmp_path_factory.mktemp("share")
    done = built.hef("cache", "push", "digits", "--engine", "local", "--to", str(share), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["warnings"] == []
    return share


@pytest.fixture
def clone(built: Project, tmp_path: Path) -> Iterator[Project]:
    """The same project elsewhere, with a home and a cache of its own, both empty."""
    root = tmp_path / "another" / "place"
    (root / "home").mkdir(parents=True)
    if (built.root / "models").is_dir():
        shutil.copytree(built.root / "models", root / "models")
    yield Project(root)


@pytest.mark.parametrize("engine", ["local", "docker"])
def test_a_clone_pulls_and_builds_nothing(
    built: Project, share: Path, clone: Project, engine: str
) -> None:
    there = {"HOME": str(clone.root / "home"), **NOWHERE}
    pulled = clone.hef("cache", "pull", "digits", "--engine", engine, "--from", str(share), **there)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.count("fetched ") == 7
    done = clone.hef("build", "digits", "--engine", engine, **there)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(": cached") == 7
    assert "export: export" not in done.stderr
    assert clone.digests() == built.digests()
    assert clone.build()["key"] == built.build()["key"]
    # What people look at comes, too: the pictures that the network was calibrated on.
    assert clone.build()["files"] == built.build()["files"]


def test_nothing_in_the_store_tells_of_the_builders_machine(built: Project, share: Path) -> None:
    places = [os.fsencode(place) for place in (built.root, Path.home(), built.root.parent)]
    for path in share.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(place + b"/" in content for place in places), path


def test_a_damaged_store_costs_a_build_and_no_more(
    built: Project, share: Path, clone: Project, new_project: Callable[[str], Project]
) -> None:
    copy = new_project("store").root
    shutil.copytree(share, copy, dirs_exist_ok=True)
    for path in (copy / "v1" / "files").rglob("*"):
        if path.is_file():
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(bytes(content))
    pulled = clone.hef(
        "cache", "pull", "digits", "--engine", "local", "--from", str(copy), "--json"
    )
    assert pulled.returncode == 0, pulled.stderr
    assert "Traceback" not in pulled.stderr
    assert {row["action"] for row in json.loads(pulled.stdout)["stages"]} == {"refused"}
    assert not list((clone.root / "cache" / "stages").glob("??/[0-9a-f]*"))
    planned = json.loads(
        clone.hef("build", "digits", "--engine", "local", "--dry-run", "--json").stdout
    )
    assert {stage["action"] for stage in planned["stages"]} == {"run"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An SSH server of this user's on loopback: its address, and a home that has a key to it."""
    home = tmp_path / "its home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for key in (home / ".ssh" / "id_ed25519", tmp_path / "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nStrictModes no\n"
        f'AuthorizedKeysFile "{home}/.ssh/id_ed25519.pub"\nUsePAM no\nPidFile none\n'
        "Subsystem sftp internal-sftp\n",
        encoding="utf-8",
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    assert program is not None
    process = subprocess.Popen([program, "-D", "-f", tmp_path / "config"])
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    user = subprocess.check_output(["id", "-un"], text=True).strip()
    yield f"sftp://{user}@127.0.0.1:{port}{tmp_path}/team", home
    process.terminate()
    process.wait()


@pytest.mark.engine
def test_a_store_over_ssh_is_used_once_its_host_is_known(
    built: Project, clone: Project, server: tuple[str, Path], tmp_path: Path
) -> None:
    address, home = server
    push = ("cache", "push", "digits", "--engine", "local", "--to", address)
    refused = built.hef(*push, HOME=str(home))
    assert refused.returncode == 1
    assert "is not in ~/.ssh/known_hosts" in refused.stderr
    assert not (tmp_path / "team").exists()
    host, port = address.partition("@")[2].partition("/")[0].split(":")
    kind, key = (tmp_path / "host.pub").read_text().split()[:2]
    (home / ".ssh" / "known_hosts").write_text(f"[{host}]:{port} {kind} {key}\n")
    sent = built.hef(*push, HOME=str(home))
    assert sent.returncode == 0, sent.stderr
    assert list((tmp_path / "team" / "in").iterdir()) == []
    pulled = clone.hef(
        "cache", "pull", "digits", "--engine", "local", "--from", address, HOME=str(home)
    )
    assert pulled.stdout.count("fetched ") == 7, pulled.stderr
    empty = clone.root / "other"
    asked = clone.hef(
        "build", "digits", "--engine", "local", "--json",
        HOME=str(home), HEFSMITH_STORE=address, HEFSMITH_CACHE=str(empty),
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    assert "going on without" not in asked.stderr
    assert "done in" not in asked.stderr
    stages = json.loads(asked.stdout)["stages"]
    assert all(stage["cached"] for stage in stages.values())
    stranger = (home / ".ssh" / "id_ed25519.pub").read_text().split()[1]
    (home / ".ssh" / "known_hosts").write_text(f"[{host}]:{port} {kind} {stranger}\n")
    other = clone.hef(
        "cache", "pull", "digits", "--engine", "local", "--from", address, HOME=str(home)
    )
    assert other.returncode == 1
    assert "is not in ~/.ssh/known_hosts" in other.stderr
