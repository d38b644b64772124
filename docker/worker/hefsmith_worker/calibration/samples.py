"""Golden samples: prepared pictures of a validation source, with labels or boxes."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.calibration.choice import Sample, order_samples
from hefsmith_worker.calibration.classes import class_numbers, label_indices
from hefsmith_worker.calibration.data import is_data
from hefsmith_worker.calibration.fingerprints import duplicates, thumbnail
from hefsmith_worker.calibration.items import Item, Listing, close_archives, forget_maps, read_bytes
from hefsmith_worker.calibration.linter import SHOWN_NAMES
from hefsmith_worker.calibration.masks import masks_of_samples
from hefsmith_worker.calibration.model import (
    CalibrationError,
    Emit,
    ImageProgress,
    InputSpec,
    Samples,
    Source,
    ignore,
)
from hefsmith_worker.calibration.sources import (
    has_validation,
    list_sources,
    pair_inputs,
    source_for,
)
from hefsmith_worker.calibration.work import prepare_item, row_of
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import ERROR, WARNING, Finding
from hefsmith_worker.pictures import PictureError
from hefsmith_worker.pictures.geometry import Placement

if TYPE_CHECKING:
    import numpy as np

#: Part of the samples that may be copies without a word: some data sets have a few.
REPEATED = 0.25


def load_samples(
    inputs: Sequence[InputSpec],
    sources: Mapping[str, Source],
    count: Optional[int],
    seed: int = 0,
    labels: Sequence[str] = (),
    task: Optional[str] = None,
    emit: Emit = ignore,
) -> Samples:
    """Prepare ``count`` samples (``None``: all), spread over folders and classes by ``seed``.

    ``labels`` are the class names by index: folder names are matched with them, else folders
    are numbered in sorted order. Random crops become centre crops: a measurement is repeated.
    Arrays are uint8, or the user's own floats for an input that the host normalises.
    Raises :class:`CalibrationError`.
    """
    specs = [for_samples(spec) for spec in inputs]
    with tempfile.TemporaryDirectory(prefix="hefsmith-samples-") as scratch:
        try:
            listings = list_for_samples(specs, sources, count, Path(scratch))
            _stop_at_errors(listings)
            ordered = order_samples(pair_inputs(list(zip(specs, listings))), seed)
            return _load(specs, sources, listings, ordered, count, labels, task, emit)
        finally:
            close_archives()
            forget_maps()


def _stop_at_errors(listings: Sequence[Listing]) -> None:
    """Raise for arrays that would make every sample wrong."""
    for listing in listings:
        for note in listing.notes:
            if note.severity == ERROR:
                raise CalibrationError(note.message, note.code, note.fix)


def for_samples(spec: InputSpec) -> InputSpec:
    """Return the input's preparation without chance, and with pixels left as they are."""
    preprocess = spec.preprocess
    if preprocess.resize == "random_crop":
        preprocess = replace(preprocess, resize="center_crop")
    return InputSpec(spec.name, preprocess)


def list_for_samples(
    specs: Sequence[InputSpec], sources: Mapping[str, Source], count: Optional[int], scratch: Path
) -> List[Listing]:
    """List the source of every input; a YOLO data set gives its validation part, if it has one."""
    pairs = []
    for spec in specs:
        source = source_for(sources, spec.name)
        if source.split is None and has_validation(source):
            source = replace(source, split="val")
        pairs.append((spec, source))
    return list_sources(pairs, scratch, count or 1024)


def _load(
    specs: Sequence[InputSpec],
    sources: Mapping[str, Source],
    listings: Sequence[Listing],
    ordered: Sequence[Sample],
    count: Optional[int],
    labels: Sequence[str],
    task: Optional[str],
    emit: Emit,
) -> Samples:
    import numpy as np

    wanted = len(ordered) if count is None else min(count, len(ordered))
    kept: List[Tuple[Sample, Placement, str]] = []
    columns: List[List[Any]] = [[] for _ in specs]
    broken: List[str] = []
    for sample in ordered:
        if len(kept) == wanted:
            break
        try:
            row, placement, digest = _prepare(sample, specs, listings)
        except PictureError as error:
            broken.append(f"{sample[0].name}: {error.reason}")
            continue
        kept.append((sample, placement, digest))
        for column, array in zip(columns, row):
            column.append(array)
        emit(ImageProgress(len(kept), wanted))
    if not kept:
        msg = f"none of the {len(ordered)} validation images can be used; {broken[0]}"
        raise CalibrationError(msg, "samples.empty", "Check the validation source.")
    items = [sample[0] for sample, _, _ in kept]
    every = sorted({item.label for item in listings[0].items if item.label is not None})
    numbers, findings = label_indices(items, labels, task, every)
    table, more = class_numbers(listings[0].classes, labels)
    findings += more
    findings += listings[0].notes
    findings += _lint(broken, kept, _prints(specs[0], columns[0]))
    masks: List[Any] = []
    # Masks are of one input's pictures; other inputs are seen from elsewhere.
    folder = source_for(sources, specs[0].name).masks
    if folder is not None:
        pairs = [(sample[0], placement) for sample, placement, _ in kept]
        masks, more = masks_of_samples(folder, pairs)
        findings += more
    for finding in findings:
        emit(finding)
    return Samples(
        tuple(item.name for item in items),
        tuple(digest for _, _, digest in kept),
        {spec.name: np.stack(column) for spec, column in zip(specs, columns)},
        numbers,
        tuple(_boxes(sample[0], placement, table) for sample, placement, _ in kept),
        tuple(findings),
        len(every),
        tuple(masks),
    )


