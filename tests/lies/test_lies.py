"""No planted lie passes, and no honest control is blamed; see ``python -m tests.lies``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.lies.bench import Bench
from tests.lies.table import ROWS, Row

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

#: Each of these asks a device, which takes its time.
ON_A_DEVICE = ("verdict", "device", "labels", "pictures", "inputs", "tensorflow")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder: Path = tmp_path_factory.mktemp("lies")
    return Bench(folder)


def _marked(row: Row) -> object:
    slow = row.group in ON_A_DEVICE or row.name.endswith(("by up", "then up", "then report"))
    return pytest.param(row, id=row.name, marks=[pytest.mark.engine] if slow else [])


@pytest.mark.parametrize("row", [_marked(row) for row in ROWS])
def test_a_lie_is_told_and_its_honest_twin_is_not_blamed(bench: Bench, row: Row) -> None:
    assert row.look(bench, True) is not None, "the lie passed"
    assert row.look(bench, False) is None


def test_the_table_is_as_long_as_it_was_promised() -> None:
    assert len(ROWS) >= 60
    assert len({row.name for row in ROWS}) == len(ROWS)
    groups = Counter(row.group for row in ROWS)
    assert set(groups) == {
        "verdict", "less than asked", "damage", "stale input", "cache", "data", "compiler",
        "device", "labels", "pictures", "inputs", "tensorflow",
    }  # fmt: skip
