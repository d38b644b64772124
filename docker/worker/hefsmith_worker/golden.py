"""Golden samples: the same pictures at every step, from torch to the device.

Files below ``golden/``: ``inputs/<i>.npy`` as the device gets them (NHWC, uint8, or float32
when the host normalises), ``steps/<step>/<i>.npy`` float32 with N first, NHWC or NC;
detections as ``.npz`` with ``boxes`` (total, 6) = y_min, x_min, y_max, x_max, score, class
and ``offsets`` (N + 1). ``masks.npy`` has the class of each pixel, uint8 (M, H, W), for the
samples that have a mask. ``golden.json`` names them all.
"""

from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

import numpy as np

from hefsmith_worker import onnx_files
from hefsmith_worker.calibration import (
    CalibrationError,
    ImageProgress,
    InputSpec,
    Source,
    load_samples,
    read_sources,
)
from hefsmith_worker.calibration.sources import source_for
from hefsmith_worker.contract.findings import TOKENS_FIX, VIDEO_FIX, WARNING, Finding
from hefsmith_worker.contract.layout import GOLDEN, GOLDEN_DRAFT, MASKS_IN_GOLDEN
from hefsmith_worker.pictures import Preprocess, PreprocessError, normalise
from hefsmith_worker.protocol import StageError
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import Draft, NetworkFacts


def input_specs(
    preprocessing: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]
) -> List[InputSpec]:
    """Return the preprocessing of each network input (name; shape NCHW, or NC for features).

    ``preprocessing`` is ``{"shared": {...}}`` or ``{"by_input": {name: {...}}}``. What the
    recipe leaves out follows from the shape: its size, grey for one channel, and data (arrays
    only) for what no picture can have: two channels, more than three, or no height. Tokens
    (1, L, C) are taken as the build has them, (1, C, 1, L): the export refuses what else has
    three dimensions.
    """
    specs = []
    for entry in inputs:
        shape = entry["shape"]
        name = entry["name"]
        given = dict(
            preprocessing.get("by_input", {}).get(name) or preprocessing.get("shared") or {}
        )
        if len(shape) == 3:
            shape = [shape[0], shape[2], 1, shape[1]]
            given.setdefault("color", "data")
        if len(shape) not in (2, 4):
            raise StageError(
                "input %s has shape %s; a network takes (1, C, H, W), or (1, F) features"
                % (name, shape),
                code="preprocess.shape",
                fix=VIDEO_FIX if len(shape) > 4 else TOKENS_FIX,
            )
        size = [int(shape[2]), int(shape[3])] if len(shape) == 4 else [1, 1]
        if given.get("size") is None:
            given["size"] = size
        if shape[1] == 1 and len(shape) == 4:
            given.setdefault("color", "gray")
        elif shape[1] != 3 or len(shape) == 2:
            given.setdefault("color", "data")
        if given.get("color") == "data":
            given.update(
                resize="none", data_shape=[*shape[2:], shape[1]] if len(shape) == 4 else shape[1:]
            )
        try:
            spec = Preprocess.from_dict(given)
        except PreprocessError as error:
            raise StageError("preprocessing of input %s: %s" % (name, error), code="preprocess")
        if [spec.height, spec.width] != size or spec.channels != shape[1]:
            raise StageError(
                "preprocessing of input %s gives %d channels of %d x %d, the network takes %d of "
                "%d x %d" % (name, spec.channels, spec.height, spec.width, shape[1], *size),
                code="preprocess.shape",
                fix="Correct preprocessing.size or preprocessing.color in the recipe (data for "
                "what is not a picture).",
            )
        specs.append(InputSpec(name, spec))
    return specs


def divided_by_default(
    preprocessing: Mapping[str, Any], specs: Sequence[InputSpec], sources: Mapping[str, Source]
) -> Iterator[Finding]:
    """Yield that whole numbers which are no pictures are divided by 255, as nobody has said.

    Floats are taken as they are, so the same values in another type would mean another thing.
    """
    for spec in specs:
        given = (
            preprocessing.get("by_input", {}).get(spec.name) or preprocessing.get("shared") or {}
        )
        preprocess = spec.preprocess
        if preprocess.color != "data" or preprocess.normalize != "host":
            continue
        if given.get("std") is not None or given.get("preset") is not None:
            continue
        kind = _kind_of_array(source_for(sources, spec.name).path, spec.name)
        if kind is None or kind.kind not in "ui":
            continue
        std = preprocess.std[0]
        yield Finding(
            "preprocess.divided",
            WARNING,
            "input %s: the array holds whole numbers (%s), which are divided by %g since the "
            "recipe names no std" % (spec.name, kind, std),
            "Say what the network was trained on: preprocessing.std: [%g] for this, [1] for the "
            "numbers as they are." % std,
        )


