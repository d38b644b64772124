"""Segmentation by its labels: how well the classes of an answer's pixels overlap the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hefsmith_worker.contract.layout import MASK_UNKNOWN

from orchestrator.report import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Masks = Sequence[NDArray[np.uint8] | None]


def labelled_iou(
    output: NDArray[np.float32], masks: Masks, *, like: NDArray[np.float32]
) -> dict[int, tuple[int, int, int]]:
    """Return by class the pixels in both, in the labels, and in the answer, over all samples.

    ``output`` is (N, H, W, C); masks of another size are taken at the output's places. Pixels
    that the labels leave open (255) count for nothing. ``like`` are the float model's answers,
    which tell probabilities from logits.
    """
    probable = like.shape[-1] == 1 and metrics.are_probabilities(like)
    totals: dict[int, list[int]] = {}
    for row, mask in zip(output, masks, strict=True):
        if mask is None:
            continue
        mine = metrics.mask_classes(np.asarray(row), probable=probable)
        truth = _at_size(np.asarray(mask), mine.shape)
        known = truth != MASK_UNKNOWN
        mine, truth = mine[known], truth[known]
        for number in np.union1d(mine, truth):
            in_mine, in_truth = mine == number, truth == number
            entry = totals.setdefault(int(number), [0, 0, 0])
            entry[0] += int((in_mine & in_truth).sum())
            entry[1] += int(in_truth.sum())
            entry[2] += int(in_mine.sum())
    return {number: (both, true, said) for number, (both, true, said) in sorted(totals.items())}


def mean_of_classes(totals: Mapping[int, tuple[int, int, int]]) -> float:
    """Return the mean IoU over the classes that the labels have."""
    values = [both / (true + said - both) for both, true, said in totals.values() if true]
    return float(np.mean(values)) if values else 0.0


def _at_size(mask: NDArray[np.uint8], size: Sequence[int]) -> NDArray[np.uint8]:
    """Return the labels at the middles of the cells of another grid."""
    if mask.shape == tuple(size):
        return mask
    places = [
        ((np.arange(side) + 0.5) * have / side).astype(np.int64)
        for side, have in zip(size, mask.shape, strict=True)
    ]
    found: NDArray[np.uint8] = mask[np.ix_(*places)]
    return found


def guessed(output: NDArray[np.float32], masks: Masks) -> float:
    """Return the mean IoU that needs no look at the picture, the best of two ways.

    Calling every pixel by the commonest class of the labels, and answering for another picture:
    objects in the middle overlap each other by chance.
    """
    pixels = np.zeros(MASK_UNKNOWN, np.int64)
    for mask in masks:
        if mask is not None:
            pixels += np.bincount(np.asarray(mask).ravel(), minlength=256)[:MASK_UNKNOWN]
    classes = int((pixels > 0).sum())
    found = [float(pixels.max() / pixels.sum() / classes)] if classes else [0.0]
    labelled = [index for index, mask in enumerate(masks) if mask is not None]
    for away in {1, len(labelled) // 2} if len(labelled) > 2 else ():
        others = labelled[away:] + labelled[:away]
        others_masks = [masks[index] for index in others]
        totals = labelled_iou(output[labelled], others_masks, like=output)
        found.append(mean_of_classes(totals))
    return max(found)
