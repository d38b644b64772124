"""Programs with Docker's interface: each a row, and a row is enough."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.engine import choose, endings, products
from orchestrator.engine.address import Address
from orchestrator.engine.base import EngineInfo
from orchestrator.engine.facts import read_info
from orchestrator.engine.shell import plan_shell
from tests.unit.contract.copies import copy_tree

#: What engines say of themselves: `docker info` (system, name), components of `docker version`,
#: and where they were reached; from public reports and, where said, from machines of ours.
SAID = {
    "desktop": ("Docker Desktop", "docker-desktop", "Engine", "unix:///x/docker.sock"),
    "orbstack": ("OrbStack", "orbstack", "Engine", "unix:///x/docker.sock"),
    "colima": ("Ubuntu 24.04 LTS", "colima", "Engine", "unix:///x/docker.sock"),
    "rancher": ("Alpine Linux v3.18", "lima-rancher-desktop", "Engine", "unix:///x/docker.sock"),
    "podman": ("debian", "vm", "Podman Engine", "unix:///run/podman/podman.sock"),
    "nerdctl": ("Amazon Linux 2023", "box", "", "unix:///run/finch.sock"),
    "docker": ("Debian GNU/Linux 12", "vm", "Engine", "unix:///run/user/7/docker.sock"),
}


def described(system: str, host: str, part: str, address: str) -> EngineInfo:
    info = {"OperatingSystem": system, "Name": host, "Architecture": "x86_64"}
    version = {"Version": "27.0", "Components": [{"Name": part}]}
    return read_info(info, version, Address("docker", address, "test"))


def test_every_product_is_told_from_the_others() -> None:
    assert {name: described(*said).product for name, said in SAID.items()} == {
        name: name for name in SAID
    }
    assert set(SAID) == set(products.by_name())


def test_an_engine_that_nobody_knows_is_taken_for_dockers() -> None:
    assert described("Haiku", "vm", "Engine", "tcp://box:2376").product == "docker"
    assert products.find("no such").name == "docker"


def test_the_page_names_every_product(repository: Path) -> None:
    text = (repository / "docs/hosts.md").read_text(encoding="utf-8")
    named = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert {one.title for one in products.PRODUCTS} <= named


@pytest.mark.parametrize(
    ("clients", "words"),
    [
        ({"podman", "docker"}, ("podman", "--remote", "--url")),
        ({"docker"}, ("docker", "-H")),
        (set(), ("docker", "-H")),
    ],
)
def test_a_shell_is_opened_by_the_client_that_there_is(
    clients: set[str], words: tuple[str, ...]
) -> None:
    from orchestrator.engine.box import Box, ContainerSpec

    spec = ContainerSpec(
        "n", "image", ("bash",), "1:1", {}, {}, (), {}, Box(), None, None, None, None, "eof"
    )
    url = "unix:///run/podman/podman.sock"
    found = plan_shell(spec, url, "podman", terminal=True, has=clients.__contains__)
    assert found[: len(words) + 2] == (*words, url, "run")
    assert found[found.index("-i") + 1] == "-t"


def test_a_socket_of_another_product_is_used_when_docker_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    there = f"unix://{tmp_path}/.rd/docker.sock"
    monkeypatch.setattr(choose, "listens", lambda address: address == there)
    found = choose.find_address("auto")
    assert (found.url, found.origin) == (there, f"found at {tmp_path}/.rd/docker.sock")


def test_whether_somebody_listens_is_seen_without_calling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("s.sock")
        assert choose.listens(f"unix://{tmp_path}/s.sock")
    assert not choose.listens(f"unix://{tmp_path}/t.sock")
    pipes = tmp_path / "pipes"
    pipes.mkdir()
    (pipes / "docker_engine").touch()
    monkeypatch.setattr(choose, "PIPES", str(pipes))
    assert choose.listens("npipe:////./pipe/docker_engine")
    assert not choose.listens("npipe:////./pipe/podman-machine-default")
    monkeypatch.setattr(choose, "PIPES", str(tmp_path / "none"))
    assert not choose.listens("npipe:////./pipe/docker_engine")


NEW = """
    Product(
        "kiln",
        "Kiln",
        system="KilnOS",
        sockets=("{home}/.kiln/kiln.sock",),
        machine=True,
        maps_owner=True,
        client=("kiln", "--at"),
        memory="Kiln: kiln resize 16",
    ),
"""

WALK = """
import json, sys
from pathlib import Path
from orchestrator.engine import choose, endings, products
from orchestrator.engine.address import Address
from orchestrator.engine.facts import read_info

found = choose.find_address("auto")
info = read_info({"OperatingSystem": "KilnOS 3", "Architecture": "arm64"}, {}, found)
unsaid = read_info({"OperatingSystem": "Linux"}, {}, found)
row = products.find(info.product)
print(json.dumps([
    found.url, info.product, unsaid.product, endings.memory_hint(info), row.client, row.maps_owner,
]))
"""


@pytest.mark.slow
def test_a_new_product_is_one_row(repository: Path, tmp_path: Path) -> None:
    tree = copy_tree(repository, tmp_path / "tree")
    table = tree / "orchestrator/engine/products.py"
    text = table.read_text(encoding="utf-8")
    assert text.count("PRODUCTS = (\n") == 1
    table.write_text(text.replace("PRODUCTS = (\n", f"PRODUCTS = ({NEW}", 1), encoding="utf-8")
    home = tmp_path / "h"
    (home / ".kiln").mkdir(parents=True)
    (home / ".kiln/kiln.sock").touch()
    program = tmp_path / "walk.py"
    # A machine on which Docker's own socket is not there.
    program.write_text(
        "from orchestrator.engine import address\n"
        "address.DEFAULT_POSIX = 'unix:///no/docker.sock'\n" + WALK,
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": f"{tree}:{tree}/docker/worker",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    url, said, unsaid, hint, client, maps = json.loads(done.stdout)
    assert url == f"unix://{home}/.kiln/kiln.sock"
    assert (said, unsaid) == ("kiln", "kiln"), "by its word, and by where it listens"
    assert "kiln resize 16" in hint
    assert (client, maps) == (["kiln", "--at"], True)


def test_what_no_row_says_is_not_said() -> None:
    info = described(*SAID["nerdctl"])
    assert "\n" not in endings.memory_hint(info)