def _prints(spec: InputSpec, pictures: Sequence[Any]) -> List[bytes]:
    """Return what near copies are known by; nothing for data that are no pictures."""
    import numpy as np
    from PIL import Image

    if is_data(spec) or any(one.dtype != np.uint8 for one in pictures):
        return []
    if any(one.ndim != 3 or one.shape[2] not in (1, 3) for one in pictures):
        return []
    return [
        thumbnail(Image.fromarray(one[..., 0] if one.shape[2] == 1 else one)) for one in pictures
    ]


def _prepare(
    sample: Sample, specs: Sequence[InputSpec], listings: Sequence[Listing]
) -> Tuple[List[np.ndarray[Any, Any]], Placement, str]:
    arrays, placements, digests = [], [], []
    for spec, listing, item in zip(specs, listings, sample):
        if listing.prepared:
            array, data = row_of(item, spec)
            size = spec.preprocess.size
            placement = Placement(size, size, (0, 0), size)
        else:
            data = read_bytes(item)
            array, placement = prepare_item(data, spec, 0, item)
        arrays.append(array)
        placements.append(placement)
        digests.append(hashlib.sha256(data).hexdigest())
    return arrays, placements[0], sample_digest(digests)


def sample_digest(digests: Sequence[str]) -> str:
    """Return the sha256 of a sample's stored picture; of all digests when it has several."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()


def _boxes(
    item: Item, placement: Placement, numbers: Mapping[int, int]
) -> Optional[List[List[float]]]:
    """Return an item's boxes in the frame of the prepared picture; cut-off ones are dropped."""
    if item.boxes is None:
        return None
    height, width = placement.source if item.relative else (1, 1)
    found = []
    for y_min, x_min, y_max, x_max, number in item.boxes:
        if number not in numbers and numbers:
            continue
        box = placement.box_to_target(
            (y_min * height, x_min * width, y_max * height, x_max * width)
        )
        if box is not None:
            found.append([*box, float(numbers.get(number, number))])
    return found


def _lint(
    broken: Sequence[str], kept: Sequence[Tuple[Sample, Placement, str]], prints: Sequence[bytes]
) -> List[Finding]:
    found = []
    if broken:
        found.append(
            Finding(
                "samples.unreadable",
                WARNING,
                f"{counted(len(broken), 'validation image')} cannot be used: "
                + ", ".join(broken[:SHOWN_NAMES]),
                "Repair or remove them.",
                files=tuple(broken),
            )
        )
    digests = [digest for _, _, digest in kept]
    if len(digests) > 1 and len(set(digests)) == 1:
        found.append(Finding("samples.same", ERROR, "all validation images are the same picture"))
    return [*found, *_repeated(kept, prints)]


def _repeated(
    kept: Sequence[Tuple[Sample, Placement, str]], prints: Sequence[bytes]
) -> List[Finding]:
    """Return that many samples are copies: a measurement of them is one of fewer pictures."""
    seen: Dict[str, int] = {}
    first = [seen.setdefault(digest, at) for at, (_, _, digest) in enumerate(kept)]
    alike = duplicates(list(prints)) if prints else [-1] * len(kept)
    copies = [at for at in range(len(kept)) if first[at] != at or alike[at] >= 0]
    if len(copies) <= REPEATED * len(kept):
        return []
    distinct = len(kept) - len(copies)
    names = [kept[at][0][0].name for at in copies[:SHOWN_NAMES]]
    return [
        Finding(
            "samples.repeated",
            WARNING,
            f"only {distinct} of {len(kept)} validation images are distinct; the others are "
            f"copies, or nearly: {', '.join(names)}",
            "Take pictures of other moments: what is measured is no surer than that of "
            f"{distinct} images.",
            str(len(kept)),
            str(distinct),
        )
    ]
