"""What a verdict rests on: labels that the model meets better than guessing, or nothing yet.

That every step agrees with the float model proves little where the float model finds nothing, or
says the same whatever it is shown: a broken copy of it would agree as well. Such a build is
neither passed nor failed; it is unproven.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from hefsmith_worker.contract.counting import counted

from orchestrator.report import metrics
from orchestrator.report.golden import Detections, Golden
from orchestrator.report.masks import guessed
from orchestrator.report.model import Accuracy, ClassFigures, Confusion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from orchestrator.report.heads import Decoded

#: Of a normal distribution: 95 % lie within so many standard deviations.
SURE = 1.96
#: A difference between samples below this part of the signal is lost in 8 bits (energy).
SAME_ANSWER = 1e-6
#: Samples from which "the same class for all of them" cannot be chance.
SAME_CLASS_SAMPLES = 8
#: mAP@50 below which a detector finds next to nothing of what the labels show.
NO_DETECTOR = 0.01
#: mAP@50 from which it is said to work; guessed boxes stay far below.
A_DETECTOR = 0.05
#: A heat map of probabilities whose highest value is lower shows no key point.
NO_POINT = 0.1
#: Half a confidence interval, in points, from which it is said how much the samples can tell.
COARSE = 5.0


def wilson(right: int, samples: int) -> tuple[float, float]:
    """Return the bounds of a share of ``samples`` with 95 % certainty (Wilson's interval)."""
    if samples == 0:
        return 0.0, 1.0
    share, square = right / samples, SURE * SURE
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    spread = math.sqrt(share * (1 - share) / samples + square / (4 * samples * samples))
    half = SURE * spread / (1 + square / samples)
    return max(0.0, middle - half), min(1.0, middle + half)


def accuracy(golden: Golden, measures: Mapping[str, float]) -> Accuracy | None:
    """Return how good a step with these measures is by the labels, ``None`` without any."""
    if golden.task == "classification" and "top1" in measures:
        truth = [sample.label for sample in golden.samples if sample.label is not None]
        count = len(truth)
        right = round(measures["top1"] * count)
        low, high = wilson(right, count)
        chance = float(np.bincount(truth).max()) / count
        return Accuracy("top1", right / count, count, chance, low, high)
    if "label_iou" in measures:
        labelled = sum(sample.mask is not None for sample in golden.samples)
        output = golden.load(golden.order[0], 0)
        chance = 0.0 if isinstance(output, Detections) else guessed(output, golden.load_masks())
        return Accuracy("label_iou", measures["label_iou"], labelled, chance)
    if "map50" in measures and any(sample.boxes for sample in golden.samples):
        labelled = sum(sample.boxes is not None for sample in golden.samples)
        return Accuracy("map50", measures["map50"], labelled, 0.0)
    return None


def beats_guessing(found: Accuracy) -> bool | None:
    """Tell whether an accuracy is more than guessing; ``None`` when the samples cannot tell."""
    if found.low is None:
        if found.value >= found.chance + A_DETECTOR:
            return True
        return False if found.value < max(NO_DETECTOR, found.chance) else None
    if found.low > found.chance:
        return True
    return False if found.value <= found.chance else None


# --- nothing found, nothing proven ---------------------------------------------------------------


def nothing_proven(
    golden: Golden,
    reference: str,
    decoded: Mapping[str, Decoded],
    *,
    score_outputs: Sequence[int] = (),
    score: float = 0.0,
) -> str | None:
    """Return why agreement with the float model proves nothing, ``None`` where it proves something.

    ``score_outputs`` are the outputs that hold class scores of a head whose boxes nobody can
    decode here, ``score`` the least one that would count as found.
    """
    count = len(golden)
    outputs = [golden.load(reference, output.index) for output in golden.outputs]
    boxes = [output for output in outputs if isinstance(output, Detections)]
    if reference in decoded:
        boxes = [decoded[reference].boxes]
    tensors = [np.asarray(one) for one in outputs if not isinstance(one, Detections)]
    if boxes:
        if not any(len(one.with_area().boxes) for one in boxes):
            return (
                f"the float model itself finds no box in {counted(count, 'sample')}, so nothing "
                "is proven: use pictures that show what it was trained on, or a lower nms.score"
            )
        if count > 1 and all(_same_boxes(one) for one in boxes):
            return f"the float model finds the same boxes in each of the {count} samples"
        return None
    if score_outputs:
        best = max(_highest_score(tensors[index]) for index in score_outputs)
        if best < score:
            return (
                f"the float model's highest score in {counted(count, 'sample')} is "
                f"{best:.2g}, below "
                f"{score:g}: it finds nothing, so nothing is proven"
            )
    if count > 1 and all(same_answer(tensor) for tensor in tensors):
        return f"the float model answers the same for each of the {count} samples"
    by_task = {
        "classification": _one_class,
        "segmentation": _one_mask,
        "pose": _no_points,
    }
    judge = by_task.get(golden.task)
    return judge(tensors[0]) if judge is not None and tensors else None


def same_answer(output: NDArray[np.float32]) -> bool:
    """Tell whether all samples (N, ...) have one answer, but for what 8 bits cannot hold."""
    mean = np.zeros(output.shape[1:], np.float64)
    for row in output:
        mean += row
    mean /= len(output)
    apart = total = 0.0
    for row in output:
        values = np.asarray(row, np.float64)
        if not np.isfinite(values).all():
            return False
        apart += float(((values - mean) ** 2).sum())
        total += float((values**2).sum())
    return apart <= SAME_ANSWER * total


def _same_boxes(found: Detections) -> bool:
    first = found.sample(0)
    return all(
        rows.shape == first.shape and np.allclose(rows, first, atol=1e-3)
        for rows in (found.sample(index) for index in range(1, len(found)))
    )


def _highest_score(output: NDArray[np.float32]) -> float:
    """Return the highest probability in a class output, which may still be logits."""
    low, high = float(output.min(initial=0.0)), float(output.max(initial=-np.inf))
    if low >= 0.0 and high <= 1.0:
        return high
    return 1.0 / (1.0 + math.exp(-max(min(high, 700.0), -700.0)))


def _one_class(output: NDArray[np.float32]) -> str | None:
    scores = metrics.class_scores(output)
    if len(scores) < SAME_CLASS_SAMPLES or scores.shape[1] < 2:
        return None
    classes = np.unique(metrics.top_classes(scores, 1)[:, 0])
    if len(classes) > 1:
        return None
    return f"the float model takes each of the {len(scores)} samples for class {classes[0]}"


def _one_mask(output: NDArray[np.float32]) -> str | None:
    if output.ndim != 4:
        return None
    seen: set[int] = set()
    probable = output.shape[-1] == 1 and metrics.are_probabilities(output)
    for row in output:
        seen.update(np.unique(metrics.mask_classes(row, probable=probable)).tolist())
        if len(seen) > 1:
            return None
    what = "the background" if seen == {0} else f"class {min(seen, default=0)}"
    return (
        f"the float model finds only {what} in {counted(len(output), 'sample')}, so nothing is "
        "proven: use pictures that show what it was trained on"
    )


def _no_points(output: NDArray[np.float32]) -> str | None:
    if output.ndim != 4:
        return None
    low, high = float(output.min(initial=0.0)), float(output.max(initial=0.0))
    if low < -1e-3 or high >= NO_POINT:
        return None
    return (
        f"the highest value of the float model's heat maps in the {len(output)} samples is "
        f"{high:.2g}: it finds no key point, so nothing is proven"
    )


# --- per class ------------------------------------------------------------------------------------


def confusion(golden: Golden, step: str) -> Confusion | None:
    """Return what a step takes the labelled samples for, ``None`` without labels or classes."""
    if golden.task != "classification" or not golden.outputs:
        return None
    output, reference = golden.load(step, 0), golden.load(golden.order[0], 0)
    labels = [sample.label for sample in golden.samples]
    if isinstance(output, Detections) or isinstance(reference, Detections):
        return None
    if not any(label is not None for label in labels):
        return None
    guesses = metrics.top_classes(metrics.class_scores(output, reference), 1)[:, 0].tolist()
    pairs = [
        (label, guess) for label, guess in zip(labels, guesses, strict=True) if label is not None
    ]
    classes = sorted({number for pair in pairs for number in pair})
    place = {number: index for index, number in enumerate(classes)}
    table: list[list[int]] = [[0] * len(classes) for _ in classes]
    for label, guess in pairs:
        table[place[label]][place[guess]] += 1
    return Confusion(tuple(classes), tuple(tuple(row) for row in table))


def class_figures(found: Confusion, names: Sequence[str] | None) -> tuple[ClassFigures, ...]:
    """Return recall and precision of each class that has samples."""
    figures = []
    for index, number in enumerate(found.classes):
        row = found.counts[index]
        given = sum(other[index] for other in found.counts)
        if not sum(row):
            continue
        known: Any = names[number] if names is not None and number < len(names) else str(number)
        figures.append(
            ClassFigures(
                number=number,
                name=known,
                samples=sum(row),
                recall=row[index] / sum(row),
                precision=row[index] / given if given else None,
            )
        )
    return tuple(figures)
