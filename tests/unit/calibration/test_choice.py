from __future__ import annotations

import io
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration.choice import chance_for, order_samples
from hefsmith_worker.calibration.fingerprints import duplicates, thumbnail
from hefsmith_worker.calibration.items import Item
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image


def item(name: str, **more: Any) -> tuple[Item]:
    return (Item(name, "/" + name, group=tuple(name.split("/")[:-1]), **more),)


@given(st.lists(st.sampled_from(["a/", "b/", "b/c/", "d/e/f/", ""]), max_size=60), st.integers())
def test_every_sample_comes_once_in_an_order_that_the_input_order_does_not_change(
    folders: list[str], seed: int
) -> None:
    samples = [item(f"{folder}{number}") for number, folder in enumerate(folders)]
    shuffled = random.Random(1).sample(samples, len(samples))

    ordered = order_samples(samples, seed)

    assert sorted(s[0].name for s in ordered) == sorted(s[0].name for s in samples)
    assert order_samples(shuffled, seed) == ordered


def test_small_folders_are_not_lost_behind_large_ones() -> None:
    samples = [item(f"large/{n}") for n in range(1000)] + [item(f"small/{n}") for n in range(5)]

    first = Counter(s[0].group[0] for s in order_samples(samples, 0)[:10])

    assert first == {"large": 5, "small": 5}


def test_classes_are_spread_inside_of_each_session() -> None:
    samples = [
        item(f"{day}/{kind}/{n}") for day in ("mon", "tue") for kind in "abc" for n in range(50)
    ]

    first = Counter(s[0].group for s in order_samples(samples, 3)[:12])

    assert set(first.values()) == {2}
    assert len(first) == 6


def test_labels_and_rare_boxes_count_as_classes() -> None:
    labelled = [item(str(n), label="cat" if n else "dog") for n in range(100)]
    assert "0" in {s[0].name for s in order_samples(labelled, 0)[:2]}

    common, rare = (0.0, 0.0, 1.0, 1.0, 0), (0.0, 0.0, 1.0, 1.0, 7)
    boxed = [item(str(n), boxes=(common, rare) if n == 42 else (common,)) for n in range(100)]
    assert "42" in {s[0].name for s in order_samples(boxed, 0)[:2]}


def test_the_seed_decides_and_a_new_picture_does_not_shuffle_the_others() -> None:
    samples = [item(f"a/{n}") for n in range(50)]

    assert order_samples(samples, 1) != order_samples(samples, 2)
    grown = order_samples([*samples, item("a/new")], 1)
    assert [s for s in grown if s[0].name != "a/new"] == order_samples(samples, 1)


def test_the_order_is_the_same_on_every_machine() -> None:
    samples = [item(f"{folder}/{n}") for folder in "ab" for n in range(3)]

    assert [s[0].name for s in order_samples(samples, 0)] == [
        "a/1", "b/1", "a/0", "b/0", "a/2", "b/2"
    ]  # fmt: skip
    assert chance_for(0, "x").randint(0, 10**6) == chance_for(0, "x").randint(0, 10**6)


def test_one_file_listed_twice_is_one_candidate() -> None:
    assert len(order_samples([item("a/1"), item("a/1")], 0)) == 1


def fingerprint(picture: np.ndarray) -> bytes:
    return thumbnail(Image.fromarray(picture))


def as_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


COPIES = {
    "the same": lambda p: p,
    "saved again": lambda p: as_jpeg(p, 80),
    "a little brighter": lambda p: np.clip(p.astype(int) + 4, 0, 255).astype(np.uint8),
    "a little noisier": lambda p: np.clip(
        p + np.random.RandomState(1).normal(0, 4, p.shape), 0, 255
    ).astype(np.uint8),
    "half the size and back": lambda p: np.asarray(
        Image.fromarray(p).resize((96, 72)).resize((192, 144))
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_near_duplicates(name: str, draw: Any) -> None:
    found = 0
    for seed in range(20):
        picture = draw(seed, 144, 192)
        found += duplicates([fingerprint(picture), fingerprint(COPIES[name](picture))]) == [-1, 0]

    assert found >= 18


def with_object(picture: np.ndarray) -> np.ndarray:
    changed = picture.copy()
    changed[40:64, 90:114] = 255 - changed[40:64, 90:114] // 2
    return changed


def test_a_fixed_camera_with_a_new_object_is_a_new_picture(draw: Any) -> None:
    for seed in range(20):
        picture = draw(seed, 144, 192)
        assert duplicates([fingerprint(picture), fingerprint(with_object(picture))]) == [-1, -1]


def test_dark_pictures_are_told_apart_by_less_than_a_level() -> None:
    chance = np.random.RandomState(0)
    dark = [np.kron(chance.randint(0, 12, (16, 16)), np.ones((8, 8))).astype(np.uint8)
            for _ in range(40)]  # fmt: skip

    assert duplicates([fingerprint(picture) for picture in dark]) == [-1] * 40


def test_flat_pictures_are_duplicates_of_each_other() -> None:
    flat = [np.full((64, 64), level, np.uint8) for level in (10, 90, 200)]

    assert duplicates([fingerprint(picture) for picture in flat]) == [-1, 0, 0]
