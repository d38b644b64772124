"""The golden folder of a build: the same samples at every step.

The worker writes it (``hefsmith_worker.golden`` states the layout). Steps that came later, such
as the device's answers, are named in a file of their own: what the manifest vouches for stays
as it was built. Arrays are memory-mapped: a folder may be larger than memory.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from hefsmith_worker.contract import names
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.layout import ADDED_IN_GOLDEN, INDEX_IN_GOLDEN, MASKS_IN_GOLDEN

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.files import write_atomic
from orchestrator.reading import read_json
from orchestrator.report.model import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SCHEMA = 1
_LARGEST_LABEL = 0x7FFF_FFFF
_LARGEST_SIDE = 1e6
OutputKind = Literal["tensor", "nms"]


class GoldenError(ArtifactError):
    """A golden folder is missing, damaged, or not of a form that we read."""

    default_code = "golden"


@dataclass(frozen=True)
class Sample:
    """One picture. ``label`` is a class number; ``boxes`` are rows of
    y_min, x_min, y_max, x_max (0..1), class; ``mask`` is the row of its mask. ``None`` when the
    set has none.
    """

    name: str
    sha256: str
    label: int | None
    boxes: tuple[tuple[float, ...], ...] | None
    mask: int | None = None


@dataclass(frozen=True)
class Input:
    """One input of the network: ``name`` in the HEF, ``file`` below the folder (NHWC)."""

    name: str
    onnx_name: str
    file: str
    preprocess: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """One output; ``stream`` is its name in the HEF where that is known."""

    index: int
    onnx_name: str | None
    stream: str | None
    kind: OutputKind

    @property
    def title(self) -> str:
        """A name to show."""
        return self.stream or self.onnx_name or f"output {self.index}"


@dataclass(frozen=True)
class Detections:
    """Boxes of all samples: ``boxes`` (total, 6) float32 rows of y_min, x_min, y_max, x_max
    (0..1), score, class; ``offsets`` (N + 1) int64 says which rows belong to which sample.
    """

    boxes: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sample(self, index: int) -> NDArray[np.float32]:
        """Return the rows of one sample."""
        return self.boxes[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def with_area(self) -> Detections:
        """Return the boxes that have one: others show nothing, and do not overlap themselves.

        Distances that an untrained network gives may be negative, or lie outside of the picture.
        """
        import numpy as np

        kept = np.all(self.boxes[:, 2:4] > self.boxes[:, :2], axis=1)
        if bool(kept.all()):
            return self
        before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return Detections(self.boxes[kept], before[self.offsets])


@dataclass(frozen=True)
class Golden:
    """An opened golden folder."""

    folder: Path
    task: str
    origin: str
    samples: tuple[Sample, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    steps: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def order(self) -> tuple[str, ...]:
        """The steps that are there, in the order of the pipeline."""
        return tuple(step for step in STEPS if step in self.steps)

    def load(self, step: str, index: int) -> NDArray[np.float32] | Detections:
        """Return output ``index`` of ``step``.

        Raises :class:`GoldenError` when the file is missing, damaged or of another length.
        """
        import numpy as np

        output = self.outputs[index]
        files = self.steps[step]
        if index >= len(files):
            msg = f"step {step} has {len(files)} of {len(self.outputs)} outputs"
            raise GoldenError(msg, hint="Build the model again, then run hef validate.")
        path = _below(self.folder, files[index])
        with _readable(path):
            if output.kind == "nms":
                with np.load(path, allow_pickle=False) as archive:
                    found = Detections(archive["boxes"], archive["offsets"])
                _check_detections(found, len(self), path)
                return found
            array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim == 0 or len(array) != len(self):
            found_n = len(array) if array.ndim else 0
            msg = f"{path} holds {counted(found_n, 'sample')}, golden.json names {len(self)}"
            raise GoldenError(msg, hint="Build the model again.")
        return array

    def load_masks(self) -> list[NDArray[np.uint8] | None]:
        """Return the class of each pixel (H, W) of each sample, 255 where nobody says."""
        import numpy as np

        if all(sample.mask is None for sample in self.samples):
            return [None] * len(self)
        path = _below(self.folder, MASKS_IN_GOLDEN)
        with _readable(path):
            array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
            if array.ndim != 3 or array.dtype != np.uint8:
                msg = f"an array of {array.dtype} {array.shape}"
                raise ValueError(msg)
            return [None if one.mask is None else array[one.mask] for one in self.samples]

    def load_input(self, index: int) -> NDArray[Any]:
        """Return input ``index`` as the device gets it: (N, H, W, C) uint8 or float32."""
        import numpy as np

        path = _below(self.folder, self.inputs[index].file)
        with _readable(path):
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of a file of the folder that it cannot be read, whatever its reader raises of that."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        msg = f"{path} cannot be read: {escape_control(str(error))}"
        raise GoldenError(msg, hint="Build the model again.") from None


def load_golden(folder: Path) -> Golden:
    """Open a golden folder. Raises :class:`GoldenError`."""
    path = folder / INDEX_IN_GOLDEN
    with _readable(path):
        try:
            document = read_json(path)
        except FileNotFoundError:
            msg = f"{path} is missing: the build has no golden samples"
            raise GoldenError(msg, hint="Build the model again: hef build MODEL") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        msg = f"{path} has a schema that this version does not read"
        raise GoldenError(msg, hint="Build the model again with this version of hef.")
    try:
        golden = Golden(
            folder=folder,
            task=str(document.get("task") or "other"),
            origin=str(document.get("origin") or "validation"),
            samples=tuple(_sample(entry) for entry in document["samples"]),
            inputs=tuple(_input(entry) for entry in document["inputs"]),
            outputs=tuple(_output(entry) for entry in document["outputs"]),
            steps={
                str(step): tuple(str(name) for name in files)
                for step, files in {**document["steps"], **_added(folder)}.items()
                if files
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        msg = f"{path} is not of the form that the worker writes: {escape_control(repr(error))}"
        raise GoldenError(msg, hint="Build the model again.") from None
    if [output.index for output in golden.outputs] != list(range(len(golden.outputs))):
        msg = f"{path} does not number its outputs in order"
        raise GoldenError(msg, hint="Build the model again.")
    if not golden.samples or not golden.outputs:
        msg = f"{path} names no {'outputs' if golden.samples else 'samples'}"
        raise GoldenError(msg, hint="Build the model again.")
    return golden


def add_step(folder: Path, step: str, files: tuple[str, ...]) -> Golden:
    """Record the outputs of one more step and return the folder, opened again."""
    return _store(folder, {**_added(folder), step: list(files)})


def remove_step(folder: Path, step: str) -> Golden:
    """Take a step out and return the folder, opened again."""
    return _store(folder, {**_added(folder), step: []})


def _added(folder: Path) -> dict[str, object]:
    try:
        document = read_json(folder / ADDED_IN_GOLDEN)
    except FileNotFoundError:
        return {}
    return dict(document["steps"])


def _store(folder: Path, steps: Mapping[str, Any]) -> Golden:
    document = {"schema": SCHEMA, "steps": steps}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    write_atomic(folder / ADDED_IN_GOLDEN, text)
    return load_golden(folder)


def _below(folder: Path, name: str) -> Path:
    try:
        return names.below(folder, name)
    except names.NameRefused as error:
        msg = f"{folder / INDEX_IN_GOLDEN} names a file outside its folder: {error}"
        raise GoldenError(msg) from error


def _sample(entry: Mapping[str, Any]) -> Sample:
    label, boxes = entry.get("label"), entry.get("boxes")
    rows = None if boxes is None else tuple(tuple(map(float, row)) for row in boxes)
    if rows is not None and not all(len(row) == 5 and all(map(_sane, row[:4])) for row in rows):
        msg = "a sample's boxes are not rows of five numbers"
        raise ValueError(msg)
    if rows is not None and not all(0 <= row[4] <= _LARGEST_LABEL for row in rows):
        msg = "a sample's boxes have a class that is not a class number"
        raise ValueError(msg)
    number = None if label is None else int(label)
    if number is not None and not 0 <= number <= _LARGEST_LABEL:
        msg = f"a sample has the label {number}"
        raise ValueError(msg)
    return Sample(
        name=str(entry["name"]),
        sha256=str(entry.get("sha256") or ""),
        label=number,
        boxes=rows,
        mask=None if entry.get("mask") is None else int(entry["mask"]),
    )


def _sane(side: float) -> bool:
    """Tell whether a number may be a side of a box, as a part of its picture."""
    return isfinite(side) and abs(side) <= _LARGEST_SIDE


def _input(entry: Mapping[str, Any]) -> Input:
    return Input(
        name=str(entry["name"]),
        onnx_name=str(entry["onnx_name"]),
        file=str(entry["file"]),
        preprocess=dict(entry.get("preprocess") or {}),
    )


def _output(entry: Mapping[str, Any]) -> Output:
    kind = entry["kind"]
    if kind not in ("tensor", "nms"):
        msg = f"output kind {kind!r}"
        raise ValueError(msg)
    onnx_name, stream = entry.get("onnx_name"), entry.get("stream")
    return Output(
        index=int(entry["index"]),
        onnx_name=None if onnx_name is None else str(onnx_name),
        stream=None if stream is None else str(stream),
        kind="nms" if kind == "nms" else "tensor",
    )


def _check_detections(found: Detections, samples: int, path: Path) -> None:
    import numpy as np

    offsets = found.offsets
    sound = (
        found.boxes.ndim == 2
        and found.boxes.shape[1] == 6
        and offsets.shape == (samples + 1,)
        and int(offsets[0]) == 0
        and int(offsets[-1]) == len(found.boxes)
        and bool(np.all(np.diff(offsets) >= 0))
    )
    if not sound:
        msg = f"{path} is not a list of boxes for {samples} samples"
        raise GoldenError(msg, hint="Build the model again.")
