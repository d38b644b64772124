"""Calibration and inference data in the forms that ``ClientRunner`` takes, read frame by frame.

Arrays are never converted as a whole: a memory-mapped file stays on disk and one frame at a
time becomes float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hailo_model_optimization.acceleras.utils.acceleras_exceptions import (
    AccelerasInitializationError,
    BadInputsShape,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Frame = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Dataset:
    """Frames for the inputs ``shapes`` (name to shape without batch).

    ``count`` is how many there are (for a callable: how many were asked for), ``raw`` whether
    all of it is uint8, ``frames`` starts a new pass over at most ``limit`` frames.
    """

    count: int
    raw: bool
    _open: Callable[[], Iterator[Frame]]

    def frames(self, limit: int | None = None) -> Iterator[Frame]:
        """Iterate over the frames from the first."""
        return itertools.islice(self._open(), limit)


def open_dataset(data: Any, shapes: Mapping[str, tuple[int, ...]]) -> Dataset:
    """Read calibration or inference data.

    Accepted: an array (N, H, W, C) for a network of one input; a dict of arrays by layer name;
    the path of a ``.npy`` file or of a folder of them; a ``tf.data.Dataset`` (what has an
    ``element_spec``), or a callable that returns one or another iterable of frames (an array,
    a dict, or a tuple whose first element is one of these).
    Raises ``BadInputsShape`` for another shape, ``KeyError`` for a dict without the layer's
    name, ``AccelerasInitializationError`` for what cannot be read at all.
    """
    if isinstance(data, (str, Path)):
        return _open_path(Path(data), shapes)
    if callable(data) and not isinstance(data, np.ndarray):
        return _open_callable(data, shapes)
    if hasattr(data, "element_spec"):
        return _open_callable(lambda: data, shapes)
    if isinstance(data, Mapping):
        return _open_arrays({str(k): _as_array(v) for k, v in data.items()}, shapes)
    array = _as_array(data)
    if len(shapes) != 1:
        msg = (
            "The network has the inputs " + ", ".join(shapes) + "; give a dict of arrays by layer "
            "name"
        )
        raise AccelerasInitializationError(msg)
    return _open_arrays({next(iter(shapes)): array}, shapes)


def _as_array(data: Any) -> NDArray[Any]:
    array = data if isinstance(data, np.ndarray) else np.asarray(data)
    if array.dtype.kind not in "uifb":
        msg = f"Data of type {array.dtype} cannot be used; give numbers"
        raise AccelerasInitializationError(msg)
    return array


def _open_arrays(
    arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> Dataset:
    for name, shape in shapes.items():
        if name not in arrays:
            raise KeyError(name)
        if arrays[name].shape[1:] != shape:
            raise BadInputsShape(name, shape, arrays[name].shape[1:])
    strange = sorted(set(arrays) - set(shapes))
    if strange:
        msg = f"The network has no inputs {strange}; it has {sorted(shapes)}"
        raise AccelerasInitializationError(msg)
    counts = {arrays[name].shape[0] for name in shapes}
    if len(counts) != 1:
        msg = f"The inputs have different numbers of samples: {sorted(counts)}"
        raise AccelerasInitializationError(msg)
    count = counts.pop()
    if count == 0:
        msg = "The dataset is empty"
        raise AccelerasInitializationError(msg)

    def read() -> Iterator[Frame]:
        for index in range(count):
            yield {name: arrays[name][index] for name in shapes}

    return Dataset(count, all(arrays[n].dtype == np.uint8 for n in shapes), read)


def _open_path(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Dataset:
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
        if not files:
            msg = f"{path} holds no .npy files"
            raise AccelerasInitializationError(msg)

        def read() -> Iterator[Frame]:
            for file in files:
                yield _frame(np.load(file), shapes)

        return Dataset(len(files), np.load(files[0], mmap_mode="r").dtype == np.uint8, read)
    if not path.is_file():
        msg = f"There is no calibration set at {path}"
        raise FileNotFoundError(msg)
    try:
        array = np.load(path, mmap_mode="r")
    except ValueError as error:
        msg = f"{path} is not a .npy array: {error}"
        raise AccelerasInitializationError(msg) from error
    return open_dataset(array, shapes)


def _open_callable(
    source: Callable[[], Iterable[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> Dataset:
    first = next(iter(source()), None)
    if first is None:
        msg = "The dataset is empty"
        raise AccelerasInitializationError(msg)
    frame = _frame(first, shapes)

    def read() -> Iterator[Frame]:
        for item in source():
            yield _frame(item, shapes)

    count = sum(1 for _ in source())
    return Dataset(count, all(v.dtype == np.uint8 for v in frame.values()), read)


def _frame(item: Any, shapes: Mapping[str, tuple[int, ...]]) -> Frame:
    if isinstance(item, tuple):
        item = item[0]
    if not isinstance(item, Mapping):
        if len(shapes) != 1:
            msg = "A network of several inputs needs frames that are dicts by layer name"
            raise AccelerasInitializationError(msg)
        item = {next(iter(shapes)): item}
    frame: Frame = {}
    for name, shape in shapes.items():
        if name not in item:
            raise KeyError(name)
        value = _as_array(item[name])
        if value.shape != shape:
            raise BadInputsShape(name, shape, value.shape)
        frame[name] = value
    return frame