def _kind_of_array(path: str, name: str) -> Optional[np.dtype]:
    """Return the type of a stored array; ``None`` for what is none, or cannot be opened here."""
    if not path.endswith((".npy", ".npz")):
        return None
    try:
        opened: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(opened, np.ndarray):
            with opened as archive:
                names = archive.files
                opened = archive[name if name in names else names[0]]
    except (OSError, ValueError, LookupError, zipfile.BadZipFile):
        return None
    return np.asarray(opened[:0]).dtype


def emit_to(workspace: Workspace) -> Any:
    """Return an ``emit`` for the calibration package that speaks on the event channel."""

    def emit(news: Any) -> None:
        if isinstance(news, ImageProgress):
            workspace.channel.progress(news.done, news.total, news.unit)
        elif isinstance(news, Finding):
            message = as_handed(workspace, news.message)
            workspace.channel.finding(
                news.code, news.severity, message, news.asked, news.got, news.fix
            )

    return emit


def as_handed(workspace: Workspace, text: str) -> str:
    """Return text with inputs by their names (``calibration/x.jpg``): their folder is ours."""
    return text.replace(str(workspace.plan.inputs) + os.sep, "")


def as_stage_error(workspace: Workspace, error: CalibrationError) -> StageError:
    """Return a calibration error as one of the worker's own."""
    where = "%s: " % error.where if error.where and error.where not in error.message else ""
    message = as_handed(workspace, where + error.message)
    return StageError(message, code=error.code, fix=as_handed(workspace, error.fix or ""))


class GoldenWriter:
    """Makes the samples (stage samples) and keeps what torch and ONNX answer."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._wanted = workspace.plan.of("samples")
        self._specs: List[InputSpec] = []
        self._samples: Any = None
        self._graph: Dict[str, List[str]] = {}
        self.origin = "validation"

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self._samples.names)

    def prepare_inputs(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        """Prepare the samples' pictures and store them as the device gets them."""
        preprocessing = self._wanted["preprocessing"]
        self._specs = input_specs(preprocessing, inputs)
        self.origin = self._wanted["origin"]
        sources = read_sources(sources_below(self._workspace, self._wanted["sources"]))
        for finding in divided_by_default(preprocessing, self._specs, sources):
            self._workspace.channel.finding(
                finding.code, finding.severity, finding.message, fix=finding.fix
            )
        try:
            self._samples = load_samples(
                self._specs,
                sources,
                int(self._wanted["count"]),
                int(self._wanted["seed"]),
                tuple(self._wanted.get("labels", ())),
                # Which task it is shows when the network was parsed; until then labels are kept.
                self._wanted.get("task") or "classification",
                emit_to(self._workspace),
            )
        except CalibrationError as error:
            raise as_stage_error(self._workspace, error)
        for index, spec in enumerate(self._specs):
            array = self._samples.arrays[spec.name]
            if spec.preprocess.normalize == "host":
                array = normalise(array, spec.preprocess)
            np.save(str(self._workspace.path("%s/inputs/%d.npy" % (GOLDEN, index))), array)

    def float_samples(self, names: Sequence[str]) -> Iterator[Dict[str, np.ndarray]]:
        """Yield each sample as normalised float32 (1, C, H, W) arrays by input name."""
        specs = {spec.name: spec for spec in self._specs}
        for index in range(self.count):
            yield {
                name: to_nchw(
                    normalise(self._samples.arrays[name][index : index + 1], specs[name].preprocess)
                )
                for name in names
            }

    def run_onnx(self, path: Any) -> List[np.ndarray]:
        """Return the ONNX model's outputs on the samples, one (N, ...) array per output."""
        session = onnx_files.Session(path)
        answers = []
        for done, sample in enumerate(self.float_samples(session.inputs), 1):
            answers.append(session.run(sample))
            self._workspace.channel.progress(done, self.count, "samples")
        return joined(answers)

    def keep_graph_outputs(self, source: str, outputs: Sequence[np.ndarray]) -> None:
        """Store the outputs of the whole graph, in ONNX's layout, for the stage evaluate."""
        files = []
        for index, output in enumerate(outputs):
            name = "graph/%s/%d.npy" % (source, index)
            array = np.ascontiguousarray(np.asarray(output).astype(np.float32))
            np.save(str(self._workspace.path(GOLDEN + "/" + name)), array)
            files.append(name)
        self._graph[source] = files

    def _masks(self) -> List[Optional[int]]:
        """Store the samples' masks; return the row of each in that file."""
        given = [mask for mask in self._samples.masks if mask is not None]
        if not given:
            return [None] * self.count
        np.save(str(self._workspace.path(GOLDEN + "/" + MASKS_IN_GOLDEN)), np.stack(given))
        rows = iter(range(len(given)))
        return [None if mask is None else next(rows) for mask in self._samples.masks]

    def save_draft(self, facts: NetworkFacts) -> None:
        """Write what the later stages need to know about the samples."""
        samples = self._samples
        draft: Draft = {
            "schema": 1,
            "task": self._wanted.get("task"),
            "named": bool(self._wanted.get("labels")),
            "folders": samples.folders,
            "origin": self.origin,
            "samples": [
                {"name": name, "sha256": digest, "label": label, "boxes": boxes, "mask": row}
                for name, digest, label, boxes, row in zip(
                    samples.names, samples.digests, samples.labels, samples.boxes, self._masks()
                )
            ],
            "inputs": [
                {
                    "onnx_name": spec.name,
                    "file": "inputs/%d.npy" % index,
                    "preprocess": spec.preprocess.to_dict(),
                }
                for index, spec in enumerate(self._specs)
            ],
            "graph": {
                "outputs": [value["name"] for value in facts["outputs"]],
                "files": self._graph,
            },
        }
        self._workspace.write_json(GOLDEN_DRAFT, draft)


