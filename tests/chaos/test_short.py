"""The short form of each family, and that the table says what was found."""

from __future__ import annotations

import sys

import pytest

from tests.chaos.__main__ import row, run_beside, table
from tests.chaos.count import Count
from tests.chaos.families import FAMILIES

if sys.platform == "win32":
    pytest.skip("forks processes, and Windows has no fork", allow_module_level=True)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", [name for name, one in FAMILIES.items() if one.short])
def test_nothing_is_lost(name: str) -> None:
    family = FAMILIES[name]
    count = run_beside(family, family.short, seed=7)
    print(row(family, count))
    assert count.tried or count.skipped
    assert count.lost == []


def test_the_table_has_what_was_found_now_and_keeps_the_rest() -> None:
    first = [(FAMILIES["clock"], Count(3, 3, 0, ["one"])), (FAMILIES["files"], Count(9, 9))]
    text = table(first, "")
    assert "| 3 | 3 | 1 |" in text
    assert "| **12** | **1** |" in text
    later = table([(FAMILIES["clock"], Count(5, 5))], text)
    assert "| **14** | **0** |" in later
    skipped = table([(FAMILIES["pages"], Count(1, skipped="no browser"))], later)
    assert "| not run | 0 |" in skipped
    assert "| **14** | **0** |" in skipped
