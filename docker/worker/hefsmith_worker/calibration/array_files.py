"""Folders and lists of arrays, one file for each sample: spectrograms and signals by class.

A file has one sample: as the compiler takes it (H, W, C), as frameworks keep it (C, H, W), and
with or without axes of length 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Sequence, Tuple

from hefsmith_worker.calibration.arrays import check_shape, check_values
from hefsmith_worker.calibration.data import RANGE_ROWS
from hefsmith_worker.calibration.items import Item, Listing, read_array
from hefsmith_worker.calibration.model import CalibrationError, InputSpec
from hefsmith_worker.pictures import PictureError

if TYPE_CHECKING:
    import numpy as np


def list_arrays(items: Sequence[Item], spec: InputSpec, where: str) -> Listing:
    """Return files of arrays as samples; some of them are looked at.

    Raises :class:`CalibrationError` for shapes, types and values that do not fit the input.
    """
    import numpy as np

    step = max(1, len(items) // RANGE_ROWS)
    rows: List[Any] = []
    for item in items[::step][:RANGE_ROWS]:
        try:
            array = read_array(item)
        except PictureError as error:
            msg = f"{item.path}: {error.reason}"
            fix = "Save it with numpy.save as one array of numbers."
            raise CalibrationError(msg, "calib.array", fix, item.path) from None
        row = in_rows(array, spec.preprocess.shape)
        if row.shape != spec.preprocess.shape:
            check_shape((1, *array.shape), spec, item.path)
        rows.append(row)
    if len({row.dtype for row in rows}) == 1:
        notes = check_values(np.stack(rows), spec, where)
    else:
        notes = [note for row in rows for note in check_values(row[None], spec, where)][:1]
    return Listing(list(items), prepared=True, notes=notes)


def in_rows(array: np.ndarray[Any, Any], wanted: Tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return one sample in the form that the compiler takes; what does not fit stays as it is."""
    if array.shape == wanted:
        return array
    whole = array[0] if array.ndim == len(wanted) + 1 and array.shape[0] == 1 else array
    if whole.ndim == 3 and len(wanted) == 3 and whole.shape != wanted:
        turned = whole.transpose(1, 2, 0)
        if turned.shape == wanted:
            return turned
    if _long_sides(array.shape) == _long_sides(wanted):
        return array.reshape(wanted)
    if len(wanted) == 3 and _long_sides(array.shape) == _long_sides((wanted[2], *wanted[:2])):
        return array.reshape((wanted[2], *wanted[:2])).transpose(1, 2, 0)
    return array


def _long_sides(shape: Sequence[int]) -> List[int]:
    return [side for side in shape if side != 1]
