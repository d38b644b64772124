"""Finds validation pictures inside a calibration set, by content.

Calibrating (and at level 2 training) on the pictures that will judge the result makes the
verdict worthless, so equal content is an error: the same file under any name, or the same
pixels in another file. Near-duplicates are a warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence, Set, Tuple

from hefsmith_worker.calibration.choice import order_samples
from hefsmith_worker.calibration.crew import Crew
from hefsmith_worker.calibration.fingerprints import Seen
from hefsmith_worker.calibration.items import Item, read_bytes
from hefsmith_worker.calibration.model import ERROR, WARNING, CalibrationRequest, Finding
from hefsmith_worker.calibration.samples import for_samples, list_for_samples
from hefsmith_worker.calibration.sources import pair_inputs
from hefsmith_worker.calibration.work import Outcome, Setup, Task, digest_of
from hefsmith_worker.pictures import PictureError

#: Validation pictures that are decoded and compared by pixels; all are compared by bytes.
DECODED = 256
SHOWN = 3


def find_overlap(
    request: CalibrationRequest,
    names: Sequence[str],
    outcomes: Sequence[Outcome],
    scratch: Path,
) -> List[Finding]:
    """Compare the chosen pictures with the validation sources. Raises ``CalibrationError``."""
    if request.validation is None or not outcomes:
        return []
    specs = [for_samples(spec) for spec in request.inputs]
    listings = list_for_samples(specs, request.validation, DECODED, scratch)
    samples = order_samples(pair_inputs(list(zip(specs, listings))), 0)
    pairs: Dict[str, str] = {}
    if not listings[0].prepared:
        pairs.update(_same_bytes([sample[0] for sample in samples], names, outcomes))
    setup = Setup(tuple(specs), tuple(listing.prepared for listing in listings), request.seed)
    tasks = [Task(-1, sample) for sample in samples[:DECODED]]
    with Crew(setup, request.workers) as crew:
        looked = crew.run(tasks, lambda _: None)
    own = {outcome.print_: name for name, outcome in zip(names, outcomes)}
    near: List[Tuple[str, str]] = []
    seen = Seen()
    for outcome in outcomes:
        seen.add(outcome.print_)
    for task, outcome in zip(tasks, looked):
        name = task.sample[0].name
        if outcome.problem or name in pairs:
            continue
        # Equal to a 64th of a level in all 256 cells: the same pixels in another file.
        if outcome.print_ in own:
            pairs[name] = own[outcome.print_]
            continue
        hit = seen.find(outcome.print_)
        if hit >= 0:
            near.append((name, names[hit]))
    return _findings(sorted(pairs.items()), near)


def _same_bytes(
    items: Sequence[Item], names: Sequence[str], outcomes: Sequence[Outcome]
) -> Dict[str, str]:
    """Hash only validation files whose length occurs in the calibration set."""
    lengths: Set[int] = {outcome.length for outcome in outcomes}
    known = {outcome.digests[0]: name for name, outcome in zip(names, outcomes)}
    found: Dict[str, str] = {}
    for item in items:
        try:
            if item.span is not None:
                length = item.span[1]
            elif item.member is None:
                length = Path(item.path).stat().st_size
            else:
                length = -1
            if length >= 0 and length not in lengths:
                continue
            digest = digest_of(read_bytes(item))
        except (OSError, PictureError):
            continue
        if digest in known:
            found[item.name] = known[digest]
    return found


def _findings(same: Sequence[Tuple[str, str]], near: Sequence[Tuple[str, str]]) -> List[Finding]:
    found = []
    if same:
        found.append(
            Finding(
                "calib.overlap",
                ERROR,
                f"{len(same)} validation pictures are in the calibration set: {_pairs(same)}",
                "Keep them apart: split the pictures into two folders.",
                "0",
                str(len(same)),
                tuple(name for name, _ in same),
            )
        )
    if near:
        found.append(
            Finding(
                "calib.overlap.near",
                WARNING,
                f"{len(near)} validation pictures look almost like one of the calibration set: "
                + _pairs(near),
                "Split by scene or by day, so that the verdict is about unseen pictures.",
                "0",
                str(len(near)),
                tuple(name for name, _ in near),
            )
        )
    return found


def _pairs(pairs: Sequence[Tuple[str, str]]) -> str:
    shown = ", ".join(a if a == b else f"{a} is {b}" for a, b in pairs[:SHOWN])
    more = len(pairs) - SHOWN
    return shown + (f" and {more} more" if more > 0 else "")
