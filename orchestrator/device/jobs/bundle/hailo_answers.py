"""What a network's outputs mean: classes, boxes, key points, masks, in the picture's own pixels.

Boxes of raw heads are made by ``hefsmith_worker.decoding``, the code that the build's verdict
used. ``hefsmith.json`` says which output is what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict


class State(TypedDict, total=False):
    """What a camera's picture shows, as viewers and brokers get it; ``seen`` are lines for people.

    ``best`` and ``sure`` (percent) tell the class; ``counts`` go by label, ``numbers`` by number.
    """

    rate: float
    seen: list[str]
    best: str
    sure: float
    count: int
    counts: dict[str, int]
    numbers: dict[str, int]


@dataclass
class Box:
    """One object, in pixels of the picture that was given.

    ``points`` are key points (x, y, how sure 0..1); ``corners`` the four (x, y) of an oriented
    box; ``mask`` is (height, width) of the box, true where the object is.
    """

    label: str
    number: int
    score: float
    top: float
    left: float
    bottom: float
    right: float
    points: list[tuple[float, float, float]] = field(default_factory=list)
    corners: list[tuple[float, float]] = field(default_factory=list)
    mask: Any = None


@dataclass
class Answer:
    """What the model says of one picture. Which fields are filled hangs on the task.

    ``classes`` are (label, probability) pairs, best first; ``boxes`` are objects, best first, and
    ``finds_boxes`` tells a network that found none from one that looks for none; ``mask`` is (H, W)
    class numbers in the network's own size, ``mask_on()`` the same laid over the picture;
    ``outputs`` are the arrays by stream name, always there.
    """

    classes: list[tuple[str, float]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    mask: Any = None
    outputs: dict[str, Any] = field(default_factory=dict)
    finds_boxes: bool = False
    placement: Any = None

    def mask_on(self) -> Any:
        """Return the class numbers for each pixel of the picture, 0 where nothing was seen."""
        import numpy as np

        height, width = self.placement.source
        area = (0, 0, height, width)
        return _sample(self.mask, self.placement, area, np.uint8(0))


class Reader:
    """Turns outputs into answers, as ``facts`` (``hefsmith.json``) say."""

    def __init__(self, facts: dict[str, Any], labels: list[str], streams: list[str]) -> None:
        self.facts, self.labels, self._streams = facts, labels, streams

    def read(self, results: dict[str, Any], placement: Any) -> Answer:
        """Return the answer of one picture; ``results`` are arrays by stream."""
        answer = Answer(placement=placement)
        for name, item in zip(self._streams, self.facts["outputs"]):
            answer.outputs[name] = results[name]
            if item["kind"] == "nms":
                answer.finds_boxes = True
                answer.boxes = self.nms_boxes(results[name], placement)
        ordered = [answer.outputs[name] for name in self._streams]
        if self.facts.get("head"):
            answer.finds_boxes = True
            answer.boxes = self.head_boxes(ordered, placement)
        elif self.facts["task"] == "classification":
            answer.classes = self._classes(ordered[0])
        elif self.facts["task"] == "segmentation" and getattr(ordered[0], "ndim", 0) == 3:
            answer.mask = _class_map(ordered[0])
        return answer

    def name_of(self, number: int) -> str:
        """Return the label of a class, its number when there is none."""
        return self.labels[number] if number < len(self.labels) else str(number)

    def _classes(self, scores: Any) -> list[tuple[str, float]]:
        """Turn scores into (label, probability), best first; logits go through softmax."""
        import numpy as np

        values = np.asarray(scores, np.float64).ravel()
        probable = values.min() >= 0.0 and abs(values.sum() - 1.0) < 0.05
        if not probable:
            weights = np.exp(values - values.max())
            values = weights / weights.sum()
        order = np.argsort(-values, kind="stable")
        return [(self.name_of(int(number)), float(values[number])) for number in order]

    def nms_boxes(self, by_class: Any, placement: Any) -> list[Box]:
        """Turn HailoRT's boxes by class (0..1 of the network's input) into the picture's pixels."""
        if len(by_class) == 1 and isinstance(by_class[0], list):
            by_class = by_class[0]  # HailoRT 4.18 gives a list of one picture
        if len(by_class) and hasattr(by_class[0], "class_id"):
            by_class = _by_class(by_class)
        found = [
            self._box(row[:4], float(row[4]), number, placement)
            for number, rows in enumerate(by_class)
            for row in rows
        ]
        return sorted(found, key=lambda box: -box.score)

    def _box(self, sides: Any, score: float, number: int, placement: Any) -> Box:
        place = placement.box_to_source(tuple(float(side) for side in sides))
        top, left, bottom, right = (float(side) for side in place)
        return Box(self.name_of(number), number, score, top, left, bottom, right)

    def head_boxes(self, outputs: list[Any], placement: Any) -> list[Box]:
        """Make boxes of the raw tensors of a detection head, with what belongs to each."""
        import numpy as np
        from hefsmith_worker import decoding

        head = self.facts["head"]
        height, width = head["size"]
        raw = [np.asarray(output, np.float32)[None] for output in outputs]
        boxes, scores = decoding.candidates(raw, head, (height, width))
        limits = (head["score"], head["iou"], head["max_boxes"])
        turned = None
        if "angle" in head["end_roles"]:
            turned = decoding.turned_boxes(raw, head)[0]
        judged = boxes[0] if turned is None else turned
        rows, cells = decoding.survivors(judged, scores[0], *limits)
        found = []
        for row, cell in zip(rows, cells):
            box = self._box(boxes[0][cell], float(row[-2]), int(row[-1]), placement)
            if turned is not None:
                _turn(box, decoding.corners(turned[cell][None])[0], placement)
            found.append(box)
        if "keypoints" in head["end_roles"]:
            for box, places in zip(found, decoding.key_points(raw, head)[0][cells]):
                box.points = [
                    (*reversed(placement.to_source(float(y), float(x))), float(sure))
                    for x, y, sure in places
                ]
        if "mask" in head["end_roles"] and "prototypes" in head["end_roles"]:
            prototypes = raw[head["end_roles"].index("prototypes")][0]
            for box, weights in zip(found, decoding.mask_weights(raw, head)[0][cells]):
                area = (int(box.top), int(box.left), int(box.bottom), int(box.right))
                box.mask = _sample(prototypes @ weights, placement, area, np.float32(-1)) > 0
        return sorted(found, key=lambda box: -box.score)


