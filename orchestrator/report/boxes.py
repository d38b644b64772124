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
    rows, columns = np.nonzero((table > 0.0) & (table >= least))
    values = table[rows, columns]
    pairs: list[tuple[int, int, float]] = []
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    for place in np.argsort(-values, kind="stable"):
        i, j = int(rows[place]), int(columns[place])
        if i not in taken_left and j not in taken_right:
            taken_left.add(i)
            taken_right.add(j)
            pairs.append((i, j, float(values[place])))
    return pairs


def common_threshold(reference: Detections, other: Detections) -> float:
    """Return the least score that both steps still show: their floors differ by their NMS."""
    floors = [float(d.boxes[:, 4].min()) for d in (reference, other) if len(d.boxes)]
    return max(floors, default=0.0)


def compare_boxes(reference: Detections, other: Detections) -> BoxAgreement:
    """Compare two steps at a confidence a little above both floors.

    A box at or above it in one step must have a partner in the other of the same class with
    IoU of at least one half; the partner may score less by up to SCORE_SLACK.
    """
    reference, other = reference.with_area(), other.with_area()
    level = _fair_level(reference, other)
    found = wanted = matched_other = shown = present = 0
    total_iou = 0.0
    per_sample: list[float] = []
    for index in range(len(reference)):
        all_a, all_b = (
            rows[rows[:, 4] >= level - SCORE_SLACK]
            for rows in (reference.sample(index), other.sample(index))
        )
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


@dataclass(frozen=True)
class _Table:
    """Boxes of one class in one sample: scores, best first, and overlaps with the true ones."""

    scores: NDArray[np.float64]
    overlaps: NDArray[np.float64]


def _class_tables(
    found: Detections, truth: Sequence[Sequence[Sequence[float]]]
) -> list[tuple[int, list[_Table]]]:
    """Return, for each class that the truth has, what matching needs; computed once."""
    true = [np.asarray(rows, np.float64).reshape(-1, 5) for rows in truth]
    classes = sorted({int(number) for rows in true for number in rows[:, 4]})
    tables: dict[int, list[_Table]] = {number: [] for number in classes}
    for index, rows in enumerate(true):
        boxes = found.sample(index)
        for number in np.union1d(rows[:, 4], boxes[:, 5]).astype(int).tolist():
            if number not in tables:
                continue
            mine = boxes[boxes[:, 5] == number]
            mine = mine[np.argsort(-mine[:, 4], kind="stable")]
            table = overlaps(mine, rows[rows[:, 4] == number].astype(np.float32))
            tables[number].append(_Table(mine[:, 4].astype(np.float64), table))
    return sorted(tables.items())


def _precision_at(tables: Sequence[_Table], level: float) -> float:
    wanted = sum(table.overlaps.shape[1] for table in tables)
    scores, hits = [], []
    for table in tables:
        free = np.ones(table.overlaps.shape[1], bool)
        for score, row in zip(table.scores, table.overlaps, strict=True):
            best = int(np.argmax(np.where(free, row, -1.0))) if free.size else -1
            hit = best >= 0 and bool(free[best]) and float(row[best]) >= level
            if hit:
                free[best] = False
            scores.append(float(score))
            hits.append(hit)
    if wanted == 0 or not scores:
        return 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    true_positives = np.cumsum(np.array(hits)[order])
    recall = true_positives / wanted
    precision = true_positives / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0.0, 1.0, 101), side="left")
    reached = at < len(envelope)
    return float(np.mean(np.where(reached, envelope[np.minimum(at, len(envelope) - 1)], 0.0)))


def map_measures(found: Detections, truth: Sequence[Sequence[Sequence[float]]]) -> dict[str, float]:
    """Return ``map50`` and ``map5095`` (0..1) over the classes that the truth has."""
    tables = [entry for _, entry in _class_tables(found, truth)]
    by_level = [
        float(np.mean([_precision_at(entry, level) for entry in tables])) if tables else 0.0
        for level in COCO_LEVELS
    ]
    return {"map50": by_level[0], "map5095": float(np.mean(by_level))}
