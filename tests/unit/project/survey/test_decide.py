"""What is stated, what was measured, and what only a person knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.project.survey.decide import Trial, decide, scalings, undecided
from orchestrator.project.survey.stated import Stated, stated_for

ASSUMED = {"size": [32, 32], "resize": "stretch", "mean": [0], "std": [255], "color": "rgb"}
COUNT = 72


def trial(name: str, mean: float, std: float, right: int, loss: float, color: str = "rgb") -> Trial:
    losses = tuple(loss + 0.01 * (number % 5) for number in range(COUNT))
    return Trial(name, color, "stretch", None, (32, 32), (mean,) * 3, (std,) * 3, right, losses)


UNIT = trial("0..1", 0, 255, 70, 0.1)
SIGNED = trial("-1..1", 127.5, 127.5, 50, 0.9)
BGR = trial("0..1", 0, 255, 48, 1.0, "bgr")


def test_the_best_way_is_written_with_its_figure() -> None:
    found = decide(Stated(), [SIGNED, UNIT, BGR], ASSUMED)
    assert found.section["mean"] == [0, 0, 0]
    assert "70 of 72" in found.figure
    assert not found.asks


def test_a_tie_is_asked() -> None:
    found = decide(Stated(), [UNIT, replace(UNIT, scaling="same", color="bgr"), SIGNED], ASSUMED)
    assert found.asks
    assert {one.color for one in found.options} == {"rgb", "bgr"}


def test_what_is_stated_wins_over_a_way_that_does_a_little_better() -> None:
    stated = Stated(mean=(127.5,), std=(127.5,), where=("train.py:3",))
    close = replace(SIGNED, right=68, losses=tuple(one - 0.78 for one in SIGNED.losses))
    found = decide(stated, [UNIT, close], ASSUMED)
    assert found.section["mean"] == [127.5] * 3
    assert found.why == ("train.py:3",)
    assert not found.asks


def test_what_is_stated_and_plainly_wrong_is_told() -> None:
    stated = Stated(mean=(127.5,), std=(127.5,), where=("train.py:3",))
    found = decide(stated, [UNIT, SIGNED], ASSUMED)
    assert found.asks
    assert "train.py:3" in found.contradicts
    assert found.options[0] == UNIT


def test_without_pictures_what_is_stated_counts_and_else_a_person_is_asked() -> None:
    stated = Stated(size=(96, 64), mean=(127.5,), std=(127.5,))
    found = decide(stated, [], ASSUMED)
    assert found.section["size"] == [96, 64]
    assert found.section["mean"] == [127.5]
    assert not found.asks
    assert decide(Stated(), [], ASSUMED).asks


def test_pixels_that_nobody_scales_are_written_as_such() -> None:
    found = decide(Stated(), [trial("0..255", 0, 1, 72, 0.01), UNIT], ASSUMED)
    assert found.section["normalize"] == "none"
    assert "mean" not in found.section


def test_the_stated_scaling_is_tried_too() -> None:
    own = Stated(mean=(10.0, 20.0, 30.0), std=(50.0,))
    assert scalings(own, 3)[0]["mean"] == (10.0, 20.0, 30.0)
    assert all(len(one["mean"]) == 1 for one in scalings(own, 1))


def test_what_is_written_for_pictures_of_another_kind_is_left_out() -> None:
    gray = Stated(color="gray", where=("tool.py:2: image.convert('L')",))
    assert stated_for(gray, 3) == Stated()
    assert stated_for(gray, 1) == gray
    sized = Stated(size=(64, 64), color="gray", where=("tool.py",))
    assert stated_for(sized, 3) == replace(sized, color=None)
    colour = Stated(mean=(1.0, 2.0, 3.0), std=(4.0, 4.0, 4.0), color="bgr", where=("a.py",))
    assert stated_for(colour, 3) == colour
    assert stated_for(colour, 1) == Stated()


def test_a_way_that_is_best_by_chance_decides_nothing() -> None:
    few = [replace(UNIT, right=right, losses=UNIT.losses[:18]) for right in (6, 9, 11)]
    assert undecided(few, 3) == (11, 18)


@pytest.mark.parametrize(
    ("right", "count", "classes"), [(13, 18, 3), (70, 72, 3), (8, 8, 2), (5, 6, 10)]
)
def test_more_than_guessing_gives_decides(right: int, count: int, classes: int) -> None:
    assert undecided([replace(UNIT, right=right, losses=UNIT.losses[:count])], classes) is None


def test_without_labelled_pictures_nothing_is_said_of_guessing() -> None:
    assert undecided([], 3) is None
    assert undecided([UNIT], 0) is None


def test_a_figure_is_not_called_the_best_where_another_way_has_more_right() -> None:
    more = replace(UNIT, color="bgr", right=71, losses=tuple(one + 0.05 for one in UNIT.losses))
    found = decide(Stated(), [UNIT, more], ASSUMED)
    assert "70 of 72" in found.figure
    assert "the best of" not in found.figure
