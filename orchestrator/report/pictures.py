"""Pictures for the report page: PNG files from arrays, and charts as SVG text. No libraries."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.report.charts import Frame, polyline
from orchestrator.report.model import MEASURE_TITLES, SHORT_TITLES, STEP_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from orchestrator.report.model import Check, StepReport

#: Measures that are fractions with 1 as the best, in the order in which they are drawn.
DRAWN = ("top1", "agreement", "map50", "label_iou", "f1", "mean_iou", "cosine")

#: Distances of grid lines that make round numbers.
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2)

#: The chart and its margins; names of lines stand to the right, those of steps below.
_FIELD = {"width": 760, "height": 300, "left": 62, "right": 170, "top": 18, "bottom": 64}


def png_uri(picture: NDArray[np.generic]) -> str:
    """Return a (H, W, C) picture as a ``data:`` URI; C is 1 (grey) or 3 (RGB).

    Floats are stretched from their own least and largest value; other numbers of channels
    show the first one.
    """
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[-1] not in (1, 3):
        array = array[..., :1]
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        array = ((array - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return _png(array)


def rgba_uri(picture: NDArray[np.uint8]) -> str:
    """Return a (H, W, 4) picture with its opacity (0..255 in the last channel) as a URI."""
    assert picture.shape[-1] == 4
    return _png(picture)


#: A PNG file's word for pixels of so many channels.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def _png(array: NDArray[np.uint8]) -> str:
    height, width, channels = array.shape
    rows = np.concatenate(
        [np.zeros((height, 1), np.uint8), array.reshape(height, width * channels)], axis=1
    )
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", header),
        _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
        _chunk(b"IEND", b""),
    ]
    return "data:image/png;base64," + base64.b64encode(b"".join(parts)).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def box_overlay(
    rows: Sequence[Sequence[float]], style: str, labels: Sequence[str], size: tuple[int, int]
) -> str:
    """Return SVG rectangles for boxes (y_min, x_min, y_max, x_max in 0..1, score, class)."""
    height, width = size
    parts = []
    for row in rows:
        top, left, bottom, right = (min(max(float(value), 0.0), 1.0) for value in row[:4])
        number = int(row[5])
        name = labels[number] if 0 <= number < len(labels) else str(number)
        parts.append(
            f'<rect class="{style}" x="{left * width:.1f}" y="{top * height:.1f}" '
            f'width="{max(right - left, 0) * width:.1f}" '
            f'height="{max(bottom - top, 0) * height:.1f}">'
            f"<title>{escape(name)} {float(row[4]):.2f}</title></rect>"
        )
    return "".join(parts)


def step_chart(steps: Sequence[StepReport], checks: Sequence[Check], fault: str | None) -> str:
    """Return a line for each measure over the steps; a dashed line is what is demanded.

    The scale begins at the least value shown, rounded down, so that small losses can be seen.
    """
    names = _drawn(steps)
    if not names or len(steps) < 2:
        return ""
    values = [step.measures[name] for step in steps for name in names if name in step.measures]
    limits = {check.measure: check.limit for check in checks if check.measure in names}
    least = min([*values, *limits.values(), 0.95])
    low = max(0.0, math.floor(least * 20 - 0.5) / 20)
    high = 1.0

    frame = Frame(**_FIELD, low=low, high=high)

    def x(index: int) -> float:
        return frame.x(index / (len(steps) - 1))

    box = f"0 0 {frame.width} {frame.height}"
    parts = [f'<svg class="chart" viewBox="{box}" role="img" aria-label="Measures at each step">']
    parts += _grid(frame)
    for index, step in enumerate(steps):
        parts.append(_step_label(frame, step.step, x(index), guilty=step.step == fault))
    ends: list[tuple[float, int, str]] = []
    for number, name in enumerate(names):
        points = [
            (x(index), frame.y(step.measures[name]))
            for index, step in enumerate(steps)
            if name in step.measures
        ]
        parts.append(polyline(f"line c{number}", points))
        parts += [
            f'<circle class="dot c{number}" cx="{px:.1f}" cy="{py:.1f}" r="3.5"/>'
            for px, py in points
        ]
        if name in limits:
            level = frame.y(limits[name])
            parts.append(
                f'<line class="limit c{number}" x1="{frame.left}" x2="{frame.end}" '
                f'y1="{level:.1f}" y2="{level:.1f}"><title>{escape(MEASURE_TITLES[name])}: '
                f"at least {limits[name]:g}</title></line>"
            )
        ends.append((points[-1][1], number, name))
    parts += _legend(frame, ends)
    parts.append("</svg>")
    return "".join(parts)


def step_legend(steps: Sequence[StepReport]) -> str:
    """Return the lines' names for below the chart, as a telephone has no room beside them."""
    keys = (
        f'<span class="c{number}">&#9679; {escape(SHORT_TITLES.get(name, name))}</span>'
        for number, name in enumerate(_drawn(steps))
    )
    return f"<p class=legend aria-hidden=true>{' '.join(keys)}</p>"


def _drawn(steps: Sequence[StepReport]) -> list[str]:
    return [name for name in DRAWN if sum(name in step.measures for step in steps) > 1]


def _grid(frame: Frame) -> list[str]:
    height = frame.high - frame.low
    step = next(size for size in _TICKS if height / size <= 5.0001)
    values = (frame.high - number * step for number in range(int(height / step + 1e-6) + 1))
    return [frame.grid(value, f"{value:.3g}") for value in values]


def _step_label(frame: Frame, step: str, x: float, *, guilty: bool) -> str:
    title = STEP_TITLES.get(step, step)
    short = step.replace("sdk_fp_optimized", "fp_optimized").replace("sdk_", "")
    style = "tick step guilty" if guilty else "tick step"
    level = frame.height - frame.bottom + 22
    mark = (
        f'<text class="{style}" x="{x:.1f}" y="{level + 18}" text-anchor="middle">▲ fault</text>'
        if guilty
        else ""
    )
    return (
        f'<text class="{style}" x="{x:.1f}" y="{level}" text-anchor="middle">'
        f"<title>{escape(title)}</title>{escape(short)}</text>{mark}"
    )


def _legend(frame: Frame, ends: list[tuple[float, int, str]]) -> list[str]:
    """Write each name at its line's end, pushed down where two would overlap."""
    parts = []
    last = -100.0
    lowest = frame.height - frame.bottom - 15.0 * (len(ends) - 1)
    for rank, (level, number, name) in enumerate(sorted(ends)):
        place = max(min(level, lowest + 15.0 * rank), last + 15)
        last = place
        parts.append(
            f'<text class="name c{number}" x="{frame.end + 12}" y="{place + 4:.1f}">'
            f"{escape(SHORT_TITLES.get(name, name))}</text>"
        )
    return parts
