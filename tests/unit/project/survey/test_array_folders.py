"""Class folders with one array a sample: spectrograms, signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.project.survey.arrays import inputs_of
from orchestrator.project.survey.chosen import pictures_near
from orchestrator.project.survey.folder import look_around
from orchestrator.project.survey.pictures import to_try

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, count: int, name: str = "") -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        np.save(folder / f"{name or 's'}{number:02d}.npy", np.zeros((1, 40, 32), np.float32))


def test_class_folders_of_arrays_are_found_and_parted(tmp_path: Path) -> None:
    for label in ("bell", "dog"):
        write(tmp_path / "data" / label, 20)
    shown = pictures_near(look_around(tmp_path), None)
    assert shown is not None
    assert (shown.calibration, shown.folders) == (tmp_path / "data", ("bell", "dog"))
    assert shown.array == (1, 40, 32)
    assert shown.split is not None
    held_out, rest = shown.split
    assert (len(held_out), len(rest)) == (8, 32)
    assert held_out[0] == ("bell/s04.npy", "bell")
    assert to_try(shown, ("bell", "dog")) == [], "arrays are no pictures to try ways on"
    named = pictures_near(look_around(tmp_path), tmp_path / "data")
    assert named == shown


def test_parts_of_arrays_are_told_by_their_names(tmp_path: Path) -> None:
    for part, count in (("train", 12), ("val", 4)):
        for label in ("bell", "dog"):
            write(tmp_path / "data" / part / label, count)
    # Plots of the training are no data set beside labelled arrays.
    (tmp_path / "plots").mkdir()
    for number in range(3):
        (tmp_path / "plots" / f"{number}.png").touch()
    shown = pictures_near(look_around(tmp_path), None)
    assert shown is not None
    assert (shown.calibration, shown.held_out) == (
        tmp_path / "data" / "train", tmp_path / "data" / "val",
    )  # fmt: skip
    assert (shown.folders, shown.split) == (("bell", "dog"), None)


def test_labelled_pictures_come_before_arrays(tmp_path: Path) -> None:
    for label in ("bell", "dog"):
        write(tmp_path / "arrays" / label, 20)
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            (tmp_path / "photos" / label / f"{number}.png").touch()
    shown = pictures_near(look_around(tmp_path), None)
    assert shown is not None
    assert (shown.calibration, shown.array) == (tmp_path / "photos", None)


@pytest.mark.parametrize(
    ("sample", "rank", "channels", "inputs"),
    [
        ((1, 40, 32), 4, 1, [(1, 1, 40, 32)]),
        ((40, 32), 4, 1, [(1, 1, 40, 32)]),
        ((40, 32, 6), 4, 6, [(1, 6, 40, 32)]),
        ((6, 40, 32), 4, 6, [(1, 6, 40, 32)]),
        ((6, 40, 32), 4, 3, [(1, 6, 40, 32), (1, 32, 6, 40)]),
        ((16000,), 3, None, [(1, 1, 16000)]),
        ((1, 16000), 2, None, [(1, 16000)]),
        ((16,), 2, None, [(1, 16)]),
    ],
)
def test_samples_tell_the_input(
    sample: tuple[int, ...], rank: int, channels: int | None, inputs: list[tuple[int, ...]]
) -> None:
    found = inputs_of(sample, rank, channels)
    assert [next(iter(one.values())) for one in found] == inputs
