"""Agreement of tensors: one step's outputs against the float model's, as numbers.

All functions take arrays with the samples first and go through them one sample at a time, so
that memory-mapped outputs of any size need the memory of one sample.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.report.model import OutputAgreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: An answer of so many numbers has no shape that a cosine could see.
FEW_NUMBERS = 16
#: Samples from which their spread says something.
FEWEST_SAMPLES = 8


def compare_tensors(name: str, reference: Floats, other: Floats) -> OutputAgreement:
    """Return how far ``other`` is from ``reference``, both (N, ...) of one shape.

    The cosine of two all-zero samples is 1, of one all-zero sample 0. In the mean a sample that is
    smaller than the median (both count, the larger of the two) weighs less: where a network says
    next to nothing, what 8 bits leave of it points anywhere. SNR is the energy of ``reference``
    over that of the difference, over all samples.
    """
    if reference.shape != other.shape:
        text = f"has shape {_sides(other)}, the float model gives {_sides(reference)}"
        return OutputAgreement(output=name, problem=text)
    cosines: list[float] = []
    sizes: list[float] = []
    signal = noise = absolute = 0.0
    largest = 0.0
    values = 0
    for left, right in zip(reference, other, strict=True):
        a = np.asarray(left, np.float64).ravel()
        b = np.asarray(right, np.float64).ravel()
        if not np.isfinite(b).all():
            return OutputAgreement(
                output=name, problem="has values that are not numbers (NaN, inf)"
            )
        if not np.isfinite(a).all():
            return OutputAgreement(
                output=name, problem="the float model gives values that are not numbers (NaN, inf)"
            )
        difference = a - b
        cosines.append(_cosine(a, b))
        sizes.append(math.sqrt(max(float(a @ a), float(b @ b))))
        signal += float(a @ a)
        noise += float(difference @ difference)
        distance = np.abs(difference)
        absolute += float(distance.sum())
        largest = max(largest, float(distance.max(initial=0.0)))
        values += a.size
    return OutputAgreement(
        output=name,
        cosine=_mean(cosines, sizes),
        cosine_min=min(cosines, default=None),
        snr_db=_decibels(signal, noise),
        mean_abs=absolute / values if values else None,
        max_abs=largest,
        exact=noise == 0.0,
    )


def kept_differences(reference: Floats, other: Floats) -> float | None:
    """Return R², the share of the variance over the samples that ``other`` keeps, 1 at most.

    ``None`` for many numbers a sample, whose shape the cosine sees, and for few samples or a
    reference that has one answer for all.
    """
    if len(reference) < FEWEST_SAMPLES or reference[0].size > FEW_NUMBERS:
        return None
    good = np.asarray(reference, np.float64).reshape(len(reference), -1)
    mine = np.asarray(other, np.float64).reshape(len(other), -1)
    if good.shape != mine.shape or not (np.isfinite(good).all() and np.isfinite(mine).all()):
        return None
    spread = float(((good - good.mean(0)) ** 2).sum())
    if spread <= 1e-6 * float((good**2).sum()):
        return None
    return 1.0 - float(((good - mine) ** 2).sum()) / spread


def align(reference: Floats, other: Floats) -> Floats:
    """Return ``other`` in the reference's shape where only sides of length 1 differ.

    (N, 1, 1, C) and (N, C) are the same answer in another frame; anything else stays as it is.
    """
    if reference.shape == other.shape:
        return other
    sides = [side for side in other.shape[1:] if side != 1]
    wanted = [side for side in reference.shape[1:] if side != 1]
    same = len(reference) == len(other) and sides == wanted
    return other.reshape(reference.shape) if same else other


def sample_cosines(reference: Floats, other: Floats) -> NDArray[np.float64]:
    """Return the cosine of each sample; nan where shapes differ."""
    if reference.shape != other.shape:
        return np.full(len(reference), np.nan)
    return np.array(
        [
            _cosine(np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel())
            for a, b in zip(reference, other, strict=True)
        ]
    )


def _mean(values: Sequence[float], weights: Sequence[float]) -> float | None:
    if not values:
        return None
    usual = float(np.median(weights))
    return float(np.average(values, weights=np.minimum(weights, usual) if usual else None))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    left, right = math.sqrt(float(a @ a)), math.sqrt(float(b @ b))
    if left == 0.0 or right == 0.0:
        return 1.0 if left == right else 0.0
    return float(np.clip(a @ b / (left * right), -1.0, 1.0))


def _decibels(signal: float, noise: float) -> float | None:
    if noise == 0.0:
        return None
    return 10.0 * math.log10(max(signal, np.finfo(np.float64).tiny) / noise)


def _sides(array: Floats) -> str:
    return " x ".join(map(str, array.shape[1:])) or "1"


# --- Classification --------------------------------------------------------------------------


def class_scores(output: Floats, like: Floats | None = None) -> NDArray[np.float32]:
    """Return (N, classes) from (N, classes), (N, 1, 1, classes) or (N, classes, 1, 1).

    One number is that of the second of two classes: a probability where all of the float model's
    answers (``like``, or else these) lie within 0..1, otherwise a logit.
    """
    scores = np.asarray(output, np.float32).reshape(len(output), -1)
    if scores.shape[1] != 1:
        return scores
    known = scores if like is None else np.asarray(like, np.float32)
    probable = bool(known.size) and float(known.min()) >= 0.0 and float(known.max()) <= 1.0
    return np.concatenate([1.0 - scores if probable else -scores, scores], axis=1)


def top_classes(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the best classes of each sample, best first; equal scores go by class number."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return order[:, : min(count, scores.shape[1])].astype(np.int64)


def classification_measures(
    reference: Floats, other: Floats, labels: Sequence[int | None]
) -> dict[str, float]:
    """Return agreement with the reference and, where samples have labels, accuracy.

    ``agreement``: same first class. ``agreement5``: the reference's first class among the
    first five. ``top1``, ``top5``: the label is first, or among the first five.
    """
    scores = class_scores(other, reference)
    best = top_classes(scores, 5)
    wanted = top_classes(class_scores(reference), 1)[:, 0]
    found = {
        "agreement": float(np.mean(best[:, 0] == wanted)),
        "agreement5": float(np.mean((best == wanted[:, None]).any(axis=1))),
    }
    known = np.array([label is not None for label in labels])
    if known.any():
        truth = np.array([-1 if label is None else label for label in labels])[known]
        found["top1"] = float(np.mean(best[known, 0] == truth))
        found["top5"] = float(np.mean((best[known] == truth[:, None]).any(axis=1)))
    return found


def sample_hits(
    reference: Floats, other: Floats, labels: Sequence[int | None]
) -> dict[str, dict[int, bool]]:
    """Return by measure which samples count for it: what ``agreement`` and ``top1`` are means of.

    ``top1`` has the samples with a label alone.
    """
    best = top_classes(class_scores(other, reference), 1)[:, 0].tolist()
    wanted = top_classes(class_scores(reference), 1)[:, 0].tolist()
    pairs = enumerate(zip(best, wanted, strict=True))
    return {
        "agreement": {index: mine == good for index, (mine, good) in pairs},
        "top1": {
            index: best[index] == label for index, label in enumerate(labels) if label is not None
        },
    }


def relabelled_accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return the accuracy that a renaming of classes would give, without fitting noise.

    Each sample is judged by the commonest label of the *other* samples that got the same
    class, so random labels score near chance, while permuted ones score like right ones.
    """
    right = judged = 0
    for index, (guess, label) in enumerate(zip(predicted, labels, strict=True)):
        peers = labels[(predicted == guess) & (np.arange(len(labels)) != index)]
        if len(peers) == 0:
            continue
        names, counts = np.unique(peers, return_counts=True)
        judged += 1
        right += int(names[np.argmax(counts)] == label)
    return right / judged if judged else 0.0


