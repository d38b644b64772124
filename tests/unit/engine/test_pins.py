"""The same versions in the image, in the extra, and for the program itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def requirements(path: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {line for line in lines if line}


def name(requirement: str) -> str:
    return re.split(r"[<>=\[ ]", requirement)[0].lower()


def test_both_engines_install_the_same_versions(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extra = set(project["optional-dependencies"]["emulator"])
    image = requirements(repository / "docker/emulator/requirements.txt")
    assert extra <= image
    assert all(re.fullmatch(r"[a-z0-9._-]+==[0-9.]+", one) for one in image), "everything pinned"


def test_the_compose_image_has_what_the_program_needs(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    image = requirements(repository / "docker/emulator/requirements-host.txt")
    assert set(project["dependencies"]) == image


def test_no_dockerfile_takes_whatever_is_newest(repository: Path) -> None:
    for path in repository.glob("docker/*/Dockerfile"):
        for base in re.findall(
            r"^ARG BASE=(\S+)|^FROM ([a-z]\S+:\S+)", path.read_text(), re.MULTILINE
        ):
            reference = next(filter(None, base))
            assert not reference.endswith(":latest"), path
            assert ":" in reference, path


def test_the_compose_image_has_every_file_that_the_program_reads(repository: Path) -> None:
    """`hef` in the container finds its data beside itself, and not in the mounted checkout."""
    text = (repository / "docker/emulator/Dockerfile").read_text()
    stage = text.partition(" AS cli\n")[2]
    home = "/opt/hefsmith/orchestrator/_docker/emulator"
    for name in ("bin", "packages", "requirements.txt"):
        assert re.search(rf"^COPY docker/emulator/{name} {home}/", stage, re.MULTILINE), name
    assert '"-P"' in stage, "the working folder is a checkout"