def _turn(box: Box, corners: Any, placement: Any) -> None:
    """Give a box its corners in the picture, and the sides that enclose them."""
    places = [placement.to_source(float(y), float(x)) for x, y in corners]
    box.corners = [(x, y) for y, x in places]
    height, width = placement.source
    box.top = min(max(min(y for y, _ in places), 0.0), float(height))
    box.bottom = min(max(*(y for y, _ in places), 0.0), float(height))
    box.left = min(max(min(x for _, x in places), 0.0), float(width))
    box.right = min(max(*(x for _, x in places), 0.0), float(width))


def _by_class(detections: list[Any]) -> list[list[Any]]:
    """Turn boxes by score, which are objects, into rows by class."""
    count = 1 + max(one.class_id for one in detections)
    by_class: list[list[Any]] = [[] for _ in range(count)]
    for one in detections:
        row = (one.y_min, one.x_min, one.y_max, one.x_max, one.score)
        by_class[one.class_id].append(row)
    return by_class


def _class_map(output: Any) -> Any:
    """Return the class of each cell: the largest of several channels, or one above its middle."""
    import numpy as np

    if output.shape[-1] > 1:
        return np.argmax(output, axis=-1).astype(np.uint8)
    probable = output.min() >= 0.0 and output.max() <= 1.0
    return (output[..., 0] > (0.5 if probable else 0.0)).astype(np.uint8)


def _sample(cells: Any, placement: Any, area: tuple[int, int, int, int], outside: Any) -> Any:
    """Lay a map of the network's input over an ``area`` (top, left, bottom, right) of the picture.

    Nearest cell; ``outside`` where the network did not look.
    """
    import numpy as np

    top, left, bottom, right = area
    scale = placement.scale
    axes = []
    for axis, (start, stop) in enumerate(((top, bottom), (left, right))):
        inside = (np.arange(start, stop) + 0.5) * scale[axis] + placement.offset[axis]
        step = placement.target[axis] / cells.shape[axis]
        axes.append(np.floor(inside / step).astype(int))
    rows, columns = axes
    seen = np.outer(
        (rows >= 0) & (rows < cells.shape[0]), (columns >= 0) & (columns < cells.shape[1])
    )
    limits = cells.shape
    taken = cells[np.clip(rows, 0, limits[0] - 1)][:, np.clip(columns, 0, limits[1] - 1)]
    return np.where(seen, taken, outside)