# --- Segmentation and pose -------------------------------------------------------------------


def are_probabilities(output: Floats) -> bool:
    """Tell whether all values of the float model's answers (N, H, W, 1) lie within 0..1."""
    return all(
        bool(row.min(initial=0.0) >= 0.0 and row.max(initial=0.0) <= 1.0)
        for row in map(np.asarray, output)
    )


def mask_classes(output: NDArray[np.float32], *, probable: bool) -> NDArray[np.int64]:
    """Return the class of each pixel of one (H, W, C) output.

    A single channel is a probability, whose threshold is one half, or else a logit with one of
    zero. Which of them is asked of the float model's answers to all samples: 8 bits may leave a
    probability a little outside of 0..1, and the logits of one picture may all lie inside.
    """
    if output.shape[-1] > 1:
        best: NDArray[np.int64] = np.argmax(output, axis=-1)
        return best
    return (output[..., 0] > (0.5 if probable else 0.0)).astype(np.int64)


def mask_iou(reference: Floats, other: Floats) -> float:
    """Return the mean over samples of the mean IoU over the classes that either mask has."""
    values = []
    probable = reference.shape[-1] == 1 and are_probabilities(reference)
    for left, right in zip(reference, other, strict=True):
        a, b = (mask_classes(np.asarray(one), probable=probable) for one in (left, right))
        overlaps = []
        for number in np.union1d(a, b):
            in_a, in_b = a == number, b == number
            overlaps.append(float((in_a & in_b).sum() / (in_a | in_b).sum()))
        values.append(float(np.mean(overlaps)))
    return float(np.mean(values)) if values else 1.0


def keypoints(output: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Return (K, 2) points y, x in 0..1 from one output, ``None`` for another kind of tensor.

    (K, 2) and (K, 3) arrays are points already (a third column is a score); (H, W, K) arrays
    are heat maps, whose points are their maxima.
    """
    if output.ndim == 2 and output.shape[1] in (2, 3):
        return np.asarray(output[:, :2], np.float64)
    if output.ndim == 3 and min(output.shape[:2]) > 1:
        height, width, count = output.shape
        flat = np.argmax(output.reshape(-1, count), axis=0)
        points: NDArray[np.float64] = np.stack(
            [flat // width / height, flat % width / width], axis=1
        )
        return points
    return None


def keypoint_distance(reference: Floats, other: Floats) -> float | None:
    """Return the mean distance of key points as a fraction of the reference's extent.

    The extent of one sample is the diagonal of the box around its points, at least a hundredth
    of the largest coordinate; heat maps use the diagonal of the picture.
    """
    distances = []
    for left, right in zip(reference, other, strict=True):
        a, b = keypoints(np.asarray(left)), keypoints(np.asarray(right))
        if a is None or b is None or a.shape != b.shape:
            return None
        heat_map = np.ndim(left) == 3
        extent = math.sqrt(2.0) if heat_map else float(np.linalg.norm(np.ptp(a, axis=0)))
        extent = max(extent, 0.01 * float(np.abs(a).max(initial=0.0)), 1e-9)
        distances.append(float(np.linalg.norm(a - b, axis=1).mean()) / extent)
    return float(np.mean(distances)) if distances else None
