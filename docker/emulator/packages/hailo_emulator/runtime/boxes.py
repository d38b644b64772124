"""How boxes lie in a buffer at the host: by class or by score, and what the binding makes of them.

By class: for each class a count, then that many boxes of five float32. By score: a uint16 count,
then packed records, best first. Facts: ``hailort.h``, ``bindings_common.hpp``, ``pyhailort.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.runtime.formats import BBOX_PARAMS, FormatOrder, VStreamInfo
from hailo_emulator.runtime.settings import read_setup
from hailo_emulator.runtime.status import HailoRTException, fail, log

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: ``hailo_detection_t``, packed.
RECORD = np.dtype(
    [
        ("y_min", "<f4"),
        ("x_min", "<f4"),
        ("y_max", "<f4"),
        ("x_max", "<f4"),
        ("score", "<f4"),
        ("class_id", "<u2"),
    ]
)
COUNT = np.dtype("<u2")


@dataclass(frozen=True)
class Detection:
    """One box by score; edges are 0..1 of the network's input."""

    y_min: float
    x_min: float
    y_max: float
    x_max: float
    score: float
    class_id: int


def flatten(
    info: VStreamInfo, classes: list[NDArray[np.float32]], noise: np.random.Generator | None
) -> NDArray[np.generic]:
    """Lay boxes by class out as the stream's buffer has them; ``noise`` shakes them."""
    if info.format.order not in (FormatOrder.HAILO_NMS_BY_CLASS, FormatOrder.HAILO_NMS_BY_SCORE):
        log("error", "the emulator gives boxes by class and by score only")
        fail("HAILO_NOT_IMPLEMENTED", f"Format order {info.format.order.name} is not emulated")
    shape = info.nms_shape
    kept = [
        boxes[: shape.max_bboxes_per_class].astype(np.float32)
        for boxes in classes[: shape.number_of_classes]
    ]
    if noise is not None:
        kept = [boxes + noise.normal(0, 0.05, boxes.shape).astype(np.float32) for boxes in kept]
    return _by_score(info, kept) if info.by_score else _by_class(info, kept)


def _by_class(info: VStreamInfo, classes: list[NDArray[np.float32]]) -> NDArray[np.generic]:
    flat = np.zeros(info.buffer_shape, np.float32)
    at = 0
    for boxes in classes:
        flat[at] = len(boxes)
        flat[at + 1 : at + 1 + boxes.size] = boxes.reshape(-1)
        at += 1 + boxes.size
    return flat


def _by_score(info: VStreamInfo, classes: list[NDArray[np.float32]]) -> NDArray[np.generic]:
    rows = [(*map(float, box), number) for number, boxes in enumerate(classes) for box in boxes]
    rows.sort(key=lambda row: -row[4])
    records = np.array(rows, RECORD)
    data = np.array(len(rows), COUNT).tobytes() + records.tobytes()
    flat = np.zeros(info.buffer_shape, np.uint8)
    flat[: len(data)] = np.frombuffer(data, np.uint8)
    return flat


def read(info: VStreamInfo, buffer: NDArray[np.generic], *, padded: bool) -> Any:
    """Return a filled buffer as ``get_buffer`` does; ``padded`` asks for TensorFlow's form."""
    if info.by_score:
        if padded:
            order = info.format.order
            msg = f"Use of tf format is unsupported for format order: {order}."
            raise HailoRTException(msg)
        return detections(buffer)
    shape = info.nms_shape
    flat = buffer.reshape(-1)
    if padded:
        return padded_boxes(flat, shape.number_of_classes, shape.max_bboxes_per_class)
    frame = split_boxes(flat, shape.number_of_classes)
    # 4.18 alone forgot to take the frame out of its batch of one.
    return [frame] if read_setup().hailort < (4, 19, 0) else frame


def check_kind(info: VStreamInfo, buffer: NDArray[np.generic]) -> None:
    """Refuse what 4.21 to 5.1 refuse: boxes by score in anything but bytes."""
    checked = (4, 21, 0) <= read_setup().hailort < (5, 2, 0)
    if checked and info.by_score and buffer.dtype != np.uint8:
        msg = (
            f"Buffer must be of type uint8 for {info.format.order} format order. "
            f"Got {buffer.dtype}."
        )
        raise HailoRTException(msg)


def detections(buffer: NDArray[np.generic]) -> list[Detection]:
    """Return the boxes of a buffer by score, best first."""
    data = buffer.reshape(-1).tobytes()
    (count,) = np.frombuffer(data, COUNT, 1)
    records = np.frombuffer(data, RECORD, int(count), COUNT.itemsize)
    return [Detection(*record.item()) for record in records]


def split_boxes(flat: NDArray[np.generic], classes: int) -> list[NDArray[np.generic]]:
    """Return one frame's boxes by class: ``classes`` arrays (n, 5) of y_min .. x_max, score."""
    found: list[NDArray[np.generic]] = []
    at = 0
    for _ in range(classes):
        count = int(flat[at])
        at += 1
        if count:
            found.append(flat[at : at + BBOX_PARAMS * count].reshape(count, BBOX_PARAMS))
        else:
            found.append(np.empty([0, BBOX_PARAMS]))
        at += BBOX_PARAMS * count
    return found


def padded_boxes(
    flat: NDArray[np.generic], classes: int, boxes_per_class: int
) -> NDArray[np.float32]:
    """Return one frame's boxes as (classes, 5, boxes per class), padded with zeros."""
    padded = np.zeros((classes, BBOX_PARAMS, boxes_per_class), np.float32)
    for index, boxes in enumerate(split_boxes(flat, classes)):
        padded[index, :, : len(boxes)] = boxes.T
    return padded
