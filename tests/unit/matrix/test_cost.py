"""What a matrix costs beside the stages themselves, and what is left of it after kill -9.

``HEFSMITH_TEST_KILLS=50`` kills a matrix at fifty random points instead of four.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Project

from . import conftest, trivial

KILLS = int(os.environ.get("HEFSMITH_TEST_KILLS", "4"))


@pytest.mark.bench
def test_a_cell_costs_under_twenty_milliseconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: conftest.Project
) -> None:
    root = tmp_path / "many"
    recipe = trivial.RECIPE.replace("[hailo8l, hailo8]", "[hailo8l, hailo8, hailo8r, hailo10h]")
    for number in range(50):
        trivial.make_model(root, f"net{number}", recipe)
    monkeypatch.chdir(root)
    monkeypatch.delenv("TRIVIAL_RUNS")

    def a_cell(act: Callable[[], object]) -> float:
        began = time.process_time()
        act()
        return (time.process_time() - began) / 200

    with Project(cache=str(tmp_path / "other")) as opened:
        alone = a_cell(lambda: [opened.make(cell) for cell in opened.cells(everything=True)])
    shutil.rmtree(root / "artifacts")
    with Project() as opened:
        first = a_cell(lambda: opened.build_all(jobs=2))
        cached = a_cell(lambda: opened.build_all(jobs=2))
        assert opened.build_all(jobs=2).count("cached") == 200
    said = f"{first * 1e3:.1f} ms a cell that runs ({alone * 1e3:.1f} ms one by one)"
    print(f"\n{said}, {cached * 1e3:.1f} ms a cached one")
    assert cached < 0.020
    assert first - alone < 0.020


def digests(project: conftest.Project) -> dict[str, dict[str, str]]:
    found = {}
    with Project(project.root) as opened:
        for cell in opened.build_all().cells:
            assert cell.result is not None
            assert cell.status == "cached"
            found[cell.name] = dict(cell.result.digests)
    return found


@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_matrix_that_is_killed_goes_on_and_ends_as_if_undisturbed(
    project: conftest.Project,
) -> None:
    words = ("build", "--all", "--jobs", "2", "--json")
    began = time.monotonic()
    assert project.hef(*words, TRIVIAL_SECONDS="0.05").returncode == 0
    whole = time.monotonic() - began
    undisturbed = digests(project)
    chance = random.Random(7)
    for number in range(KILLS):
        for name in ("artifacts", "cache", "home"):
            shutil.rmtree(project.root / name, ignore_errors=True)
        process = project.start(*words, TRIVIAL_SECONDS="0.05")
        time.sleep(chance.uniform(0.1, 1.0) * whole)
        process.kill()
        process.communicate()
        done = project.hef(*words)
        assert done.returncode == 0, f"{number}: {done.stderr}"
        assert digests(project) == undisturbed
        left = list((project.root / "artifacts").rglob(".*.building-*"))
        assert left == [], number
