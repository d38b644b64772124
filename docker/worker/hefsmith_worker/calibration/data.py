"""Inputs that are no pictures: spectra, signals, features. They come from arrays only.

Their values have no natural scale, so they are counted in 256 steps between the least and the
largest value that a sample of the rows has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Sequence, Tuple

from hefsmith_worker.calibration.model import InputSpec

if TYPE_CHECKING:
    import numpy as np

#: Rows that are read to tell the range of an array.
RANGE_ROWS = 64
STEPS = 256

#: Least and largest value that the steps of a histogram stand for.
Range = Tuple[float, float]
PIXELS: Range = (0.0, 255.0)


def is_data(spec: InputSpec) -> bool:
    """Tell whether an input takes data instead of pictures."""
    return spec.preprocess.color == "data"


def range_of_rows(rows: Sequence[np.ndarray[Any, Any]]) -> Range:
    """Return the range of some rows as they are fed; that of pixels for uint8."""
    if not rows or all(row.dtype.name == "uint8" for row in rows):
        return PIXELS
    low = min(float(row.min()) for row in rows)
    high = max(float(row.max()) for row in rows)
    return (low, high) if high > low else (low, low + 1.0)


def as_steps(array: np.ndarray[Any, Any], span: Range) -> np.ndarray[Any, Any]:
    """Return a row's values as steps 0..255 of the range; what lies beyond is cut."""
    import numpy as np

    if array.dtype == np.uint8:
        return array
    scaled = (array.astype(np.float64) - span[0]) * ((STEPS - 1) / (span[1] - span[0]))
    steps: np.ndarray[Any, Any] = np.clip(np.rint(scaled), 0, STEPS - 1).astype(np.uint8)
    return steps


def histogram(steps: np.ndarray[Any, Any]) -> bytes:
    """Return 256 counts for each channel, the last axis (uint32, little-endian)."""
    import numpy as np

    flat = steps.reshape(-1, steps.shape[-1])
    shifted = flat.astype(np.int64) + np.arange(flat.shape[1]) * STEPS
    counts = np.bincount(shifted.reshape(-1), minlength=STEPS * flat.shape[1])
    return counts.astype("<u4").tobytes()


def false_colours(steps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return (H, W, 3) to look at: the first three channels, or the first as grey."""
    import numpy as np

    chosen = steps[..., :3] if steps.shape[-1] >= 3 else np.repeat(steps[..., :1], 3, axis=-1)
    return np.ascontiguousarray(chosen)


def curve_points(
    steps: np.ndarray[Any, Any], width: int, height: int
) -> List[List[Tuple[float, float]]]:
    """Return one line of (x, y) for each of at most three channels, over the longest axis.

    Features (F,) and signals (1, L, C) or (L, 1, C) are shown so.
    """
    import numpy as np

    table = steps[:, None] if steps.ndim == 1 else steps.reshape(-1, steps.shape[-1])
    picked = np.unique(np.linspace(0, len(table) - 1, min(len(table), width)).astype(int))
    xs = picked * ((width - 1) / max(1, len(table) - 1))
    return [
        [
            (float(x), (height - 1) * (1.0 - float(value) / (STEPS - 1)))
            for x, value in zip(xs, table[picked, channel])
        ]
        for channel in range(min(3, table.shape[1]))
    ]
