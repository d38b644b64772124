"""The part that runs in worker processes: read, prepare, measure, write one row.

Everything here is picklable and safe to start with ``spawn`` (the SDK starts threads, so a
fork is not). A process writes its rows straight into the shared files at their offsets and
sends back a few hundred bytes per picture, never pixels.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from hefsmith_worker.calibration import data as plain_data
from hefsmith_worker.calibration.array_files import in_rows
from hefsmith_worker.calibration.choice import chance_for
from hefsmith_worker.calibration.fingerprints import SIDE, thumbnail
from hefsmith_worker.calibration.items import Item, read_array, read_bytes, read_row
from hefsmith_worker.calibration.model import InputSpec
from hefsmith_worker.pictures import PictureError, normalise
from hefsmith_worker.pictures.decode import open_picture
from hefsmith_worker.pictures.prepare import glance, prepare_opened

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from hefsmith_worker.pictures.geometry import Placement

#: Length of the ``.npy`` header that :func:`npy_header` makes, whatever the shape.
HEADER_BYTES = 128

#: Pixels of the shorter side that a thumbnail is made from, when that is all that is wanted.
THUMBNAIL_SOURCE = 4 * SIDE


@dataclass(frozen=True)
class Setup:
    """What all tasks of a run share. ``files`` are the outputs, one per input; empty: none.

    ``ranges`` are what the histograms of the inputs span; empty: that of pixels. ``glance``
    makes no rows: the outcomes have digests and perceptual hashes only, and soon.
    """

    inputs: Tuple[InputSpec, ...]
    prepared: Tuple[bool, ...]
    seed: int
    files: Tuple[str, ...] = ()
    ranges: Tuple[plain_data.Range, ...] = ()
    glance: bool = False

    def range_of(self, index: int) -> plain_data.Range:
        """Return what the histogram of an input spans."""
        return self.ranges[index] if self.ranges else plain_data.PIXELS


@dataclass(frozen=True)
class Task:
    """Prepare one sample (an item per input) and write it as row ``slot``; -1 only looks."""

    slot: int
    sample: Tuple[Item, ...]


@dataclass(frozen=True)
class Traits:
    """What was odd about the stored picture of one input."""

    size: Tuple[int, int] = (0, 0)
    alpha: bool = False
    deep: bool = False
    frames: int = 1
    padded: int = 0


@dataclass(frozen=True)
class TaskResult:
    """What became of a task. ``problem`` is empty when the row was written.

    ``digests`` are those of the stored pictures, one per input (:func:`digest_of`); ``length``
    is the stored size of the first in bytes; ``print_`` its perceptual hash (empty for data that
    are no picture); ``histograms`` are 256 counts per channel for each
    input, padding left out (uint32, little-endian).
    """

    slot: int
    problem: str = ""
    digests: Tuple[str, ...] = ()
    length: int = 0
    print_: bytes = b""
    histograms: Tuple[bytes, ...] = ()
    traits: Tuple[Traits, ...] = ()


def row_type(spec: InputSpec) -> str:
    """Return the numpy type of an input's array."""
    return "float32" if spec.preprocess.normalize == "host" else "uint8"


def row_bytes(spec: InputSpec) -> int:
    """Return the length of one row in bytes."""
    return (4 if row_type(spec) == "float32" else 1) * math.prod(spec.preprocess.shape)


def npy_header(spec: InputSpec, count: int) -> bytes:
    """Return a version 1.0 header of fixed length, so that the count can be set at the end."""
    shape = (count, *spec.preprocess.shape)
    descr = "<f4" if row_type(spec) == "float32" else "|u1"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.encode("latin1").ljust(HEADER_BYTES - 11) + b"\n"
    return b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little") + body


