"""Finds validation pictures inside a calibration set, by content.

Calibrating (and at level 2 training) on the pictures that will judge the result makes the
verdict worthless, so equal content is an error: the same file under any name, or the same
pixels in another file. Near-duplicates are a warning.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from hefsmith_worker.calibration.choice import Sample, order_samples
from hefsmith_worker.calibration.fingerprints import Seen
from hefsmith_worker.calibration.model import CalibrationRequest, Emit, ImageProgress, ignore
from hefsmith_worker.calibration.pool import WorkerPool
from hefsmith_worker.calibration.samples import for_samples, list_for_samples
from hefsmith_worker.calibration.sources import pair_inputs
from hefsmith_worker.calibration.work import Setup, Task, TaskResult
from hefsmith_worker.contract.counting import counted, some
from hefsmith_worker.contract.findings import ERROR, WARNING, Finding

SHOWN = 3


def find_overlap(
    request: CalibrationRequest,
    names: Sequence[str],
    outcomes: Sequence[TaskResult],
    scratch: Path,
    emit: Emit = ignore,
) -> List[Finding]:
    """Compare the chosen pictures with all of the validation. Raises ``CalibrationError``.

    Every validation picture is glanced at; those that look like a chosen one are prepared as a
    whole, to tell the same pixels from almost the same.
    """
    if request.validation is None or not outcomes:
        return []
    specs = [for_samples(spec) for spec in request.inputs]
    listings = list_for_samples(specs, request.validation, None, scratch)
    samples = order_samples(pair_inputs(list(zip(specs, listings))), 0)
    setup = Setup(
        tuple(specs), tuple(listing.prepared for listing in listings), request.seed, glance=True
    )
    seen = Seen()
    for outcome in outcomes:
        seen.add(outcome.print_)
    stored = {outcome.digests[0]: name for name, outcome in zip(names, outcomes)}
    same: Dict[str, str] = {}
    progress = Counter(len(samples), emit, unit="validation images")
    with WorkerPool(setup, request.workers) as pool:
        looked = pool.run([Task(-1, sample) for sample in samples], progress.add)
    others: List[Tuple[Sample, bytes]] = []
    for sample, outcome in zip(samples, looked):
        if outcome.problem:
            continue
        if outcome.digests[0] in stored:
            same[sample[0].name] = stored[outcome.digests[0]]
        elif outcome.print_:
            others.append((sample, outcome.print_))
    hits = seen.find_each([print_ for _, print_ in others])
    alike = [(sample, names[hit]) for (sample, _), hit in zip(others, hits) if hit >= 0]
    again = [Task(-1, sample) for sample, _ in alike]
    with WorkerPool(replace(setup, glance=False), request.workers) as pool:
        whole = pool.run(again, lambda _: None)
    own = {outcome.print_: name for name, outcome in zip(names, outcomes)}
    near: List[Tuple[str, str]] = []
    for (sample, name), outcome in zip(alike, whole):
        # Equal to a 64th of a level in all 256 cells: the same pixels in another file.
        if outcome.print_ in own:
            same[sample[0].name] = own[outcome.print_]
        elif seen.find(outcome.print_) >= 0:
            near.append((sample[0].name, name))
    return _findings(sorted(same.items()), near)


class Counter:
    """Tells progress; what turns out broken or repeated is taken back by the next round."""

    def __init__(self, total: int, emit: Emit, done: int = 0, unit: str = "images") -> None:
        self._total, self._emit, self._done, self._unit = total, emit, done, unit

    def add(self, new: int) -> None:
        """Tell that so many more are done."""
        self._done += new
        self._emit(ImageProgress(self._done, self._total, self._unit))


def _findings(same: Sequence[Tuple[str, str]], near: Sequence[Tuple[str, str]]) -> List[Finding]:
    found = []
    if same:
        found.append(
            Finding(
                "calib.overlap",
                ERROR,
                f"{counted(len(same), 'validation picture')} also in the calibration set: "
                f"{_pairs(same)}",
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
                f"{counted(len(near), 'validation picture')} almost like one of the "
                f"calibration set: " + _pairs(near),
                "Split by scene or by day, so that the verdict is about unseen pictures.",
                "0",
                str(len(near)),
                tuple(name for name, _ in near),
            )
        )
    return found


def _pairs(pairs: Sequence[Tuple[str, str]]) -> str:
    return some([a if a == b else f"{a} is {b}" for a, b in pairs], SHOWN)
