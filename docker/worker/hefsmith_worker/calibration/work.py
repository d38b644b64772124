"""The part that runs in worker processes: read, prepare, measure, write one row.

Everything here is picklable and safe to start with ``spawn`` (the SDK starts threads, so a
fork is not). A process writes its rows straight into the shared files at their offsets and
sends back a few hundred bytes per picture, never pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration.choice import chance_for
from hefsmith_worker.calibration.fingerprints import thumbnail
from hefsmith_worker.calibration.items import Item, read_bytes, read_row
from hefsmith_worker.calibration.model import InputSpec
from hefsmith_worker.pictures import PictureError, normalise
from hefsmith_worker.pictures.decode import open_picture
from hefsmith_worker.pictures.geometry import Placement
from hefsmith_worker.pictures.prepare import prepare_opened

if TYPE_CHECKING:
    import numpy as np

#: Length of the ``.npy`` header that :func:`npy_header` makes, whatever the shape.
HEADER_BYTES = 128


@dataclass(frozen=True)
class Setup:
    """What all tasks of a run share. ``files`` are the outputs, one per input; empty: none."""

    inputs: Tuple[InputSpec, ...]
    prepared: Tuple[bool, ...]
    seed: int
    files: Tuple[str, ...] = ()


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
class Outcome:
    """What became of a task. ``problem`` is empty when the row was written.

    ``digests`` are the sha256 of the stored pictures and ``rows`` of the prepared rows, one per
    input; ``length`` is the stored size of the first in bytes; ``print_`` its perceptual hash;
    ``histograms`` are 256 counts per channel for each input (uint32, little-endian).
    """

    slot: int
    problem: str = ""
    digests: Tuple[str, ...] = ()
    length: int = 0
    rows: Tuple[bytes, ...] = ()
    print_: bytes = b""
    histograms: Tuple[bytes, ...] = ()
    traits: Tuple[Traits, ...] = ()


def row_type(spec: InputSpec) -> str:
    """Return the numpy type of an input's array."""
    return "float32" if spec.preprocess.normalize == "host" else "uint8"


def row_bytes(spec: InputSpec) -> int:
    """Return the length of one row in bytes."""
    height, width, channels = spec.preprocess.shape
    return height * width * channels * (4 if row_type(spec) == "float32" else 1)


def npy_header(spec: InputSpec, count: int) -> bytes:
    """Return a version 1.0 header of fixed length, so that the count can be set at the end."""
    shape = (count, *spec.preprocess.shape)
    descr = "<f4" if row_type(spec) == "float32" else "|u1"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.encode("latin1").ljust(HEADER_BYTES - 11) + b"\n"
    return b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little") + body


_setup: Optional[Setup] = None


def begin(setup: Setup) -> None:
    """Initialise a worker process."""
    global _setup
    _setup = setup


def run_tasks(tasks: Sequence[Task]) -> List[Outcome]:
    """Run tasks in a process that :func:`begin` has initialised."""
    assert _setup is not None
    return [run_task(_setup, task) for task in tasks]


def run_task(setup: Setup, task: Task) -> Outcome:
    """Prepare one sample; a picture that cannot be used is told in the outcome, not raised."""
    digests: List[str] = []
    lengths: List[int] = []
    arrays: List[np.ndarray[Any, Any]] = []
    traits: List[Traits] = []
    regions: List[Optional[Placement]] = []
    last: Tuple[Optional[Item], bytes] = (None, b"")
    for spec, prepared, item in zip(setup.inputs, setup.prepared, task.sample):
        try:
            if prepared:
                array, data = row_of(item, spec)
                traits.append(Traits())
                regions.append(None)
            else:
                data = last[1] if item == last[0] else read_bytes(item)
                last = (item, data)
                array, placement, trait = picture_of(data, spec, setup.seed, item)
                traits.append(trait)
                regions.append(placement)
        except PictureError as error:
            return Outcome(task.slot, problem=f"{item.name}: {error.reason}")
        except MemoryError:
            return Outcome(task.slot, problem=f"{item.name}: not enough memory to decode it")
        digests.append(hashlib.sha256(data).hexdigest())
        lengths.append(len(data))
        arrays.append(array)
    rows, histograms, print_ = [], [], b""
    for index, (spec, array) in enumerate(zip(setup.inputs, arrays)):
        histogram, found = measure(array, spec, regions[index])
        histograms.append(histogram)
        print_ = print_ or found
        raw = array.tobytes()
        rows.append(hashlib.sha256(raw).digest())
        if setup.files and task.slot >= 0:
            with open(setup.files[index], "r+b", buffering=0) as file:
                file.seek(HEADER_BYTES + task.slot * len(raw))
                _write_all(file, raw)
    return Outcome(
        task.slot,
        "",
        tuple(digests),
        lengths[0],
        tuple(rows),
        print_,
        tuple(histograms),
        tuple(traits),
    )


def picture_of(
    data: bytes, spec: InputSpec, seed: int, item: Item
) -> Tuple[np.ndarray[Any, Any], Placement, Traits]:
    """Prepare an encoded picture for one input; float32 when the host normalises."""
    picture = open_picture(data)
    chance = chance_for(seed, item.name)
    array, placement = prepare_opened(picture, spec.preprocess, chance)
    top, left, bottom, right = placement.covered
    trait = Traits(
        size=picture.size,
        alpha=picture.kind in ("RGBA", "LA", "PA", "RGBa", "La"),
        deep=picture.kind == "I" or picture.kind.startswith("I;16"),
        frames=picture.frames,
        padded=array.shape[0] * array.shape[1] - (bottom - top) * (right - left),
    )
    if spec.preprocess.normalize == "host":
        array = normalise(array, spec.preprocess)
    return array, placement, trait


def row_of(item: Item, spec: InputSpec) -> Tuple[np.ndarray[Any, Any], bytes]:
    """Return a stored row in the type that is fed, and its bytes as stored."""
    import numpy as np

    row = np.ascontiguousarray(read_row(item))
    raw = row.tobytes()
    row = row.reshape(spec.preprocess.shape)
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


def measure(
    array: np.ndarray[Any, Any], spec: InputSpec, placement: Optional[Placement]
) -> Tuple[bytes, bytes]:
    """Return the histogram of every channel and the perceptual hash of the covered part."""
    import numpy as np
    from PIL import Image

    pixels = as_pixels(array, spec)
    if spec.preprocess.channels == 1:
        pixels = pixels[:, :, 0]
    image = Image.fromarray(pixels)
    histogram = np.asarray(image.histogram(), dtype="<u4").tobytes()
    if placement is not None:
        top, left, bottom, right = placement.covered
        if (left, top, right, bottom) != (0, 0, *image.size):
            image = image.crop((left, top, right, bottom))
    return histogram, thumbnail(image)


def _write_all(file: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