def digest_of(data: bytes) -> str:
    """Return the blake2b-256 of a stored picture: twice as quick as sha256 on many machines."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


@dataclass(frozen=True)
class _Row:
    """One input of a sample: what is fed, what was stored, what is measured."""

    array: np.ndarray[Any, Any]
    data: bytes
    print_: bytes
    histogram: bytes
    traits: Traits


def run_task(setup: Setup, task: Task) -> TaskResult:
    """Prepare one sample; a picture that cannot be used is told in the outcome, not raised."""
    if setup.glance:
        return _glance(setup, task)
    rows: List[_Row] = []
    data: Optional[bytes] = None
    for index, (spec, item) in enumerate(zip(setup.inputs, task.sample)):
        try:
            if setup.prepared[index]:
                rows.append(_row_of_array(item, spec, setup.range_of(index)))
                continue
            if data is None or item != task.sample[index - 1]:
                data = read_bytes(item)
            rows.append(_row_of_picture(data, spec, setup.seed, item))
        except PictureError as error:
            return TaskResult(task.slot, problem=f"{item.name}: {error.reason}")
        except MemoryError:
            return TaskResult(task.slot, problem=f"{item.name}: not enough memory to decode it")
    if task.slot >= 0:
        for file, row in zip(setup.files, rows):
            _write_row(file, task.slot, row.array)
    return TaskResult(
        task.slot,
        "",
        tuple(digest_of(row.data) for row in rows),
        len(rows[0].data),
        rows[0].print_,
        tuple(row.histogram for row in rows),
        tuple(row.traits for row in rows),
    )


def _glance(setup: Setup, task: Task) -> TaskResult:
    """Look at the first input of a sample for what tells it from others."""
    spec, item = setup.inputs[0], task.sample[0]
    try:
        if setup.prepared[0]:
            row = _row_of_array(item, spec, setup.range_of(0))
            return TaskResult(task.slot, "", (digest_of(row.data),), len(row.data), row.print_)
        data = read_bytes(item)
        small = glance(open_picture(data), spec.preprocess, THUMBNAIL_SOURCE)
        return TaskResult(task.slot, "", (digest_of(data),), len(data), thumbnail(small))
    except PictureError as error:
        return TaskResult(task.slot, problem=f"{item.name}: {error.reason}")
    except MemoryError:
        return TaskResult(task.slot, problem=f"{item.name}: not enough memory to decode it")


def _row_of_picture(data: bytes, spec: InputSpec, seed: int, item: Item) -> _Row:
    picture = open_picture(data)
    prepared = prepare_opened(picture, spec.preprocess, chance_for(seed, item.name))
    traits = Traits(
        size=picture.size,
        alpha=picture.kind in ("RGBA", "LA", "PA", "RGBa", "La")
        or "transparency" in picture.handle.info,
        deep=picture.kind == "I" or picture.kind.startswith("I;16"),
        frames=picture.frames if picture.handle.format != "MPO" else 1,
        padded=prepared.padded,
    )
    array = prepared.array
    if spec.preprocess.normalize == "host":
        array = normalise(array, spec.preprocess)
    seen = prepared.seen
    return _Row(array, data, thumbnail(seen), _histogram(seen, spec), traits)


def _row_of_array(item: Item, spec: InputSpec, span: plain_data.Range) -> _Row:
    from PIL import Image

    array, data = row_of(item, spec)
    if plain_data.is_data(spec):
        steps = plain_data.as_steps(array, span)
        return _Row(array, data, b"", plain_data.histogram(steps), Traits())
    pixels = as_pixels(array, spec)
    if spec.preprocess.channels == 1:
        pixels = pixels[:, :, 0]
    elif spec.preprocess.color == "bgr":
        pixels = pixels[:, :, ::-1].copy()
    seen = Image.fromarray(pixels)
    return _Row(array, data, thumbnail(seen), _histogram(seen, spec), Traits())


def _histogram(seen: Image.Image, spec: InputSpec) -> bytes:
    import numpy as np

    counts = np.asarray(seen.histogram(), dtype="<u4").reshape(-1, 256)
    return (counts[::-1] if spec.preprocess.color == "bgr" else counts).tobytes()


def _write_row(path: str, slot: int, array: np.ndarray[Any, Any]) -> None:
    view = np_bytes(array)
    with open(path, "r+b", buffering=0) as file:
        file.seek(HEADER_BYTES + slot * len(view))
        while view:
            view = view[file.write(view) :]


def np_bytes(array: np.ndarray[Any, Any]) -> memoryview:
    """Return an array's memory without a copy, where it is contiguous."""
    import numpy as np

    return np.ascontiguousarray(array).data.cast("B")


def prepare_item(
    data: bytes, spec: InputSpec, seed: int, item: Item
) -> Tuple[np.ndarray[Any, Any], Placement]:
    """Prepare an encoded picture for one input, as uint8 whoever normalises."""
    prepared = prepare_opened(open_picture(data), spec.preprocess, chance_for(seed, item.name))
    return prepared.array, prepared.placement


def row_of(item: Item, spec: InputSpec) -> Tuple[np.ndarray[Any, Any], bytes]:
    """Return a stored row in the type that is fed, and its bytes as stored."""
    import numpy as np

    wanted = spec.preprocess.shape
    row = read_row(item) if item.row is not None else in_rows(read_array(item), wanted)
    row = np.ascontiguousarray(row)
    raw = row.tobytes()
    if row.size != math.prod(wanted):
        msg = f"an array of shape {row.shape}, and the input takes {wanted}"
        raise PictureError(msg)
    row = row.reshape(wanted)
    if spec.preprocess.normalize == "host":
        if row.dtype.kind == "f":
            return row.astype(np.float32), raw
        return normalise(row, spec.preprocess), raw
    if row.dtype == np.uint8:
        return row, raw
    low, high = float(row.min()), float(row.max())
    if not (low >= 0 and high <= 255):
        msg = f"values {low:.4g}..{high:.4g} are not pixels of 0..255"
        raise PictureError(msg)
    whole: np.ndarray[Any, Any] = np.rint(row).astype(np.uint8)
    return whole, raw


def as_pixels(array: np.ndarray[Any, Any], spec: InputSpec) -> np.ndarray[Any, Any]:
    """Return a row in 0..255 uint8: itself, or with the host's normalisation taken back."""
    import numpy as np

    if array.dtype == np.uint8:
        return array
    mean, std = spec.preprocess.offset_and_scale
    pixels = array * np.asarray(std, np.float32) + np.asarray(mean, np.float32)
    whole: np.ndarray[Any, Any] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return whole