def save_step(workspace: Workspace, step: str, outputs: Sequence[np.ndarray]) -> List[str]:
    """Store a step's outputs (N first, NHWC or NC) and return their files."""
    files = []
    for index, output in enumerate(outputs):
        name = "steps/%s/%d.npy" % (step, index)
        array = np.ascontiguousarray(np.asarray(output).astype(np.float32))
        np.save(str(workspace.path(GOLDEN + "/" + name)), array)
        files.append(name)
    return files


def joined(answers: Iterable[Sequence[Any]]) -> List[np.ndarray]:
    """Return each output of several answers, their batches one behind the other."""
    return [np.concatenate(parts) for parts in zip(*answers)]


def save_detections(
    workspace: Workspace, step: str, index: int, detections: Sequence[np.ndarray]
) -> str:
    """Store one (k, 6) array per sample as flat rows with offsets; return the file."""
    name = "steps/%s/%d.npz" % (step, index)
    offsets = np.cumsum([0] + [len(rows) for rows in detections]).astype(np.int64)
    boxes = (
        np.concatenate([np.asarray(rows, np.float32).reshape(-1, 6) for rows in detections])
        if detections
        else np.zeros((0, 6), np.float32)
    )
    path = workspace.path(GOLDEN + "/" + name)
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_STORED) as archive:
        # As numpy.savez, but with the same bytes from every Python.
        for member, array in (("boxes", boxes.astype(np.float32)), ("offsets", offsets)):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(member + ".npy"), content.getvalue())
    return name


def to_nchw(array: np.ndarray) -> np.ndarray:
    """Return NHWC as NCHW, contiguous; features (N, F) stay."""
    if array.ndim != 4:
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(np.transpose(array, (0, 3, 1, 2)))


def to_nhwc(array: np.ndarray) -> np.ndarray:
    """Return (N, C, H, W) as (N, H, W, C); other ranks stay."""
    return np.transpose(array, (0, 2, 3, 1)) if array.ndim == 4 else array


def sources_below(workspace: Workspace, sources: Any) -> Any:
    """Return picture sources with their paths below the inputs folder."""
    if not isinstance(sources, Mapping):
        return sources
    found: Dict[str, object] = {}
    for key, value in sources.items():
        if key in ("path", "images", "masks") and isinstance(value, str):
            found[key] = str(workspace.plan.input(value))
        elif key == "mounts":
            found[key] = [(there, str(workspace.plan.input(here))) for there, here in value]
        else:
            found[key] = sources_below(workspace, value)
    return found
