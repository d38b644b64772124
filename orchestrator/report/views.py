"""One step's answer to one sample, drawn as SVG over its picture: boxes, masks, points, maps.

The same drawing is made for the float network and for the last step, to be seen side by side.
"""

from __future__ import annotations

import colorsys
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.report.golden import Detections
from orchestrator.report.metrics import are_probabilities, mask_classes
from orchestrator.report.pictures import box_overlay, rgba_uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from orchestrator.report.golden import Golden
    from orchestrator.report.heads import Head

#: Largest side of a mask that is put into a page; larger ones are thinned out.
MASK_SIDE = 320
#: How much of the picture a mask, and a map of numbers, hides (0..255).
MASK_ALPHA, MAP_ALPHA = 130, 215
#: Maps smaller than this many cells are no picture of anything.
LEAST_CELLS = 64


def overlay_of(
    golden: Golden,
    head: Head | None,
    step: str,
    index: int,
    *,
    style: str,
    labels: Sequence[str] = (),
    size: tuple[int, int],
) -> str:
    """Return what ``step`` answers to a sample as SVG in a picture of ``size`` (height, width).

    Empty where the answer is nothing that can be drawn, such as a class.
    """
    if not golden.outputs:
        return ""
    answer = golden.load(step, 0)
    if isinstance(answer, Detections):
        return box_overlay(answer.sample(index).tolist(), style, labels, size)
    if head is not None:
        return _of_head(golden, head, step, index, style, labels, size)
    found = _map_of(golden, step, index)
    if found is None:
        return ""
    if golden.task == "segmentation":
        good = golden.load(golden.order[0], 0)
        probable = not isinstance(good, Detections) and are_probabilities(good)
        return _image(class_colours(mask_classes(found, probable=probable)), size)
    span = _map_of(golden, golden.order[0], index)
    return _image(_shades(found, found if span is None else span), size)


def can_be_drawn(golden: Golden, head: Head | None) -> bool:
    """Tell whether answers of this network are something to look at."""
    if not golden.outputs or not golden.order:
        return False
    if golden.outputs[0].kind == "nms" or head is not None:
        return True
    return len(golden) > 0 and _map_of(golden, golden.order[0], 0) is not None


def legend_of(golden: Golden, head: Head | None) -> str:
    """Say what is drawn."""
    if golden.outputs and (golden.outputs[0].kind == "nms" or head is not None):
        return "float network to the left, last step to the right and dashed"
    if golden.task == "segmentation":
        return "classes in colours: float network to the left, last step to the right"
    return "the output as a map, bright is high: float network to the left, last step to the right"


# --- heads -----------------------------------------------------------------------------------


def _of_head(
    golden: Golden,
    head: Head,
    step: str,
    index: int,
    style: str,
    labels: Sequence[str],
    size: tuple[int, int],
) -> str:
    from hefsmith_worker import decoding

    some: list[NDArray[np.float32]] = []
    for output in golden.outputs:
        tensor = golden.load(step, output.index)
        if isinstance(tensor, Detections) or tensor.ndim != 4:
            return ""
        some.append(np.asarray(tensor[index : index + 1], np.float32))
    report = {**head.report, "end_roles": head.roles}
    with np.errstate(over="ignore", invalid="ignore"):
        boxes, scores = decoding.candidates(some, report, head.size)
        if head.has_angles:
            places = decoding.turned_boxes(some, report)
            rows, _ = decoding.survivors(places[0], scores[0], head.score, head.iou, head.max_boxes)
            return _turned(rows, style, labels, head.size, size)
        rows, cells = decoding.survivors(boxes[0], scores[0], head.score, head.iou, head.max_boxes)
        drawn = ""
        if "mask" in head.roles and "prototypes" in head.roles:
            prototypes = some[head.roles.index("prototypes")][0]
            weights = decoding.mask_weights(some, report)[0][cells]
            drawn += _image(_instances(prototypes, weights, rows), size)
        drawn += box_overlay(rows.tolist(), style, labels, size)
        if head.has_points:
            drawn += _points(decoding.key_points(some, report)[0, cells], style, head.size, size)
    return drawn


