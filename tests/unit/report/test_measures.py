"""Metrics, against definitions worked out by hand or by slow plain code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.report import Detections, masks, metrics
from orchestrator.report import boxes as box_measures
from tests.unit.report.folders import boxes_of

if TYPE_CHECKING:
    pass


def detections(rows: list[np.ndarray]) -> Detections:
    offsets = np.cumsum([0] + [len(r) for r in rows]).astype(np.int64)
    return Detections(np.concatenate([r.reshape(-1, 6) for r in rows]).astype(np.float32), offsets)


def box(top: float, left: float, bottom: float, right: float, score: float, number: int) -> list:
    return [top, left, bottom, right, score, number]


# --- tensors ---------------------------------------------------------------------------------


def test_snr_cosine_and_errors_by_definition() -> None:
    reference = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    other = np.array([[3.0, 3.0], [0.0, 1.0]], np.float32)
    row = metrics.compare_tensors("out", reference, other)
    # Sizes are 5 and 1, their median is 3: the second sample counts a third of the first.
    assert row.cosine == pytest.approx((3 * (3 * 3 + 4 * 3) / (5 * np.sqrt(18)) + 0) / 4)
    assert row.cosine_min == 0.0
    assert row.snr_db == pytest.approx(10 * np.log10(26 / 3))
    assert (row.mean_abs, row.max_abs) == (0.75, 1.0)


def test_identical_outputs_are_exact_and_zeros_are_no_error() -> None:
    zeros = np.zeros((2, 3), np.float32)
    row = metrics.compare_tensors("out", zeros, zeros)
    assert row.exact
    assert (row.cosine, row.snr_db) == (1.0, None)
    row = metrics.compare_tensors("out", zeros, zeros + 1)
    assert row.cosine == 0.0


def test_samples_that_say_next_to_nothing_count_little_and_loud_ones_no_more() -> None:
    random = np.random.default_rng(4)
    reference = random.normal(0, 1, (16, 8)).astype(np.float32)
    reference[:2] *= 1e-4
    coarse = np.rint(reference / 0.05) * np.float32(0.05)
    row = metrics.compare_tensors("out", reference, coarse)
    assert row.cosine_min == 0.0
    assert row.cosine is not None
    assert row.cosine > 0.99
    # What is said where nothing was is no noise.
    coarse[:2] = reference[2:4]
    assert (metrics.compare_tensors("out", reference, coarse).cosine or 0) < 0.95
    # One loud sample does not stand for all the others, nor do many quiet ones excuse a network.
    reference[0] *= 1e9
    other = np.zeros_like(reference)
    other[0] = reference[0]
    assert (metrics.compare_tensors("out", reference, other).cosine or 0) < 0.2


def test_shapes_that_differ_by_sides_of_one_are_aligned() -> None:
    wide = np.ones((2, 1, 1, 5), np.float32)
    assert metrics.align(np.ones((2, 5), np.float32), wide).shape == (2, 5)
    other = np.ones((2, 5, 2), np.float32)
    assert metrics.align(np.ones((2, 2, 5), np.float32), other).shape == (2, 5, 2)
    row = metrics.compare_tensors("out", np.ones((2, 2, 5), np.float32), other)
    assert "shape 5 x 2" in (row.problem or "")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 0.5))
def test_more_noise_never_raises_snr(seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    reference = random.normal(0, 1, (3, 7)).astype(np.float32)
    noise = random.normal(0, size, reference.shape).astype(np.float32)
    little = metrics.compare_tensors("o", reference, reference + noise)
    much = metrics.compare_tensors("o", reference, reference + 2 * noise)
    assert little.snr_db is not None
    assert much.snr_db is not None
    assert much.snr_db < little.snr_db


# --- classes ---------------------------------------------------------------------------------


def test_top_one_and_five_by_hand() -> None:
    reference = np.eye(8, dtype=np.float32)
    other = reference.copy()
    other[0] = [0.1, 0.9, 0, 0, 0, 0, 0, 0]  # 0 is second
    other[1] = [0.9, 0.1, 0.8, 0.7, 0.6, 0.5, 0, 0]  # 1 is sixth
    found = metrics.classification_measures(reference, other, [0, 1, 2, 3, 4, 5, None, 6])
    assert found["agreement"] == 6 / 8
    assert found["agreement5"] == 7 / 8
    assert found["top1"] == 4 / 7
    # Sample 1's label is sixth; in sample 7 all but class 7 tie, and 6 comes after 0 to 3.
    assert found["top5"] == pytest.approx(5 / 7)


def test_random_labels_do_not_look_permuted() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 100)
    guesses = random.integers(0, 5, 100)
    assert metrics.relabelled_accuracy(guesses, labels) < 0.45
    assert metrics.relabelled_accuracy((labels + 3) % 5, labels) == 1.0


# --- masks and points ------------------------------------------------------------------------


def test_mask_overlap_by_hand() -> None:
    left = np.zeros((1, 2, 2, 1), np.float32)
    left[0, 0] = 1.0
    right = np.zeros((1, 2, 2, 1), np.float32)
    right[0, 0, 0] = 1.0
    # class 1: 1 of 2; class 0: 2 of 3
    assert metrics.mask_iou(left, right) == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize("shift", [-0.004, 0.004])
def test_probabilities_that_8_bits_leave_outside_of_their_range_are_no_logits(shift: float) -> None:
    left = np.tile(np.float32([[0.0, 0.1], [0.9, 1.0]])[None, :, :, None], (3, 1, 1, 1))
    truth = [np.uint8([[0, 0], [1, 1]])] * 3
    assert metrics.mask_iou(left, left + np.float32(shift)) == 1.0
    totals = masks.labelled_iou(left + np.float32(shift), truth, like=left)
    assert masks.mean_of_classes(totals) == 1.0


def test_logits_of_one_picture_that_lie_within_0_and_1_are_no_probabilities() -> None:
    logits = np.float32([[[-5.0, 5.0]], [[0.2, 0.4]]])[:, :, :, None]
    assert metrics.mask_iou(logits, logits + np.float32([[[0.0]], [[0.7]]])[:, :, :, None]) == 1.0
    totals = masks.labelled_iou(logits, [np.uint8([[0, 1]]), np.uint8([[1, 1]])], like=logits)
    assert masks.mean_of_classes(totals) == 1.0


def test_key_points_of_lists_and_heat_maps() -> None:
    points = np.array([[[0.0, 0.0], [1.0, 1.0]]], np.float32)
    moved = points + np.array([0.1, 0.0], np.float32)
    found = metrics.keypoint_distance(points, moved)
    assert found == pytest.approx(0.1 / np.sqrt(2))
    maps = np.zeros((1, 10, 10, 2), np.float32)
    maps[0, 2, 3, 0] = maps[0, 8, 8, 1] = 1
    shifted = np.roll(maps, 1, axis=2)
    assert metrics.keypoint_distance(maps, shifted) == pytest.approx(0.1 / np.sqrt(2))
    assert metrics.keypoint_distance(np.zeros((2, 7), np.float32), np.zeros((2, 7))) is None


# --- boxes -----------------------------------------------------------------------------------


def test_overlap_by_hand() -> None:
    a = np.array([box(0, 0, 0.5, 0.5, 1, 0)], np.float32)
    b = np.array([box(0, 0.25, 0.5, 0.75, 1, 0), box(0.6, 0.6, 0.9, 0.9, 1, 0)], np.float32)
    np.testing.assert_allclose(box_measures.overlaps(a, b), [[1 / 3, 0]], atol=1e-6)


def test_a_box_finds_one_partner_of_its_own_class() -> None:
    one = np.array([box(0, 0, 0.5, 0.5, 0.9, 1)], np.float32)
    same = np.array([box(0, 0, 0.5, 0.5, 0.9, 2), box(0, 0, 0.5, 0.45, 0.9, 1)], np.float32)
    assert [(i, j) for i, j, _ in box_measures.pair_boxes(one, same, 0.5)] == [(0, 1)]
    twice = np.concatenate([one, one])
    found = box_measures.compare_boxes(detections([one]), detections([twice]))
    assert found.recall == 1.0
    assert found.precision == 0.5


def test_boxes_at_the_threshold_are_not_counted_as_lost() -> None:
    """An NMS HEF drops what scores below its threshold: 0.21 there is nothing here (A07)."""
    sure = [box(0.1, 0.1, 0.4, 0.4, 0.9, 0), box(0.5, 0.5, 0.9, 0.9, 0.8, 1)]
    reference = np.array([*sure, box(0.6, 0.1, 0.9, 0.4, 0.21, 2)], np.float32)
    other = np.array(sure, np.float32)
    found = box_measures.compare_boxes(detections([reference]), detections([other]))
    assert found.recall == 1.0
    assert found.f1 == 1.0


def test_empty_pictures_agree() -> None:
    nothing = [np.zeros((0, 6), np.float32)] * 3
    found = box_measures.compare_boxes(detections(nothing), detections(nothing))
    assert (found.f1, found.mean_iou) == (1.0, 1.0)
    some = [np.array([box(0, 0, 1, 1, 0.9, 0)], np.float32), nothing[0], nothing[0]]
    found = box_measures.compare_boxes(detections(nothing), detections(some))
    assert found.precision == 0.0
    assert found.f1 == 0.0


def test_boxes_without_area_are_none() -> None:
    """An untrained network gives negative distances: a step is not unlike itself by them."""
    flat = np.array([box(0.4, 0.2, 0.4, 0.6, 0.9, 0), box(0.5, 0.5, 0.3, 0.9, 0.8, 1)], np.float32)
    real = np.array([box(0.1, 0.1, 0.4, 0.4, 0.9, 0)], np.float32)
    found = box_measures.compare_boxes(detections([flat]), detections([flat]))
    assert (found.f1, found.reference_boxes) == (1.0, 0)
    both = detections([np.concatenate([flat, real]), real])
    assert box_measures.compare_boxes(both, both).f1 == 1.0
    assert [len(both.with_area().sample(index)) for index in (0, 1)] == [1, 1]
    assert box_measures.compare_boxes(detections([real]), detections([flat])).f1 == 0.0


def test_average_precision_by_hand() -> None:
    truth = [[[0.0, 0.0, 0.4, 0.4, 0]], [[0.5, 0.5, 0.9, 0.9, 0]]]
    rows = [
        np.array([box(0, 0, 0.4, 0.4, 0.9, 0)], np.float32),
        np.array([box(0, 0, 0.2, 0.2, 0.8, 0), box(0.5, 0.5, 0.9, 0.9, 0.7, 0)], np.float32),
    ]
    # Scores .9 hit, .8 miss, .7 hit: precision 1 up to recall .5, then 2/3.
    expected = (51 * 1.0 + 50 * 2 / 3) / 101
    assert box_measures.map_measures(detections(rows), truth)["map50"] == pytest.approx(expected)


def test_a_true_box_is_found_once() -> None:
    truth = [[[0.0, 0.0, 0.4, 0.4, 0]]]
    twice = np.array([box(0, 0, 0.4, 0.4, 0.9, 0), box(0, 0, 0.4, 0.4, 0.95, 0)], np.float32)
    assert box_measures.map_measures(detections([twice]), truth)["map50"] == pytest.approx(1.0)
    alone = np.array([box(0, 0, 0.2, 0.2, 0.99, 0), *twice.tolist()], np.float32)
    assert box_measures.map_measures(detections([alone]), truth)["map50"] == pytest.approx(0.5)


def test_map_falls_with_the_precision_of_the_boxes() -> None:
    random = np.random.default_rng(4)
    good = boxes_of(random, 30)
    truth = [[[*row[:4], row[5]] for row in rows.tolist()] for rows in good]
    shaken = [
        rows + np.pad(random.normal(0, 0.015, (len(rows), 4)), ((0, 0), (0, 2))) for rows in good
    ]
    exact = box_measures.map_measures(detections(good), truth)
    loose = box_measures.map_measures(detections(shaken), truth)
    assert exact == {"map50": pytest.approx(1.0), "map5095": pytest.approx(1.0)}
    assert loose["map50"] > 0.9
    assert loose["map5095"] < 0.8
