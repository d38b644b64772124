"""Raw detection heads to boxes, so that steps before the NMS compare with steps after it.

The arithmetic is that of the families' papers and of HailoRT's NMS operators: per class,
boxes above the score threshold, greedy suppression by intersection over union. Rows are
y_min, x_min, y_max, x_max (0..1 of the network's input), score, class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    # Bundles for the Pi carry this file without the rest of the worker.
    from hefsmith_worker.workspace import Workspace

Decoder = Callable[[Sequence[np.ndarray]], List[np.ndarray]]

#: Boxes of one class that take part in suppression; more cannot survive max_boxes anyway.
CANDIDATES = 1000


#: Roles of end nodes that boxes are made of; others belong to the boxes of the same cells.
BOX_ROLES = ("box", "class", "objectness")

#: Numbers of one key point: x, y and how sure it is.
POINT = 3


def from_script(
    workspace: "Workspace", draft: Mapping[str, Any], nms: Mapping[str, Any]
) -> Optional[Decoder]:
    """Return the decoder for this build's head, ``None`` when its script has no NMS.

    ``nms`` has the recipe's ``score``, ``iou`` and ``max_boxes``.
    """
    from hefsmith_worker.contract.layout import HEAD, SCRIPT

    script = workspace.needed(SCRIPT, "optimize").read_text(encoding="utf-8")
    if not any(
        line.split("#")[0].strip().startswith("nms_postprocess")
        or "= nms_postprocess" in line.split("#")[0]
        for line in script.splitlines()
    ):
        return None
    head = workspace.read_json(HEAD, "parse")
    preprocess = draft["inputs"][0]["preprocess"]
    height, width = preprocess["size"]
    return lambda outputs: decode(
        outputs,
        head,
        (int(height), int(width)),
        float(nms["score"]),
        float(nms["iou"]),
        int(nms["max_boxes"]),
    )


def decode(
    outputs: Sequence[np.ndarray],
    head: Mapping[str, Any],
    size: Tuple[int, int],
    score: float,
    iou: float,
    max_boxes: int,
) -> List[np.ndarray]:
    """Return one (k, 6) array per sample from NHWC head tensors in end-node order."""
    boxes, scores = candidates([np.asarray(o, np.float32) for o in outputs], head, size)
    return [
        suppress(boxes[index], scores[index], score, iou, max_boxes) for index in range(len(boxes))
    ]


def candidates(
    outputs: List[np.ndarray], head: Mapping[str, Any], size: Tuple[int, int]
) -> Tuple[np.ndarray, np.ndarray]:
    """Return boxes (N, cells, 4) in 0..1 and class scores (N, cells, classes), finest first."""
    boxes, scores = _in_pixels(outputs, head)
    scale = np.array([size[0], size[1], size[0], size[1]], np.float32)
    # Boxes end at the picture's edge, before they are compared with each other.
    return np.clip(boxes / scale, 0.0, 1.0), scores


def _in_pixels(outputs: List[np.ndarray], head: Mapping[str, Any]) -> Tuple[np.ndarray, np.ndarray]:
    """Return boxes (N, M, 4) in pixels as y, x, y, x and class scores (N, M, classes)."""
    roles: Sequence[str] = head["end_roles"]
    by_cells: Dict[Tuple[int, int], Dict[str, np.ndarray]] = {}
    for role, output in zip(roles, outputs):
        if role in BOX_ROLES:
            by_cells.setdefault(output.shape[1:3], {})[role] = output
    levels = sorted(by_cells.items(), key=lambda item: -item[0][0] * item[0][1])
    strides = sorted(head["strides"])
    boxes, scores = [], []
    for index, (cells, tensors) in enumerate(levels):
        stride = float(strides[index])
        if "box" in tensors and "class" in tensors:
            box = _decoupled(tensors["box"], cells, stride, head)
            confidence = _sigmoid(tensors["class"])
            if "objectness" in tensors:
                confidence = confidence * _sigmoid(tensors["objectness"])
        else:
            box, confidence = _anchored(
                next(iter(tensors.values())), cells, stride, head["anchors"][index]
            )
        boxes.append(box.reshape(len(box), -1, 4))
        scores.append(confidence.reshape(len(confidence), -1, confidence.shape[-1]))
    return np.concatenate(boxes, 1), np.concatenate(scores, 1)


def _grid(cells: Tuple[int, int], offset: float) -> Tuple[np.ndarray, np.ndarray]:
    rows, columns = np.meshgrid(
        np.arange(cells[0], dtype=np.float32) + offset,
        np.arange(cells[1], dtype=np.float32) + offset,
        indexing="ij",
    )
    return rows, columns


def _decoupled(
    box: np.ndarray, cells: Tuple[int, int], stride: float, head: Mapping[str, Any]
) -> np.ndarray:
    """Decode boxes of heads that have a tensor for boxes and one for classes."""
    return _BOXES_OF.get(head["family"], _distances)(box, cells, stride)


def _exponential(box: np.ndarray, cells: Tuple[int, int], stride: float) -> np.ndarray:
    rows, columns = _grid(cells, 0.0)
    x = (box[..., 0] + columns) * stride
    y = (box[..., 1] + rows) * stride
    half_w = np.exp(box[..., 2]) * stride / 2
    half_h = np.exp(box[..., 3]) * stride / 2
    return np.stack([y - half_h, x - half_w, y + half_h, x + half_w], -1)


def _sides(box: np.ndarray) -> np.ndarray:
    """Return the distances of left, top, right and bottom, in strides."""
    bins = box.shape[-1] // 4
    if bins == 1:
        return box
    # Distribution focal loss: the expected bin of each side's distribution.
    logits = box.reshape((*box.shape[:-1], 4, bins))
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    expected: np.ndarray = (weights / weights.sum(-1, keepdims=True)) @ np.arange(
        bins, dtype=np.float32
    )
    return expected


def _distances(box: np.ndarray, cells: Tuple[int, int], stride: float) -> np.ndarray:
    sides = _sides(box)
    rows, columns = _grid(cells, 0.5)
    left, top, right, bottom = (sides[..., side] for side in range(4))
    return np.stack([rows - top, columns - left, rows + bottom, columns + right], -1) * np.float32(
        stride
    )


#: Families whose boxes are no distances; bundles carry this file without the table of families.
_BOXES_OF = {"yolox": _exponential}


def _anchored(
    tensor: np.ndarray, cells: Tuple[int, int], stride: float, anchors: Any
) -> Tuple[np.ndarray, np.ndarray]:
    """Decode YOLOv5-like tensors: anchors x (x, y, w, h, objectness, classes)."""
    sizes = np.asarray(anchors, np.float32).reshape(-1, 2)
    values = _sigmoid(tensor.reshape((*tensor.shape[:3], len(sizes), -1)))
    rows, columns = _grid(cells, 0.0)
    x = (values[..., 0] * 2 - 0.5 + columns[..., None]) * stride
    y = (values[..., 1] * 2 - 0.5 + rows[..., None]) * stride
    half_w = (values[..., 2] * 2) ** 2 * sizes[:, 0] / 2
    half_h = (values[..., 3] * 2) ** 2 * sizes[:, 1] / 2
    boxes = np.stack([y - half_h, x - half_w, y + half_h, x + half_w], -1)
    return boxes, values[..., 5:] * values[..., 4:5]


def key_points(outputs: Sequence[np.ndarray], head: Mapping[str, Any]) -> np.ndarray:
    """Return (N, cells, K, 3) key points: x, y in pixels of the input, how sure (0..1).

    Cells are in the order of :func:`candidates`. The decoding is that of YOLOv8's pose heads.
    """
    found = []
    for tensor, stride in _by_stride(outputs, head, "keypoints"):
        values = _sequence(tensor, POINT)
        rows, columns = _grid(tensor.shape[1:3], 0.0)
        corner = np.stack([columns, rows], -1).reshape(1, -1, 1, 2)
        places = (values[..., :2] * 2 + corner) * np.float32(stride)
        found.append(np.concatenate([places, _sigmoid(values[..., 2:])], -1))
    return np.concatenate(found, 1)


def mask_weights(outputs: Sequence[np.ndarray], head: Mapping[str, Any]) -> np.ndarray:
    """Return (N, cells, P) weights of the prototype masks, cells as in :func:`candidates`."""
    return np.concatenate(
        [
            tensor.reshape(len(tensor), -1, tensor.shape[-1])
            for tensor, _ in _by_stride(outputs, head, "mask")
        ],
        1,
    )


def turned_boxes(outputs: Sequence[np.ndarray], head: Mapping[str, Any]) -> np.ndarray:
    """Return (N, cells, 5) oriented boxes: centre x, y, width, height in pixels, angle in radians.

    Sides are distances along the turned axes; the angle is ``(sigmoid - 1/4) * pi``, as in
    YOLOv8's heads for oriented boxes.
    """
    found = []
    sides = _by_stride(outputs, head, "box")
    for (box, stride), (turn, _) in zip(sides, _by_stride(outputs, head, "angle")):
        rows, columns = _grid(box.shape[1:3], 0.5)
        left, top, right, bottom = (_sides(box)[..., side] for side in range(4))
        angle = (_sigmoid(turn[..., 0]) - 0.25) * np.float32(np.pi)
        across, down = (right - left) / 2, (bottom - top) / 2
        x = columns + across * np.cos(angle) - down * np.sin(angle)
        y = rows + across * np.sin(angle) + down * np.cos(angle)
        places = np.stack([x, y, left + right, top + bottom], -1) * np.float32(stride)
        turned = np.concatenate([places, angle[..., None]], -1)
        found.append(turned.reshape(len(turned), -1, 5))
    return np.concatenate(found, 1)


def corners(turned: np.ndarray) -> np.ndarray:
    """Return (M, 4, 2) corners x, y of (M, 5) oriented boxes."""
    x, y, width, height, angle = np.asarray(turned, np.float64).T
    across = np.stack([np.cos(angle), np.sin(angle)], -1) * (width / 2)[:, None]
    down = np.stack([-np.sin(angle), np.cos(angle)], -1) * (height / 2)[:, None]
    centre = np.stack([x, y], -1)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.stack([centre + a * across + d * down for a, d in signs], 1)


def _by_stride(
    outputs: Sequence[np.ndarray], head: Mapping[str, Any], role: str
) -> List[Tuple[np.ndarray, float]]:
    """Return the tensors of one role, finest first, each with its stride."""
    maps = [
        np.asarray(tensor, np.float32)
        for tensor, its in zip(outputs, head["end_roles"])
        if its == role
    ]
    maps.sort(key=lambda tensor: -tensor.shape[1] * tensor.shape[2])
    return list(zip(maps, (float(stride) for stride in sorted(head["strides"]))))


def _sequence(tensor: np.ndarray, numbers: int) -> np.ndarray:
    return tensor.reshape(len(tensor), tensor.shape[1] * tensor.shape[2], -1, numbers)


def suppress(
    boxes: np.ndarray, scores: np.ndarray, score: float, iou: float, max_boxes: int
) -> np.ndarray:
    """Return the (k, 6) survivors of one sample, class by class, best score first."""
    return survivors(boxes, scores, score, iou, max_boxes)[0]


def survivors(
    boxes: np.ndarray, scores: np.ndarray, score: float, iou: float, max_boxes: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Like :func:`suppress`, with the number of the cell that each survivor came from.

    ``boxes`` are (cells, 4) of four sides, or (cells, 5) oriented ones (:func:`turned_boxes`).
    """
    overlap = _iou if boxes.shape[1] == 4 else _turned_iou
    rows, cells = [], []
    for category in range(scores.shape[1]):
        confidence = scores[:, category]
        candidates = np.flatnonzero(confidence >= score)
        order = candidates[np.argsort(-confidence[candidates], kind="stable")][:CANDIDATES]
        kept: List[int] = []
        while len(order) and len(kept) < max_boxes:
            best, order = order[0], order[1:]
            kept.append(int(best))
            order = order[overlap(boxes[best], boxes[order]) <= iou]
        if kept:
            cells.extend(kept)
            rows.append(
                np.concatenate(
                    [
                        boxes[kept],
                        confidence[kept][:, None],
                        np.full((len(kept), 1), category, np.float32),
                    ],
                    1,
                )
            )
    width = boxes.shape[1] + 2
    found = np.concatenate(rows) if rows else np.zeros((0, width))
    return found.astype(np.float32), np.array(cells, np.int64)


