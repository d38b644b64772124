"""Boxes of one step against boxes of another, and against the truth.

Rows are y_min, x_min, y_max, x_max (0..1), score, class; truth rows have the class in place
of the score. Steps are compared at equal confidence: boxes just above the threshold of one
step and just below that of the other would otherwise count as lost (user_pains A07).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from orchestrator.report.golden import Detections

    Rows = NDArray[np.float32]

#: A box of one step may have scored this much less in the other and still count as found.
SCORE_SLACK = 0.10
#: Overlap from which two boxes are taken for the same object.
SAME_OBJECT = 0.5
COCO_LEVELS = tuple(0.5 + 0.05 * step for step in range(10))


@dataclass(frozen=True)
class BoxAgreement:
    """How the boxes of a step agree with the float model's; fractions.

    ``mean_iou`` is over the float model's boxes: one without a partner of its class counts 0,
    so broken boxes cannot hide behind right classes. ``class_recall`` asks only whether a box
    of that class is there at all: far above ``recall`` means right classes, broken boxes.
    """

    precision: float
    recall: float
    f1: float
    mean_iou: float
    class_recall: float
    reference_boxes: int
    other_boxes: int
    per_sample: tuple[float, ...]

    def measures(self) -> dict[str, float]:
        """Return the measures of a step report."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "mean_iou": self.mean_iou,
            "class_recall": self.class_recall,
        }


def overlaps(left: Rows, right: Rows) -> NDArray[np.float64]:
    """Return the IoU of each box of ``left`` (n, >= 4) with each of ``right`` (m, >= 4)."""
    a, b = np.asarray(left, np.float64)[:, None, :4], np.asarray(right, np.float64)[None, :, :4]
    top_left = np.maximum(a[..., :2], b[..., :2])
    bottom_right = np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0.0, None), axis=-1)
    areas_a = np.prod(np.clip(a[..., 2:] - a[..., :2], 0.0, None), axis=-1)
    areas_b = np.prod(np.clip(b[..., 2:] - b[..., :2], 0.0, None), axis=-1)
    union = areas_a + areas_b - shared
    table: NDArray[np.float64] = np.zeros_like(shared)
    np.divide(shared, union, out=table, where=union > 0)
    return table


def pair_boxes(left: Rows, right: Rows, least: float) -> list[tuple[int, int, float]]:
    """Pair boxes of one class, best overlap first; return (left, right, IoU) of each pair."""
    if len(left) == 0 or len(right) == 0:
        return []
    table = overlaps(left, right)
    table[np.asarray(left)[:, 5][:, None] != np.asarray(right)[:, 5][None, :]] = 0.0
    pairs: list[tuple[int, int, float]] = []
    for flat in np.argsort(-table, axis=None, kind="stable"):
        i, j = divmod(int(flat), table.shape[1])
        value = float(table[i, j])
        if value <= 0.0 or value < least:
            break
        if all(i != done[0] and j != done[1] for done in pairs):
            pairs.append((i, j, value))
    return pairs


def common_threshold(reference: Detections, other: Detections) -> float:
    """Return the least score that both steps still show: their floors differ by their NMS."""
    floors = [float(d.boxes[:, 4].min()) for d in (reference, other) if len(d.boxes)]
    return max(floors, default=0.0)


def compare_boxes(
    reference: Detections, other: Detections, *, score: float | None = None
) -> BoxAgreement:
    """Compare two steps at confidence ``score`` (default: a little above both floors).

    A box at or above ``score`` in one step must have a partner in the other of the same
    class with IoU of at least one half; the partner may score less by up to SCORE_SLACK.
    """
    level = _fair_level(reference, other) if score is None else score
    found = wanted = matched_other = shown = present = 0
    total_iou = 0.0
    per_sample: list[float] = []
    for index in range(len(reference)):
        all_a, all_b = reference.sample(index), other.sample(index)
        sure_a, sure_b = all_a[all_a[:, 4] >= level], all_b[all_b[:, 4] >= level]
        pairs = pair_boxes(sure_a, all_b, 0.0)
        good = [pair for pair in pairs if pair[2] >= SAME_OBJECT]
        back = pair_boxes(sure_b, all_a, SAME_OBJECT)
        wanted += len(sure_a)
        shown += len(sure_b)
        found += len(good)
        matched_other += len(back)
        total_iou += sum(pair[2] for pair in pairs)
        present += int(np.isin(sure_a[:, 5], all_b[:, 5]).sum())
        judged = len(sure_a) + len(sure_b)
        per_sample.append(1.0 if judged == 0 else (len(good) + len(back)) / judged)
    recall = found / wanted if wanted else 1.0
    precision = matched_other / shown if shown else 1.0
    both = precision + recall
    return BoxAgreement(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / both if both else 0.0,
        mean_iou=total_iou / wanted if wanted else 1.0,
        class_recall=present / wanted if wanted else 1.0,
        reference_boxes=wanted,
        other_boxes=shown,
        per_sample=tuple(per_sample),
    )


def _fair_level(reference: Detections, other: Detections) -> float:
    """Return a confidence above both floors at which half of the float model's boxes remain."""
    floor = common_threshold(reference, other)
    if len(reference.boxes) == 0:
        return floor
    return max(floor, min(floor + SCORE_SLACK, float(np.median(reference.boxes[:, 4]))))


def average_precision(
    found: Detections, truth: Sequence[Sequence[Sequence[float]]], level: float
) -> dict[int, float]:
    """Return the AP of each class that the truth has, at overlap ``level``.

    101-point interpolation as COCO does it; each true box is found once, best score first.
    ``truth`` has, per sample, rows of y_min, x_min, y_max, x_max, class.
    """
    classes = sorted({int(row[4]) for rows in truth for row in rows})
    return {number: _class_precision(found, truth, number, level) for number in classes}


def _class_precision(
    found: Detections, truth: Sequence[Sequence[Sequence[float]]], number: int, level: float
) -> float:
    scored: list[tuple[float, bool]] = []
    wanted = 0
    for index, rows in enumerate(truth):
        true = np.array([row[:4] for row in rows if int(row[4]) == number], np.float32)
        wanted += len(true)
        boxes = found.sample(index)
        boxes = boxes[boxes[:, 5] == number]
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        taken = np.zeros(len(true), bool)
        table = overlaps(boxes, true) if len(true) else np.zeros((len(boxes), 0))
        for row, box in enumerate(boxes):
            free = np.where(taken, -1.0, table[row]) if len(true) else np.zeros(0)
            best = int(np.argmax(free)) if len(free) else -1
            hit = best >= 0 and float(free[best]) >= level
            if hit:
                taken[best] = True
            scored.append((float(box[4]), hit))
    if wanted == 0 or not scored:
        return 0.0
    scored.sort(key=lambda item: -item[0])
    hits = np.cumsum([hit for _, hit in scored])
    recall = hits / wanted
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    points = np.linspace(0.0, 1.0, 101)
    at = np.searchsorted(recall, points, side="left")
    return float(np.mean(np.where(at < len(envelope), envelope[np.minimum(at, len(hits) - 1)], 0)))


def map_measures(found: Detections, truth: Sequence[Sequence[Sequence[float]]]) -> dict[str, float]:
    """Return ``map50`` and ``map5095`` (0..1) over the classes that the truth has."""
    by_level = []
    for level in COCO_LEVELS:
        values = average_precision(found, truth, level)
        by_level.append(float(np.mean(list(values.values()))) if values else 0.0)
    return {"map50": by_level[0], "map5095": float(np.mean(by_level))}
