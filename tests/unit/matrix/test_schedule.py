"""Which cells start, and how long all will take: decided without running anything."""

from __future__ import annotations

import pytest

from orchestrator.pipeline.matrix.schedule import Capacity, Demand, next_cells, time_left, worst

GIB = 1 << 30


def demand(*keys: str, memory: int = GIB) -> Demand:
    return Demand({key: key.partition("-")[0] for key in keys}, memory)


def test_cells_that_share_a_stage_wait_for_the_one_that_makes_it() -> None:
    pending = {
        0: demand("export-a", "compile-1"),
        1: demand("export-a", "compile-2"),
        2: demand("export-b", "compile-3"),
    }
    room = Capacity(jobs=3, memory=None)
    assert next_cells(pending, {}, set(), room) == (0, 2)
    running = {0: pending[0]}
    assert next_cells({1: pending[1]}, running, set(), room) == ()
    assert next_cells({1: pending[1]}, running, {"export-a"}, room) == (1,)


def test_no_more_run_than_slots_and_memory_allow() -> None:
    pending = {number: demand(f"export-{number}", memory=4 * GIB) for number in range(5)}
    assert next_cells(pending, {}, set(), Capacity(2, None)) == (0, 1)
    assert next_cells(pending, {}, set(), Capacity(5, 9 * GIB)) == (0, 1)
    assert next_cells(pending, {}, set(), Capacity(5, GIB)) == (0,), "alone, rather than never"


def test_a_small_cell_passes_one_that_waits_for_memory() -> None:
    pending = {1: demand("export-1", memory=8 * GIB), 2: demand("export-2", memory=GIB)}
    running = {0: demand("export-0", memory=8 * GIB)}
    assert next_cells(pending, running, set(), Capacity(3, 10 * GIB)) == (2,)


def test_cells_with_nothing_to_make_need_no_memory() -> None:
    pending = {number: Demand({}, 0) for number in range(3)}
    running = {9: demand("export-0", memory=100 * GIB)}
    assert next_cells(pending, running, set(), Capacity(4, GIB)) == (0, 1, 2)


def test_time_left_is_told_when_every_stage_was_seen() -> None:
    means = {"export": 10.0, "compile": 100.0}
    assert time_left(["export", "optimize"], [], means, 1) is None
    assert time_left(["export", "compile"], [], means, 1) == 110
    assert time_left(["export", "compile"], [], means, 2) == 100, "one stage is in one slot"
    assert time_left([], [("compile", 40.0)], means, 2) == 60
    assert time_left([], [("compile", 400.0)], means, 2) == 0
    assert time_left([], [], means, 2) == 0


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 0], 0), ([0, 5, 1], 1), ([5, 0], 5), ([2, 6], 2), ([1, 3], 3), ([3, 130], 130), ([], 0)],
)
def test_the_worst_cell_gives_the_exit_code(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected
