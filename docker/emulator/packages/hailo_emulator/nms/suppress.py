"""Boxes from raw heads, then non-maximum suppression per class, as HailoRT does both.

The formulas are those of the published architectures. No sigmoid is applied here: HailoRT's
operators expect activated scores (facts: hailo.md 6.5), which is what
``change_output_activation`` in the model script is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hailo_emulator.nms.config import Decoder, NmsConfig

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.floating[Any]]


class NmsBufferError(ValueError):
    """A head has another size than the configuration says (too few or too many classes).

    The vendor's compiler lets it pass and its runtime fails; the text is the runtime's.
    """


def detect(
    config: NmsConfig,
    tensors: Mapping[str, Floats],
    *,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_proposals_per_class: int | None = None,
) -> list[Floats]:
    """Return per class an array (n, 5) of y_min, x_min, y_max, x_max, score, best first.

    ``tensors`` has the float32 output (H, W, C) of every stream that the decoders read.
    Coordinates are fractions of the image, clipped to 0..1. Raises :class:`NmsBufferError`.
    """
    least = config.score_threshold if score_threshold is None else score_threshold
    overlap = config.iou_threshold if iou_threshold is None else iou_threshold
    most = max_proposals_per_class or config.max_proposals_per_class
    boxes: list[Floats] = []
    scores: list[Floats] = []
    for decoder in config.decoders:
        box, score = _DECODERS[config.meta_arch](config, decoder, tensors)
        boxes.append(box)
        scores.append(score)
    all_boxes = np.clip(np.concatenate(boxes), 0.0, 1.0).astype(np.float32)
    all_scores = np.concatenate(scores)
    if config.background_removal:
        all_scores = np.delete(all_scores, config.background_removal_index, axis=1)
    found = []
    for number in range(all_scores.shape[1]):
        chosen = np.flatnonzero(all_scores[:, number] >= least)
        found.append(_suppress(all_boxes[chosen], all_scores[chosen, number], overlap, most))
    return found


def _suppress(boxes: Floats, scores: Floats, overlap: float, most: int) -> Floats:
    """Keep the best boxes that do not overlap a better one by ``overlap`` or more."""
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    areas = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        low = np.maximum(boxes[index, :2], boxes[index + 1 :, :2])
        high = np.minimum(boxes[index, 2:], boxes[index + 1 :, 2:])
        inside = np.prod(np.maximum(high - low, 0), axis=1)
        union = areas[index] + areas[index + 1 :] - inside
        ratio = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
        alive[index + 1 :] &= ratio < overlap
    result = np.empty((len(kept), 5), np.float32)
    result[:, :4], result[:, 4] = boxes[kept], scores[kept]
    return result


def _head(tensors: Mapping[str, Floats], name: str, kind: str, features: int | None) -> Floats:
    """One head's tensor, checked against the features that the configuration implies."""
    tensor = tensors[name]
    pixels = tensor.shape[0] * tensor.shape[1]
    if features is not None and tensor.shape[2] != features:
        plain = name.rsplit("/", 1)[-1]
        msg = f"{kind} {plain} buffer_size should be {pixels * features}, but is {tensor.size}"
        raise NmsBufferError(msg)
    return tensor


def _cells(tensor: Floats) -> tuple[Floats, Floats]:
    """Row and column of every cell, shape (H * W,) each."""
    rows, columns = np.mgrid[0 : tensor.shape[0], 0 : tensor.shape[1]]
    return rows.reshape(-1).astype(np.float32), columns.reshape(-1).astype(np.float32)


def _from_sides(config: NmsConfig, decoder: Decoder, sides: Floats, tensor: Floats) -> Floats:
    """Boxes from distances left, top, right, bottom in cells, around the cells' centres."""
    rows, columns = _cells(tensor)
    height, width = (side / decoder.stride for side in config.image_dims)
    return np.stack(
        [
            (rows + 0.5 - sides[:, 1]) / height,
            (columns + 0.5 - sides[:, 0]) / width,
            (rows + 0.5 + sides[:, 3]) / height,
            (columns + 0.5 + sides[:, 2]) / width,
        ],
        axis=1,
    ).astype(np.float32)


def _from_centres(y: Numbers, x: Numbers, height: Numbers, width: Numbers) -> Floats:
    return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=-1).astype(
        np.float32
    )


def _softmax(values: Floats) -> Floats:
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)


def _yolov8(
    config: NmsConfig, decoder: Decoder, tensors: Mapping[str, Floats]
) -> tuple[Floats, Floats]:
    """A distribution over ``regression_length`` distances per side (DFL)."""
    length = config.regression_length
    reg = _head(tensors, decoder.reg, "reg", 4 * length)
    cls = _head(tensors, decoder.cls, "cls", config.classes)
    weights = _softmax(reg.reshape(-1, 4, length))
    sides = np.asarray(weights @ np.arange(length, dtype=np.float32), np.float32)
    return _from_sides(config, decoder, sides, reg), cls.reshape(-1, config.classes)


def _yolov6(
    config: NmsConfig, decoder: Decoder, tensors: Mapping[str, Floats]
) -> tuple[Floats, Floats]:
    reg = _head(tensors, decoder.reg, "reg", 4)
    cls = _head(tensors, decoder.cls, "cls", config.classes)
    boxes = _from_sides(config, decoder, reg.reshape(-1, 4), reg)
    return boxes, cls.reshape(-1, config.classes)


def _yolox(
    config: NmsConfig, decoder: Decoder, tensors: Mapping[str, Floats]
) -> tuple[Floats, Floats]:
    reg = _head(tensors, decoder.reg, "reg", 4)
    obj = _head(tensors, decoder.obj, "obj", 1)
    cls = _head(tensors, decoder.cls, "cls", config.classes)
    rows, columns = _cells(reg)
    height, width = (side / decoder.stride for side in config.image_dims)
    flat = reg.reshape(-1, 4)
    boxes = _from_centres(
        (flat[:, 1] + rows) / height,
        (flat[:, 0] + columns) / width,
        np.exp(flat[:, 3]) / height,
        np.exp(flat[:, 2]) / width,
    )
    return boxes, np.asarray(obj.reshape(-1, 1) * cls.reshape(-1, config.classes), np.float32)


def _yolov5(
    config: NmsConfig, decoder: Decoder, tensors: Mapping[str, Floats]
) -> tuple[Floats, Floats]:
    """Anchors: x, y, w, h, objectness, classes; the sigmoid is already in the values."""
    count = len(decoder.w)
    tensor = _head(tensors, decoder.encoded, "encoded", count * (5 + config.classes))
    values = tensor.reshape(-1, count, 5 + config.classes)
    rows, columns = (cells[:, None] for cells in _cells(tensor))
    height, width = config.image_dims
    boxes = _from_centres(
        (values[..., 1] * 2 - 0.5 + rows) * decoder.stride / height,
        (values[..., 0] * 2 - 0.5 + columns) * decoder.stride / width,
        (values[..., 3] * 2) ** 2 * np.asarray(decoder.h, np.float32) / height,
        (values[..., 2] * 2) ** 2 * np.asarray(decoder.w, np.float32) / width,
    )
    scores = np.asarray(values[..., 4:5] * values[..., 5:], np.float32)
    return boxes.reshape(-1, 4), scores.reshape(-1, config.classes)


def _ssd(
    config: NmsConfig, decoder: Decoder, tensors: Mapping[str, Floats]
) -> tuple[Floats, Floats]:
    """Anchors as fractions of the image; offsets in the order y, x, h, w."""
    count = len(decoder.w)
    classes = config.classes + (1 if config.background_removal else 0)
    reg = _head(tensors, decoder.reg, "reg", count * 4)
    cls = _head(tensors, decoder.cls, "cls", count * classes)
    flat = reg.reshape(-1, count, 4)
    rows, columns = (cells[:, None] for cells in _cells(reg))
    h, w = np.asarray(decoder.h, np.float32), np.asarray(decoder.w, np.float32)
    centre, size = config.centers_scale_factor, config.bbox_dimensions_scale_factor
    boxes = _from_centres(
        flat[..., 0] / centre * h + (rows + 0.5) / reg.shape[0],
        flat[..., 1] / centre * w + (columns + 0.5) / reg.shape[1],
        np.exp(flat[..., 2] / size) * h,
        np.exp(flat[..., 3] / size) * w,
    )
    return boxes.reshape(-1, 4), cls.reshape(-1, classes)


_DECODERS = {
    "yolov5": _yolov5, "yolov6": _yolov6, "yolov8": _yolov8, "yolox": _yolox, "ssd": _ssd,
}  # fmt: skip
