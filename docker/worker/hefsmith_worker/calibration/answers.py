"""Reads what a float network answers: classes, boxes, or just numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from hefsmith_worker.contract.counting import some

if TYPE_CHECKING:
    import numpy as np

SCORE = 0.25
OVERLAP = 0.5
SHOWN_BOXES = 3


@dataclass(frozen=True)
class Answers:
    """One entry per sample; ``classes`` and ``scores`` where the outputs could be understood."""

    texts: Tuple[str, ...]
    scores: Optional[Tuple[float, ...]] = None
    classes: Optional[Tuple[int, ...]] = None
    constant: bool = False
    finite: bool = True


def read_answers(
    outputs: Sequence[np.ndarray[Any, Any]],
    labels: Sequence[str],
    task: Optional[str],
) -> Answers:
    """Read the outputs (N, ...) of all samples."""
    import numpy as np

    if not all(np.isfinite(output).all() for output in outputs):
        return Answers(tuple("not a number" for _ in outputs[0]), finite=False)
    constant = len(outputs[0]) > 1 and all(_same(output) for output in outputs)
    if task in (None, "auto", "classification"):
        logits = _logits(outputs)
        if logits is not None:
            return _classified(logits, labels, constant=constant)
    if task in (None, "auto", "detection", "pose", "segmentation", "obb") and outputs[0].ndim == 3:
        detections = _detections(outputs[0], len(labels), alone=len(outputs) == 1)
        if detections is not None:
            return _detected(detections, labels, constant=constant)
    first = outputs[0].reshape(len(outputs[0]), -1)
    texts = tuple(f"mean {row.mean():.4g}, spread {row.std():.4g}" for row in first)
    return Answers(texts, constant=constant)


def _same(output: np.ndarray[Any, Any]) -> bool:
    import numpy as np

    scale = float(np.abs(output).max()) or 1.0
    return bool(np.abs(output - output[:1]).max() <= 1e-5 * scale)


def _logits(outputs: Sequence[np.ndarray[Any, Any]]) -> Optional[np.ndarray[Any, Any]]:
    """Return (N, classes) when the network has one flat output."""
    if len(outputs) != 1:
        return None
    output = outputs[0]
    flat = output.reshape(len(output), -1)
    is_flat = output.ndim == 2 or (output.ndim == 4 and output.shape[1] == flat.shape[1])
    return flat if is_flat and flat.shape[1] >= 2 else None


def _classified(logits: np.ndarray[Any, Any], labels: Sequence[str], *, constant: bool) -> Answers:
    import numpy as np

    scores = logits.astype(np.float64)
    are_scores = scores.min() >= 0 and scores.max() <= 1.0 + 1e-6
    if not (are_scores and np.allclose(scores.sum(1), 1.0, atol=1e-3)):
        shifted = np.exp(scores - scores.max(1, keepdims=True))
        scores = shifted / shifted.sum(1, keepdims=True)
    best = scores.argmax(1)
    top = scores.max(1)
    texts = tuple(f"{_name(labels, int(c))} {p:.2f}" for c, p in zip(best, top))
    return Answers(
        texts, tuple(float(p) for p in top), tuple(int(c) for c in best), constant=constant
    )


def _detections(
    output: np.ndarray[Any, Any], classes: int, *, alone: bool
) -> Optional[List[np.ndarray[Any, Any]]]:
    """Return for each sample rows of x_min, y_min, x_max, y_max, score, class.

    Known forms: (N, 4 + classes, anchors) of newer YOLOs, (N, anchors, 5 + classes) of older
    ones, and (N, boxes, 6) of networks that suppress by themselves.
    """
    import numpy as np

    rows, columns = output.shape[1:]
    if columns == 6 and rows <= 1000 and alone:
        return [picture[picture[:, 4] > SCORE] for picture in output]
    if rows < columns and rows > 4:
        table = output.transpose(0, 2, 1)
        scores = table[:, :, 4:] if not classes else table[:, :, 4 : 4 + classes]
    elif columns > 5 and rows > columns:
        table = output
        inner = table[:, :, 5:] if not classes else table[:, :, 5 : 5 + classes]
        scores = inner * table[:, :, 4:5]
    else:
        return None
    if scores.size == 0 or scores.min() < -1e-3 or scores.max() > 1.0 + 1e-3:
        return None  # logits or another form: not boxes that we can read
    found = []
    for boxes, chances in zip(table[:, :, :4], scores):
        best = chances.max(1)
        keep = np.flatnonzero(best > SCORE)
        keep = keep[np.argsort(-best[keep], kind="stable")][:300]
        x, y, wide, high = (boxes[keep, column] for column in range(4))
        found.append(
            suppress(
                np.stack(
                    [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, best[keep],
                     chances[keep].argmax(1).astype(np.float32)], axis=1,
                )
            )
        )  # fmt: skip
    return found


def suppress(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Drop rows (sorted by score) that overlap a better one of their class."""
    import numpy as np

    kept: List[Any] = []
    for row in rows:
        if not any(row[5] == other[5] and _overlap(row, other) > OVERLAP for other in kept):
            kept.append(row)
    return np.asarray(kept, dtype=np.float32).reshape(-1, 6)


def _overlap(a: Any, b: Any) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / whole) if whole > 0 else 0.0


def _detected(
    detections: Sequence[np.ndarray[Any, Any]], labels: Sequence[str], *, constant: bool
) -> Answers:
    texts, scores = [], []
    for rows in detections:
        boxes = [f"{_name(labels, int(row[5]))} {row[4]:.2f}" for row in rows]
        texts.append(some(boxes, SHOWN_BOXES) or "no boxes")
        scores.append(float(rows[:, 4].max()) if len(rows) else 0.0)
    return Answers(tuple(texts), tuple(scores), constant=constant)


def _name(labels: Sequence[str], number: int) -> str:
    return labels[number] if 0 <= number < len(labels) else f"class {number}"
