"""A store between two machines: what one has built, the other's build finds cached."""

from __future__ import annotations

import json
import os
import shutil
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
    done = built.hef("cache", "push", "--engine", "local", "--to", str(share), "--json")
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
    pulled = clone.hef("cache", "pull", "--engine", engine, "--from", str(share), **there)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.count("fetched ") == 6
    done = clone.hef("build", "digits", "--engine", engine, **there)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(": cached") == 6
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
    pulled = clone.hef("cache", "pull", "--engine", "local", "--from", str(copy), "--json")
    assert pulled.returncode == 0, pulled.stderr
    assert "Traceback" not in pulled.stderr
    assert {row["action"] for row in json.loads(pulled.stdout)["stages"]} == {"refused"}
    assert not list((clone.root / "cache" / "stages").glob("??/[0-9a-f]*"))
    planned = json.loads(clone.hef("build", "--engine", "local", "--dry-run", "--json").stdout)
    assert {stage["action"] for stage in planned["stages"]} == {"run"}