def _turned(
    rows: NDArray[np.float32],
    style: str,
    labels: Sequence[str],
    network: tuple[int, int],
    size: tuple[int, int],
) -> str:
    """Return oriented boxes (k, 7), in pixels of the network, as polygons: sides, score, class."""
    from hefsmith_worker import decoding

    scale = np.array([size[1] / network[1], size[0] / network[0]])
    parts = []
    for row, corners in zip(rows, decoding.corners(rows[:, :5]) * scale, strict=True):
        if not np.isfinite(corners).all():
            continue
        number = int(row[6])
        name = labels[number] if 0 <= number < len(labels) else str(number)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        parts.append(
            f'<polygon class="{style}" points="{points}">'
            f"<title>{escape(name)} {float(row[5]):.2f}</title></polygon>"
        )
    return "".join(parts)


def _instances(
    prototypes: NDArray[np.float32], weights: NDArray[Any], rows: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the masks of the objects, each inside its box and in its class's colour."""
    height, width = prototypes.shape[:2]
    picture = np.zeros((height, width, 4), np.uint8)
    for row, weight in zip(rows[::-1], weights[::-1], strict=True):
        top, left, bottom, right = np.nan_to_num(np.clip(row[:4], 0.0, 1.0)).tolist()
        number = int(np.nan_to_num(row[5]))
        window = (
            slice(int(top * height), max(int(np.ceil(bottom * height)), 0)),
            slice(int(left * width), max(int(np.ceil(right * width)), 0)),
        )
        inside = (prototypes[window] @ weight) > 0
        picture[window][inside] = (*colour_of(number), MASK_ALPHA)
    return picture


def _points(
    points: NDArray[Any], style: str, network: tuple[int, int], size: tuple[int, int]
) -> str:
    """Return key points (boxes, K, >= 2) in pixels x, y of the network as small circles."""
    radius = max(size) / 80
    parts = []
    for x, y in points[..., :2].reshape(-1, 2):
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        parts.append(
            f'<circle class="{style}" cx="{x / network[1] * size[1]:.1f}" '
            f'cy="{y / network[0] * size[0]:.1f}" r="{radius:.1f}"/>'
        )
    return "".join(parts)


# --- maps ------------------------------------------------------------------------------------


def _map_of(golden: Golden, step: str, index: int) -> NDArray[np.float32] | None:
    """Return a map (H, W, C) of the only output, ``None`` where it is none.

    Of a network whose task nobody knows only a map with one channel is one.
    """
    if len(golden.outputs) != 1:
        return None
    loaded = golden.load(step, 0)
    if isinstance(loaded, Detections) or loaded.ndim not in (3, 4):
        return None
    found = np.asarray(loaded[index], np.float32)
    found = found[..., None] if found.ndim == 2 else found
    if found.shape[0] * found.shape[1] < LEAST_CELLS or min(found.shape[:2]) < 2:
        return None
    if golden.task != "segmentation" and found.shape[-1] != 1:
        return None
    thin = max(1, -(-max(found.shape[:2]) // MASK_SIDE))
    return found[::thin, ::thin]


def class_colours(classes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a picture (H, W, 4) of classes; class 0 stays clear."""
    table = np.array([(*colour_of(n), MASK_ALPHA) for n in range(64)], np.uint8)
    table[0, 3] = 0
    picture = table[classes % 64]
    picture[(classes > 0) & (classes % 64 == 0)] = table[1]
    return picture


def colour_of(number: int) -> tuple[int, int, int]:
    """Return a colour for a class, neighbours far apart."""
    red, green, blue = colorsys.hsv_to_rgb((number * 0.381966 + 0.08) % 1.0, 0.75, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


def _shades(found: NDArray[np.float32], span: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a map as grey, by the range of the float network's map."""
    low, high = float(np.nanmin(span)), float(np.nanmax(span))
    level = np.nan_to_num((found[..., 0] - low) / max(high - low, 1e-9))
    grey = np.clip(level * 255, 0, 255).astype(np.uint8)
    return np.stack([grey, grey, grey, np.full_like(grey, MAP_ALPHA)], -1)


def _image(pixels: NDArray[np.uint8], size: tuple[int, int]) -> str:
    return (
        f'<image class="mask" href="{rgba_uri(pixels)}" width="{size[1]}" height="{size[0]}" '
        'preserveAspectRatio="none"/>'
    )