def _turned_iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how much oriented boxes overlap: one less the Hellinger distance of their Gaussians.

    Source: "Gaussian Bounding Boxes and Probabilistic Intersection-over-Union" (2021).
    """

    def spread(turned: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        width, height = turned[..., 2] ** 2 / 12, turned[..., 3] ** 2 / 12
        cosine, sine = np.cos(turned[..., 4]), np.sin(turned[..., 4])
        return (
            width * cosine**2 + height * sine**2,
            width * sine**2 + height * cosine**2,
            (width - height) * cosine * sine,
        )

    mine = np.asarray(box, np.float64)[None]
    theirs = np.asarray(others, np.float64)
    (a, b, c), (d, e, f) = spread(mine), spread(theirs)
    across, down = mine[:, 0] - theirs[:, 0], mine[:, 1] - theirs[:, 1]
    whole = np.maximum((a + d) * (b + e) - (c + f) ** 2, 1e-12)
    far = ((a + d) * down**2 + (b + e) * across**2) / (4 * whole)
    far = far - (c + f) * across * down / (2 * whole)
    each = np.sqrt(np.maximum(a * b - c**2, 0) * np.maximum(d * e - f**2, 0))
    near = 0.5 * np.log(np.maximum(whole / (4 * each + 1e-12), 1e-12))
    distance = np.clip(far + near, 1e-7, 100.0)
    result: np.ndarray = 1.0 - np.sqrt(1.0 - np.exp(-distance) + 1e-12)
    return result


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    top = np.maximum(box[:2], others[:, :2])
    bottom = np.minimum(box[2:], others[:, 2:])
    overlap = np.prod(np.clip(bottom - top, 0, None), axis=1)
    area = np.prod(np.clip(box[2:] - box[:2], 0, None))
    areas = np.prod(np.clip(others[:, 2:] - others[:, :2], 0, None), axis=1)
    result: np.ndarray = overlap / np.maximum(area + areas - overlap, 1e-12)
    return result


def from_sdk(output: np.ndarray) -> List[np.ndarray]:
    """Return one (k, 6) array per sample from the SDK's NMS output (N, classes, 5, boxes).

    The middle axis is y_min, x_min, y_max, x_max, score; empty slots have score 0.
    """
    array = np.asarray(output)
    if array.shape[2] != 5 and array.shape[3] == 5:
        array = array.transpose(0, 1, 3, 2)
    found = []
    for sample in array:
        rows = [
            np.concatenate(
                [
                    boxes.T[boxes[4] > 0],
                    np.full((int((boxes[4] > 0).sum()), 1), category, np.float32),
                ],
                1,
            )
            for category, boxes in enumerate(sample)
        ]
        found.append(np.concatenate(rows).astype(np.float32))
    return found


def _sigmoid(values: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(values, -80, 80)))
    return result
