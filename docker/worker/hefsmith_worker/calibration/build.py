"""Builds a calibration set: find, choose, prepare, look at, publish.

Candidates are taken in rounds. A round fills the free rows of the files in the order of the
candidates; then, in that same order, broken pictures and duplicates are found and their rows
become free for the next round. So the result depends on names, content and seed alone, not on
the number of processes or who was first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration import linter
from hefsmith_worker.calibration.choice import Sample, order_samples
from hefsmith_worker.calibration.classes import label_indices
from hefsmith_worker.calibration.data import PIXELS, RANGE_ROWS, Range, is_data, range_of_rows
from hefsmith_worker.calibration.fingerprints import Seen
from hefsmith_worker.calibration.float_check import SAMPLES, ProbedRows, check_with_float_model
from hefsmith_worker.calibration.items import close_archives, forget_maps, read_bytes
from hefsmith_worker.calibration.model import (
    ANY_INPUT,
    CalibratedInput,
    CalibrationError,
    CalibrationRequest,
    CalibrationSet,
    Emit,
    FloatCheck,
    InputSpec,
    ignore,
)
from hefsmith_worker.calibration.overlap import Counter, find_overlap
from hefsmith_worker.calibration.pool import WorkerPool
from hefsmith_worker.calibration.samples import sample_digest
from hefsmith_worker.calibration.sources import list_sources, pair_inputs, source_for
from hefsmith_worker.calibration.statistics import channel_statistics
from hefsmith_worker.calibration.work import (
    HEADER_BYTES,
    Setup,
    Task,
    TaskResult,
    npy_header,
    prepare_item,
    row_bytes,
    row_of,
    row_type,
)
from hefsmith_worker.contract.findings import ERROR, Finding
from hefsmith_worker.pictures import PictureError

INDEX = "calibration.json"
SCHEMA = 1

#: Left free on the disk after the arrays are written.
SPARE_BYTES = 64 * 1024 * 1024


@dataclass
class Gathered:
    """What the rounds have found so far; ``rows`` maps slots to accepted samples."""

    rows: Dict[int, Tuple[Sample, TaskResult]] = field(default_factory=dict)
    unreadable: List[str] = field(default_factory=list)
    repeated: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Candidates:
    """All samples in the order of choice, and what is known about their sources."""

    samples: Tuple[Sample, ...]
    prepared: Tuple[bool, ...]
    notes: Tuple[Finding, ...]


def build_calibration(
    request: CalibrationRequest, out_dir: Path, emit: Emit = ignore
) -> CalibrationSet:
    """Make ``out_dir/<input>-<digest>.npy`` for each input and ``out_dir/calibration.json``.

    Arrays are uint8 NHWC, or float32 NHWC when an input is normalised on the host; open them
    with ``numpy.load(file, mmap_mode="r")``. Raises :class:`CalibrationError` when the set
    cannot be built, and nothing is left behind then; findings with severity ``error`` are in
    the result, for the caller to stop.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    for stale in out_dir.glob(".calibration-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".calibration-", dir=str(out_dir)) as scratch:
        try:
            return _build(request, out_dir, Path(scratch), emit)
        except OSError as error:
            where = error.filename or out_dir
            msg = f"{where}: {error.strerror or error}"
            fix = "Free some space." if error.errno == 28 else None
            raise CalibrationError(msg, "calib.write", fix, str(where)) from error
        finally:
            # Windows removes no file that is mapped or open.
            close_archives()
            forget_maps()


def _build(request: CalibrationRequest, out_dir: Path, scratch: Path, emit: Emit) -> CalibrationSet:
    candidates = find_candidates(request, scratch)
    count = min(request.count, len(candidates.samples))
    _check_space(request, count, out_dir)
    files = tuple(str(scratch / f"{index}.npy") for index in range(len(request.inputs)))
    for spec, file in zip(request.inputs, files):
        with open(file, "wb") as out:
            out.truncate(HEADER_BYTES + count * row_bytes(spec))
    ranges = tuple(_range_of(spec, candidates, index) for index, spec in enumerate(request.inputs))
    setup = Setup(request.inputs, candidates.prepared, request.seed, files, ranges)
    with WorkerPool(setup, request.workers) as pool:
        gathered = _gather(pool, candidates.samples, count, request, emit)
    rows = _compact(gathered, request.inputs, files)
    if not rows:
        _raise_empty(gathered, candidates)
    names = tuple(sample[0].name for sample, _ in rows)
    outcomes = tuple(outcome for _, outcome in rows)
    columns = [[outcome.histograms[i] for outcome in outcomes] for i in range(len(files))]
    seen = tuple(channel_statistics(column, 0, (), span) for column, span in zip(columns, ranges))
    evidence = linter.CalibrationEvidence(
        request, names, outcomes, tuple(gathered.unreadable), tuple(gathered.repeated),
        len(candidates.samples), seen,
    )  # fmt: skip
    findings = [*candidates.notes, *linter.lint(evidence)]
    findings += find_overlap(request, names, outcomes, scratch, emit)
    check, more = _check_float(request, candidates, rows, files)
    findings = linter.in_order([*findings, *more])
    for finding in findings:
        emit(finding)
    inputs = tuple(
        _describe(spec, index, outcomes, request, ranges[index])
        for index, spec in enumerate(request.inputs)
    )
    result = CalibrationSet(
        inputs,
        names,
        tuple(sample_digest(outcome.digests) for outcome in outcomes),
        request.count,
        len(candidates.samples),
        len(gathered.repeated),
        tuple(gathered.unreadable),
        tuple(findings),
        check,
        _libraries(),
    )
    _publish(result, files, out_dir, scratch)
    return result


def find_candidates(request: CalibrationRequest, scratch: Path) -> Candidates:
    """List the sources of all inputs. Raises :class:`CalibrationError`."""
    if request.count < 1:
        msg = f"count must be 1 or more, not {request.count}"
        raise CalibrationError(msg, "calib.count")
    pairs = [(spec, source_for(request.sources, spec.name)) for spec in request.inputs]
    listings = list_sources(pairs, scratch, request.count)
    extra = set(request.sources) - {spec.name for spec in request.inputs} - {ANY_INPUT}
    if extra:
        have = ", ".join(spec.name for spec in request.inputs)
        msg = f"sources for unknown inputs {', '.join(sorted(extra))}; the network has: {have}"
        raise CalibrationError(msg, "calib.inputs", "Use the names of the ONNX inputs.")
    notes = [note for listing in listings for note in listing.notes]
    samples = order_samples(pair_inputs(list(zip(request.inputs, listings))), request.seed)
    return Candidates(
        tuple(samples),
        tuple(listing.prepared for listing in listings),
        tuple(dict.fromkeys(notes)),
    )


def _range_of(spec: InputSpec, candidates: Candidates, index: int) -> Range:
    """Return what the histograms of an input span; a few rows tell it for data."""
    if not is_data(spec):
        return PIXELS
    step = max(1, len(candidates.samples) // RANGE_ROWS)
    rows = []
    for sample in candidates.samples[::step]:
        try:
            rows.append(row_of(sample[index], spec)[0])
        except PictureError:
            continue  # told when its turn comes
    return range_of_rows(rows)


def _gather(
    pool: WorkerPool,
    samples: Sequence[Sample],
    count: int,
    request: CalibrationRequest,
    emit: Emit,
) -> Gathered:
    gathered = Gathered()
    seen = Seen()
    free, position = list(range(count)), 0
    while free and position < len(samples):
        batch = samples[position : position + len(free)]
        position += len(batch)
        tasks = [Task(slot, sample) for slot, sample in zip(free, batch)]
        progress = Counter(count, emit, len(gathered.rows))
        outcomes = pool.run(tasks, progress.add)
        for task, outcome in zip(tasks, outcomes):
            name = task.sample[0].name
            if outcome.problem:
                gathered.unreadable.append(outcome.problem)
            elif request.drop_duplicates and seen.has(outcome.print_, outcome.digests):
                gathered.repeated.append(name)
            else:
                gathered.rows[task.slot] = (task.sample, outcome)
                seen.add(outcome.print_, outcome.digests)
        free = [slot for slot in range(count) if slot not in gathered.rows]
    return gathered


def _compact(
    gathered: Gathered, inputs: Sequence[InputSpec], files: Sequence[str]
) -> List[Tuple[Sample, TaskResult]]:
    """Move the last rows into gaps, cut the files, write their headers; return the rows."""
    rows = dict(gathered.rows)
    moves = []
    gaps = [slot for slot in range(len(rows)) if slot not in rows]
    for gap in gaps:
        last = max(rows)
        rows[gap] = rows.pop(last)
        moves.append((last, gap))
    for spec, file in zip(inputs, files):
        size = row_bytes(spec)
        with open(file, "r+b") as data:
            for old, new in moves:
                data.seek(HEADER_BYTES + old * size)
                row = data.read(size)
                data.seek(HEADER_BYTES + new * size)
                data.write(row)
            data.truncate(HEADER_BYTES + len(rows) * size)
            data.seek(0)
            data.write(npy_header(spec, len(rows)))
    return [rows[slot] for slot in range(len(rows))]


def _raise_empty(gathered: Gathered, candidates: Candidates) -> None:
    for note in candidates.notes:
        if note.severity == ERROR:
            raise CalibrationError(note.message, note.code, note.fix)
    first = gathered.unreadable[0] if gathered.unreadable else "no images"
    msg = f"none of the {len(candidates.samples)} calibration images can be used; {first}"
    raise CalibrationError(
        msg, "calib.unreadable", "Check that these are pictures and that they may be read."
    )


def _check_float(
    request: CalibrationRequest,
    candidates: Candidates,
    rows: Sequence[Tuple[Sample, TaskResult]],
    files: Sequence[str],
) -> Tuple[Optional[FloatCheck], List[Finding]]:
    """Run the float model on the first rows of the files as they were written."""
    import numpy as np

    if request.model is None:
        return None, []
    chosen = [sample for sample, _ in rows[:SAMPLES]]
    arrays: Dict[str, object] = {
        spec.name: np.array(np.load(file, mmap_mode="r")[: len(chosen)])
        for spec, file in zip(request.inputs, files)
    }
    truth, _ = label_indices([sample[0] for sample, _ in rows], request.labels, request.task)
    probe = ProbedRows(arrays, tuple(sample[0].name for sample in chosen), truth[: len(chosen)])

    def prepare_as(resize: str) -> Optional[Any]:
        if candidates.prepared[0]:
            return None
        first = request.inputs[0]
        other = InputSpec(first.name, replace(first.preprocess, resize=resize))
        try:
            return np.stack(
                [prepare_item(read_bytes(s[0]), other, request.seed, s[0])[0] for s in chosen]
            )
        except PictureError:
            return None

    return check_with_float_model(
        request.model, request.inputs, probe, request.labels, request.task, prepare_as
    )


def _describe(
    spec: InputSpec,
    index: int,
    outcomes: Sequence[TaskResult],
    request: CalibrationRequest,
    span: Range,
) -> CalibratedInput:
    """Name an array by all that decides its content, and count what is in it."""
    recipe = {
        "preprocess": spec.preprocess.to_dict(),
        "seed": request.seed,
        "libraries": _libraries(),
        "pictures": [outcome.digests[index] for outcome in outcomes],
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    channels = channel_statistics(
        [outcome.histograms[index] for outcome in outcomes],
        sum(outcome.traits[index].padded for outcome in outcomes),
        spec.preprocess.per_channel("pad"),
        span,
    )
    shape = (len(outcomes), *spec.preprocess.shape)
    name = _final_name(spec, digest)
    return CalibratedInput(spec.name, name, digest, shape, row_type(spec), channels)


def _final_name(spec: InputSpec, digest: str) -> str:
    plain = "".join(char if char.isalnum() or char in "-_" else "_" for char in spec.name)[:60]
    return f"{plain}-{digest[:16]}.npy"


def _check_space(request: CalibrationRequest, count: int, out_dir: Path) -> None:
    needed = sum(row_bytes(spec) for spec in request.inputs) * count
    free = shutil.disk_usage(str(out_dir)).free
    if needed + SPARE_BYTES > free:
        msg = f"{out_dir}: the calibration set needs {needed >> 20} MiB; {free >> 20} MiB are free"
        raise CalibrationError(msg, "calib.space", "Free some space, or lower the count.", "")


def _libraries() -> str:
    import numpy as np
    import PIL

    return f"pillow {PIL.__version__}, numpy {np.__version__}"


def _publish(result: CalibrationSet, files: Sequence[str], out_dir: Path, scratch: Path) -> None:
    """Move the arrays to their names, then the index; remove arrays of an earlier set."""
    old = _listed(out_dir / INDEX)
    for entry, file in zip(result.inputs, files):
        os.replace(file, str(out_dir / entry.file))
    draft = scratch / INDEX
    document = {"schema": SCHEMA, **result.to_dict()}
    # Python 3.8 gives write_text no line ends to choose.
    draft.write_bytes(json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8"))
    os.replace(str(draft), str(out_dir / INDEX))
    for name in old - {entry.file for entry in result.inputs}:
        (out_dir / name).unlink()


def _listed(index: Path) -> set[str]:
    """Return the arrays that an earlier index names and that are still there."""
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))["inputs"]
        names = {Path(str(entry["file"])).name for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if name.endswith(".npy") and (index.parent / name).is_file()}
