from __future__ import annotations

import random

import numpy as np
import pytest
from hefsmith_worker.contract.presets import RESIZES
from hefsmith_worker.pictures import Placement, Preprocess, place, prepare
from hypothesis import given
from hypothesis import strategies as st

SIDE = st.integers(1, 3000)
SIZES = st.tuples(st.integers(1, 700), st.integers(1, 700))
MODES = [mode for mode in RESIZES if mode != "none"]


@given(st.tuples(SIDE, SIDE), SIZES, st.sampled_from(MODES), st.integers())
def test_the_picture_covers_the_target_or_leaves_a_letterbox(
    source: tuple[int, int], size: tuple[int, int], mode: str, seed: int
) -> None:
    placed = place(source, Preprocess(size, mode), random.Random(seed))
    top, left, bottom, right = placed.covered

    assert placed.target == size
    assert 0 <= top < bottom <= size[0]
    assert 0 <= left < right <= size[1]
    if mode == "letterbox":
        assert (top, left) == (0, 0) or (bottom - top, right - left) == placed.scaled
        assert bottom - top == size[0] or right - left == size[1]
    else:
        assert (top, left, bottom, right) == (0, 0, *size)


@given(st.tuples(SIDE, SIDE), SIZES, st.sampled_from(MODES), st.floats(0, 1), st.floats(0, 1))
def test_a_point_goes_there_and_back(
    source: tuple[int, int], size: tuple[int, int], mode: str, y: float, x: float
) -> None:
    placed = place(source, Preprocess(size, mode))
    point = (y * source[0], x * source[1])

    back = placed.to_source(*placed.to_target(*point))

    assert back == pytest.approx(point, abs=1e-6 * max(source))


@given(
    st.tuples(st.integers(20, 3000), st.integers(20, 3000)),
    st.tuples(st.integers(64, 700), st.integers(64, 700)),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_a_box_survives_the_letterbox_and_its_inverse(
    source: tuple[int, int], size: tuple[int, int], corners: list[float]
) -> None:
    placed = place(source, Preprocess(size, "letterbox"))
    ys, xs = sorted(corners[:2]), sorted(corners[2:])
    box = (ys[0] * source[0], xs[0] * source[1], ys[1] * source[0], xs[1] * source[1])

    there = placed.box_to_target(box)

    if there is None:
        assert min((box[2] - box[0]) * placed.scale[0], (box[3] - box[1]) * placed.scale[1]) < 1e-6
    else:
        assert all(0 <= edge <= 1 for edge in there)
        assert placed.box_to_source(there) == pytest.approx(box, abs=1e-5 * max(source))


def test_letterbox_puts_the_odd_pixel_below_and_right() -> None:
    placed = place((100, 200), Preprocess((101, 200), "letterbox"))

    assert placed == Placement((100, 200), (100, 200), (0, 0), (101, 200))


def test_ultralytics_letterbox_of_1080p_is_360_rows_between_140_and_500() -> None:
    placed = place((1080, 1920), Preprocess.from_dict({"preset": "ultralytics"}))

    assert placed.covered == (140, 0, 500, 640)


def test_torchvision_resizes_the_shorter_side_and_cuts_the_longer_down() -> None:
    placed = place((375, 500), Preprocess.from_dict({"preset": "torchvision"}))

    assert placed.scaled == (256, 341)
    assert placed.offset == (-16, -58)  # round(58.5) is even, as Python and torchvision do


def test_a_box_outside_of_the_crop_is_gone() -> None:
    placed = place((100, 300), Preprocess((100, 100), "center_crop"))

    assert placed.box_to_target((0, 0, 50, 90)) is None
    assert placed.box_to_target((0, 90, 50, 150)) == (0.0, 0.0, 0.5, 0.5)


def test_a_marked_pixel_lands_where_the_geometry_says() -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[60:64, 120:124] = 255
    preprocess = Preprocess((64, 64), "letterbox", pad=(0,))

    prepared = prepare(picture, preprocess)[:, :, 0].astype(float)

    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    centre = ((prepared * rows).sum() / prepared.sum(), (prepared * columns).sum() / prepared.sum())
    expected = place((90, 160), preprocess).to_target(62.0, 122.0)
    assert centre == pytest.approx(expected, abs=0.1)


def test_a_random_crop_is_decided_by_its_chance() -> None:
    preprocess = Preprocess((10, 10), "random_crop")
    crops = {place((100, 100), preprocess, random.Random(seed)).offset for seed in range(20)}

    assert len(crops) > 10
    again = place((100, 100), preprocess, random.Random(7))
    assert again == place((100, 100), preprocess, random.Random(7))
    assert place((100, 100), preprocess).offset == (-45, -45)


def test_no_resizing_takes_the_exact_size_only() -> None:
    preprocess = Preprocess((10, 20), "none")

    assert place((10, 20), preprocess).scaled == (10, 20)
    with pytest.raises(ValueError, match="30x10, and resize: none takes 20x10 only"):
        place((10, 30), preprocess)
