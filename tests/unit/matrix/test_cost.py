"""What a matrix costs beside the stages themselves. (What kill -9 leaves of it: tests/chaos.)"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Project

from . import conftest, trivial

pytestmark = pytest.mark.slow


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
