"""The public repository's workflows: sound, and of the commands that people are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

#: Names of hosts that serve packages or images: a mirror or a proxy takes their place.
HOST = re.compile(r"\b[\w-]+\.(?:org|io|com|dev|net)\b|https?://")


def workflows(repository: Path) -> list[Path]:
    found = sorted((repository / ".github/workflows").glob("*.yml"))
    assert found
    return found


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as a truth value.
    return {"on" if key is True else key: value for key, value in document.items()}


def jobs(repository: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in workflows(repository):
        yield from read(path)["jobs"].items()


def systems(job: dict[str, Any]) -> set[str]:
    """Return the runners of a job."""
    runner = job["runs-on"]
    if "matrix.os" not in runner:
        return {runner}
    matrix = job["strategy"]["matrix"]
    return set(matrix.get("os", ())) | {one["os"] for one in matrix.get("include", ())}


def told(repository: Path) -> set[str]:
    """Return the lines of commands that the documents tell."""
    found: set[str] = set()
    for name in ("CONTRIBUTING.md", "README.md"):
        text = (repository / name).read_text(encoding="utf-8")
        for block in re.findall(r"```(?:sh|powershell)\n(.*?)```", text, re.DOTALL):
            found.update(line.partition("  #")[0].strip() for line in block.splitlines())
    return found


def test_each_command_is_one_that_people_are_told(repository: Path) -> None:
    known = told(repository) | {".ci/run"}
    run = [
        line.strip()
        for _, job in jobs(repository)
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
    ]
    assert len(run) > 10
    assert [line for line in run if line not in known] == []


@pytest.mark.parametrize("kind", ["unit", "wheel"])
def test_tests_and_wheel_run_on_three_systems(repository: Path, kind: str) -> None:
    found = {one for name, job in jobs(repository) if name.startswith(kind) for one in systems(job)}
    assert found == {"ubuntu-latest", "windows-latest", "macos-latest"}


def test_everything_is_bounded_and_may_write_nothing(repository: Path) -> None:
    for path in workflows(repository):
        assert read(path)["permissions"] == {"contents": "read"}
        assert set(read(path)["on"]) == {"push", "pull_request"}
    for name, job in jobs(repository):
        assert 0 < job["timeout-minutes"] <= 120, name
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))


def test_no_registry_is_named(repository: Path) -> None:
    for path in workflows(repository):
        assert HOST.findall(path.read_text(encoding="utf-8")) == []
