"""Boxes and key points of networks whose HEF gives the raw tensors of a detection head.

The build keeps what the head finder learned (``head.json``). With it every step is decoded here
by the code that decodes for HEFs with NMS, so that boxes are judged and not only tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hefsmith_worker.contract.families import family_of

from orchestrator.report.golden import Detections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hefsmith_worker.contract.options import NmsOptions
    from numpy.typing import NDArray

    from orchestrator.report.golden import Golden

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """A detection head: the role of each golden output, and what decoding needs.

    ``report`` has the keys of ``hefsmith_worker.graph.HeadReport``; ``size`` is (height, width)
    of the network's input in pixels.
    """

    report: Mapping[str, Any]
    roles: tuple[str, ...]
    size: tuple[int, int]
    score: float
    iou: float
    max_boxes: int

    @property
    def has_points(self) -> bool:
        """True when there are key points beside the boxes."""
        return "keypoints" in self.roles

    @property
    def has_angles(self) -> bool:
        """True when the boxes are oriented."""
        return "angle" in self.roles

    def to_json(self) -> dict[str, object]:
        """Return what a program on the device needs, to decode as this one does."""
        kept = ("family", "strides", "anchors", "regression_length")
        return {
            **{key: self.report.get(key) for key in kept},
            "end_roles": list(self.roles),
            "size": list(self.size),
            "score": self.score,
            "iou": self.iou,
            "max_boxes": self.max_boxes,
        }


@dataclass(frozen=True)
class Decoded:
    """One step, decoded: boxes of all samples, and key points of the boxes of the first step.

    ``points`` has, per sample, (boxes, K, 2) pixels x, y at the cells of the float model's boxes.
    """

    boxes: Detections
    points: tuple[NDArray[np.float64], ...] = ()


def read_head(
    report: Mapping[str, Any],
    golden: Golden,
    *,
    end_nodes: Sequence[str],
    nms: NmsOptions,
) -> Head | None:
    """Return how to decode the outputs of a build, ``None`` where nobody can tell.

    ``report`` is ``head.json``, ``end_nodes`` are those that the network was cut at, ``nms`` are
    the recipe's thresholds. A HEF that gives boxes itself needs no decoding.
    """
    nodes, roles = list(report.get("end_nodes") or ()), list(report.get("end_roles") or ())
    if (
        any(output.kind != "tensor" for output in golden.outputs)
        or len(golden.inputs) != 1
        or len(golden.outputs) != len(end_nodes)
        or sorted(nodes) != sorted(end_nodes)
        or not _is_decodable(report)
    ):
        return None
    by_node = dict(zip(nodes, roles, strict=True))
    height, width = golden.inputs[0].preprocess.get("size") or (0, 0)
    if not height or not width:
        return None
    return Head(
        report=report,
        roles=tuple(by_node[name] for name in end_nodes),
        size=(int(height), int(width)),
        score=nms.score,
        iou=nms.iou,
        max_boxes=nms.max_boxes,
    )


def _is_decodable(report: Mapping[str, Any]) -> bool:
    roles = report.get("end_roles") or ()
    if not family_of(report.get("family")).decoded_here or not report.get("strides"):
        return False
    if "box" in roles and "class" in roles:
        bins = report.get("regression_length") or 1
        shapes = report.get("end_shapes") or ()
        boxes = [shape for shape, role in zip(shapes, roles, strict=True) if role == "box"]
        return len(boxes) == len(report["strides"]) and all(s[1] == 4 * bins for s in boxes)
    return set(roles) == {"box"} and bool(report.get("anchors"))


def decode_steps(
    golden: Golden, head: Head, steps: Sequence[str] | None = None
) -> dict[str, Decoded]:
    """Decode every step, or those named and the first, where shapes are the first one's."""
    first = golden.order[0]
    shapes = [tensor.shape for tensor in _tensors(golden, first)]
    found: dict[str, Decoded] = {}
    if any(len(shape) != 4 for shape in shapes):
        return found
    cells: list[NDArray[np.int64]] = []
    for step in golden.order:
        if steps is not None and step not in (first, *steps):
            continue
        tensors = _tensors(golden, step)
        if [tensor.shape for tensor in tensors] == shapes:
            found[step] = _decode(tensors, head, cells, is_first=step == first)
    return found


def _tensors(golden: Golden, step: str) -> list[Floats]:
    loaded = [golden.load(step, output.index) for output in golden.outputs]
    return [tensor for tensor in loaded if not isinstance(tensor, Detections)]


def _decode(
    tensors: Sequence[Floats], head: Head, cells: list[NDArray[np.int64]], *, is_first: bool
) -> Decoded:
    """Decode one step, sample by sample; ``cells`` is filled by the first one."""
    from hefsmith_worker import decoding

    report = {**head.report, "end_roles": head.roles}
    rows: list[Floats] = []
    points: list[NDArray[np.float64]] = []
    for sample in range(len(tensors[0])):
        some = [np.asarray(tensor[sample : sample + 1], np.float32) for tensor in tensors]
        # Noise may overflow an exponential; a box without end is then just a wrong box.
        with np.errstate(over="ignore", invalid="ignore"):
            boxes, scores = decoding.candidates(some, report, head.size)
            places = decoding.turned_boxes(some, report) if head.has_angles else boxes
            found, where = decoding.survivors(
                places[0], scores[0], head.score, head.iou, head.max_boxes
            )
            if head.has_angles:
                found = _upright(found, head.size)
        rows.append(found)
        if head.has_points:
            if is_first:
                cells.append(where)
            places = decoding.key_points(some, report)[0, cells[sample], :, :2]
            points.append(places.astype(np.float64))
    offsets = np.cumsum([0, *(len(one) for one in rows)], dtype=np.int64)
    return Decoded(Detections(np.concatenate(rows), offsets), tuple(points))


def _upright(turned: Floats, size: tuple[int, int]) -> Floats:
    """Return (k, 7) oriented boxes, in pixels, as the upright ones around them: rows of boxes.

    Labels of oriented boxes are read so, too: a turned box and its sides alone do not overlap.
    """
    from hefsmith_worker import decoding

    places = decoding.corners(turned[:, :5]) / np.array([size[1], size[0]])
    low, high = places.min(1), places.max(1)
    sides = np.stack([low[:, 1], low[:, 0], high[:, 1], high[:, 0]], -1)
    return np.concatenate([np.clip(sides, 0.0, 1.0), turned[:, 5:]], 1).astype(np.float32)


def point_distance(reference: Decoded, other: Decoded, size: tuple[int, int]) -> float | None:
    """Return the mean distance of key points as a fraction of their box's diagonal."""
    scale = np.array([size[0], size[1]], np.float64)
    distances: list[float] = []
    for sample, (good, mine) in enumerate(zip(reference.points, other.points, strict=True)):
        for row, left, right in zip(reference.boxes.sample(sample), good, mine, strict=True):
            diagonal = float(np.linalg.norm((row[2:4] - row[:2]) * scale))
            if diagonal > 0:
                distances.append(float(np.linalg.norm(left - right, axis=1).mean()) / diagonal)
    return float(np.mean(distances)) if distances else None
