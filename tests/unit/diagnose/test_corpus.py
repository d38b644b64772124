"""The corpus of real situations: no wrong cause is asserted, and nearly all are named."""

from __future__ import annotations

import pytest

from tests.corpus import HERE, PARTS, judge, load, score

#: Parts that rules were tuned on: all of them must be right.
TUNED = tuple(part for part in PARTS if part != "held_out")
#: Share of causes that must be named.
NAMED = 0.9


@pytest.mark.parametrize("case", load(*TUNED), ids=lambda case: case.name)
def test_an_open_log_is_explained_rightly(case: object) -> None:
    result = judge(case)  # type: ignore[arg-type]
    assert result.verdict == "right", result


@pytest.mark.slow
def test_the_logs_that_were_kept_out_of_tuning_are_explained_as_well() -> None:
    results = score("held_out")
    assert [one.case.name for one in results["wrong"]] == []
    assert len(results["right"]) >= NAMED * sum(map(len, results.values()))


@pytest.mark.parametrize("case", load("healthy_round"), ids=lambda case: case.name)
def test_the_noise_of_a_run_that_went_well_asserts_nothing(case: object) -> None:
    told = judge(case).told  # type: ignore[arg-type]
    assert {"fatal", "unknown", "possible"}.isdisjoint(told.values()), told


def test_the_corpus_is_large_enough_and_half_of_it_is_kept_out() -> None:
    sizes = {part: len(load(part)) for part in PARTS}
    assert sum(sizes.values()) >= 150
    assert sizes["held_out"] >= sizes["open"]
    assert all(case.source.startswith("http") and case.log.strip() for case in load())
    names = [path.stem for part in PARTS for path in (HERE / part).iterdir()]
    assert len(names) == len(set(names))
