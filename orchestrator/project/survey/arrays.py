"""Arrays of the user's own for inputs that are no pictures, found by their headers."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.calibration.arrays import HELD_OUT, member_for

from orchestrator.reading import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

#: Arrays of one file that are looked at.
_MOST_ARRAYS = 100
#: Rows that are looked at to tell an array's range.
_ROWS = 16
#: Pictures of which no pixel is brighter than this are told as dark by a build.
_DARK = 64


def rows_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of one row of an array that feeds an input (1, C, H, W) or (1, F)."""
    return (*shape[2:], shape[1]) if len(shape) == 4 else tuple(shape[1:])


def inputs_of(
    sample: Sequence[int], rank: int | None, channels: int | None
) -> list[dict[str, tuple[int, ...]]]:
    """Return the inputs that a network may have whose samples have a shape, the likeliest first.

    ``rank`` is that of the first layer's weights: 4 for pictures and spectrograms, 3 for signals,
    2 for features; ``channels`` those of the first convolution.
    """
    sides = tuple(sample[1:] if len(sample) > 1 and sample[0] == 1 else sample)
    if rank == 4 and len(sides) < 3:
        sides = (1, 1, *sides)[-3:]
    elif rank == 3 and len(sides) < 2:
        sides = (1, *sides)
    found = [sides]
    if len(sides) == 3 and channels not in (None, sides[0]):
        turned = (sides[2], *sides[:2])
        found = [turned] if sides[2] == channels else [sides, turned]
    return [{"features" if len(one) == 1 else "data": (1, *one)} for one in found]


def array_shape(path: Path) -> tuple[int, ...] | None:
    """Return the shape of a ``.npy``, or of the first array of a ``.npz``; ``None`` for neither."""
    return next(iter(array_shapes(path).values()), None)


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a file's arrays by name; that of a ``.npy`` has none."""
    import numpy as np

    found: dict[str, tuple[int, ...]] = {}
    try:
        if path.suffix.lower() == ".npz":
            with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
                for name in archive.namelist()[:_MOST_ARRAYS]:
                    if name.endswith(".npy"):
                        with archive.open(name) as stream:
                            version = np.lib.format.read_magic(stream)
                            found[name.removesuffix(".npy")] = _header(stream, version)
            return found
        with open_regular(path) as stream:
            version = np.lib.format.read_magic(stream)
            return {"": _header(stream, version)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return found


@dataclass(frozen=True)
class Facts:
    """An array's shape, its numbers' kind as numpy has it, and the range of some rows.

    ``whole`` says that these rows hold whole numbers only.
    """

    shape: tuple[int, ...]
    kind: str
    low: float
    high: float
    whole: bool = False

    @property
    def prepared(self) -> bool:
        """Whether it holds numbers that cannot be pixels of 0..255: floats as a network gets.

        Small ones with fractions, such as metres or magnitudes, would be rounded to a few levels.
        """
        if self.kind != "f":
            return False
        small = self.high <= 1.0 or (self.high < _DARK and not self.whole)
        return self.low < 0 or self.high > 255 or small


def array_facts(path: Path) -> Facts | None:
    """Look at a ``.npy`` file and at some of its rows; ``None`` where that cannot be done."""
    import numpy as np

    try:
        with open_regular(path):
            array = np.load(str(path), mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or not array.size or array.dtype.kind not in "uif":
            return None
        rows = np.unique(np.linspace(0, len(array) - 1, _ROWS).astype(int))
        some = np.asarray(array[rows], np.float64)
        whole = bool(np.all(some == np.round(some)))
        return Facts(array.shape, array.dtype.kind, float(some.min()), float(some.max()), whole)
    except (OSError, ValueError, EOFError, TypeError):
        return None


def _header(stream: object, version: tuple[int, int]) -> tuple[int, ...]:
    import numpy as np

    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    return tuple(int(side) for side in read(stream)[0])  # type: ignore[arg-type]


def _member(
    arrays: Mapping[str, tuple[int, ...]], rows: Sequence[tuple[int, ...]], name: str
) -> bool:
    """Tell whether a build finds in a file the array of an input, and with its shape."""
    fitting = [one for one, shape in arrays.items() if shape[1:] in rows]
    return member_for(list(arrays), fitting, name) in fitting


def arrays_for(
    inputs: Mapping[str, Sequence[int]], files: Iterable[Path]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return calibration and validation arrays by input, best by name where several fit."""
    shapes = {path: found for path in files if (found := array_shapes(path))}
    calibration: dict[str, Path] = {}
    held_out: dict[str, Path] = {}
    for name, wanted in inputs.items():
        rows = rows_of(wanted)
        # Tokens (L, C) are rows of height 1 on the chip; arrays come either way.
        both = (rows, (1, *rows)) if len(wanted) == 3 else (rows,)
        fits = [path for path, found in shapes.items() if _member(found, both, name)]
        trained = [p for p in fits if not any(word in p.stem.lower() for word in HELD_OUT)]
        named = [path for path in trained if name.lower() in path.stem.lower()]
        taken = set(calibration.values())
        free = [path for path in (*named, *trained) if path not in taken]
        if free:
            calibration[name] = free[0]
            parts = [p for p in fits if any(word in p.stem.lower() for word in HELD_OUT[:3])]
            parts = [path for path in parts if path not in held_out.values()]
            if parts:
                held_out[name] = next(
                    (path for path in parts if name.lower() in path.stem.lower()), parts[0]
                )
    if len(held_out) < len(calibration):
        held_out = {}
    return calibration, held_out
