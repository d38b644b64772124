"""``hef calib analyze``: which calibration pictures matter, which are odd, and how few do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.options import CALIBRATION

from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hefsmith_worker.calibration import CalibrationRequest, Samples
    from hefsmith_worker.calibration.coverage import Cut
    from hefsmith_worker.contract.findings import Finding

    from orchestrator.cli.calib_request import Wanted

#: Sizes of sets whose coverage is told.
SIZES = (64, 256, 1024)
SHOWN = 5
#: Pictures whose colours are swapped for a second look, and how much nearer to the held-out ones
#: that must bring them; pictures whose answers are read.
SWAPPED, NEARER, ANSWERED = 64, 0.9, 32


@dataclass(frozen=True)
class CalibrationAnalysis:
    """What a set of pictures is worth; indices are rows of ``names``."""

    names: tuple[str, ...]
    available: int
    by: str
    coverage: dict[int, float]
    chosen: tuple[int, ...]
    chosen_coverage: float
    repeats: tuple[tuple[str, str], ...]
    classes: dict[str, int]
    missing: tuple[str, ...]
    rare: tuple[str, ...]
    unlike: tuple[str, ...]
    unlike_groups: dict[str, int]
    cuts: tuple[Cut, ...]
    held_out: int
    findings: tuple[dict[str, object], ...] = ()
    measured: list[dict[str, object]] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            **asdict(self),
            "names": len(self.names),
            "chosen": [self.names[index] for index in self.chosen],
        }


def analyse_pictures(wanted: Wanted, most: int, tell: Callable[[int], None]) -> CalibrationAnalysis:
    """Look at the pictures of a request by what they do in the float network, where there is one.

    Raises :class:`ConfigError` where they cannot be read, or the network cannot be run.
    """
    import numpy as np
    from hefsmith_worker.calibration import CalibrationError, activations, coverage, load_samples

    from orchestrator.cli.calib_request import as_hefsmith_error

    request = wanted.request
    try:
        ours = load_samples(
            request.inputs, request.sources, most, request.seed, request.labels, request.task
        )
        theirs = _held_out(request, most)
    except CalibrationError as error:
        raise as_hefsmith_error(error) from None

    def reach(samples: Samples) -> tuple[Any, list[str]]:
        if request.model is None:
            return activations.of_pictures(samples.arrays)
        return activations.reaches(request.model, request.inputs, samples.arrays, tell)

    try:
        mine, layers = reach(ours)
        other = None if theirs is None else reach(theirs)[0]
    except (ValueError, ImportError) as error:
        raise ConfigError(
            str(error),
            hint="Build the model once, or see: hef inspect MODEL.onnx",
            code="calib.run",
        ) from None
    repeats = _repeats(ours)
    odd, _ = coverage.unlike(mine, other) if other is not None else ([], np.zeros(len(mine)))
    steps = coverage.steps_of(mine)
    classes = _classes(ours)
    # What repeats another picture brings nothing, what is like no held-out one does harm.
    chosen = coverage.greedy(steps, classes, [*(again for again, _ in repeats), *odd])
    theirs_classes = _classes(theirs) if theirs is not None else []
    missing, rare = coverage.rare_classes(classes, theirs_classes, len(request.labels))
    bad = len(odd) > coverage.BAD_SHARE * len(mine)
    # Of a set that is bad as a whole the ranges say it again.
    cuts = coverage.cut_off(mine, other, layers) if other is not None else []
    findings: list[Finding] = [
        *_prepared(request, ours, theirs, mine, other),
        *_answers(request, ours if theirs is None else theirs),
        *_findings(ours.names, odd, cuts, bad=bad),
    ]
    return CalibrationAnalysis(
        names=ours.names,
        available=len(ours.names),
        by="the float network's activations" if request.model else "the pictures alone",
        coverage={size: coverage.covered(steps, range(size)) for size in SIZES if size < len(mine)},
        chosen=tuple(chosen),
        chosen_coverage=coverage.covered(steps, chosen),
        repeats=tuple((ours.names[a], ours.names[b]) for a, b in repeats),
        classes={_class_name(number, request): many for number, many in _count(classes).items()},
        missing=tuple(_class_name(number, request) for number in missing),
        rare=tuple(_class_name(number, request) for number in rare),
        unlike=tuple(ours.names[index] for index in odd),
        unlike_groups=coverage.by_group(ours.names, odd),
        cuts=tuple(cuts[:SHOWN]),
        held_out=0 if theirs is None else len(theirs.names),
        findings=tuple(finding.to_json() for finding in findings),
    )


def _prepared(
    request: CalibrationRequest, ours: Samples, theirs: Samples | None, mine: Any, other: Any
) -> list[Finding]:
    """Return whether the pictures were prepared as the held-out ones: scale, red and blue."""
    import numpy as np
    from hefsmith_worker.calibration import activations, coverage, preparation

    found: list[Finding] = []
    for spec in request.inputs if theirs is not None else ():
        assert theirs is not None
        pair = np.asarray(ours.arrays[spec.name]), np.asarray(theirs.arrays[spec.name])
        fed, raw = zip(
            *(preparation.values_of(side, spec.preprocess) for side in pair), strict=True
        )
        scale = preparation.other_scale(*fed)
        if scale is not None:
            found.append(scale)
            continue
        if not preparation.swapped_colours(*raw):
            continue
        if request.model is None or len(request.inputs) > 1:
            found.append(preparation.swapped_finding(None))
            continue
        # The colours are a suspicion; what the network does with them decides.
        some = np.linspace(0, len(pair[0]) - 1, min(len(pair[0]), SWAPPED)).astype(int)
        turned = {spec.name: preparation.turned(pair[0][some], spec.preprocess)}
        reached, _ = activations.reaches(request.model, request.inputs, turned)
        before, after = (
            float(np.median(coverage.unlike(one, other)[1])) for one in (mine[some], reached)
        )
        if before > 0.0 and after < NEARER * before:
            found.append(preparation.swapped_finding(after / before))
    return found


def _answers(request: CalibrationRequest, samples: Samples) -> list[Finding]:
    """Return what the float network's own answers say of colours and normalisation."""
    import numpy as np
    from hefsmith_worker.calibration.float_check import ProbedRows, check_with_float_model
    from hefsmith_worker.contract.findings import INFO

    if request.model is None:
        return []
    some = np.linspace(0, len(samples.names) - 1, min(len(samples.names), ANSWERED)).astype(int)
    probe = ProbedRows(
        {name: np.asarray(array)[some] for name, array in samples.arrays.items()},
        tuple(samples.names[index] for index in some),
        tuple(samples.labels[index] for index in some),
    )
    _, found = check_with_float_model(
        request.model, request.inputs, probe, request.labels, request.task, lambda _: None
    )
    return [finding for finding in found if finding.severity != INFO]


def _held_out(request: CalibrationRequest, most: int) -> Samples | None:
    from hefsmith_worker.calibration import load_samples

    if request.validation is None:
        return None
    return load_samples(
        request.inputs, request.validation, most, request.seed, request.labels, request.task
    )


def _repeats(samples: Samples) -> list[tuple[int, int]]:
    """Return pairs (picture, earlier one that it repeats)."""
    import numpy as np
    from hefsmith_worker.calibration.fingerprints import duplicates, thumbnail
    from PIL import Image

    first = np.asarray(next(iter(samples.arrays.values())))
    if first.ndim != 4 or first.dtype != np.uint8 or first.shape[-1] not in (1, 3):
        known: dict[str, int] = {}
        return [
            (index, known[digest])
            for index, digest in enumerate(samples.digests)
            if known.setdefault(digest, index) != index
        ]
    prints = [
        thumbnail(Image.fromarray(row[..., 0] if row.shape[-1] == 1 else row)) for row in first
    ]
    return [(index, owner) for index, owner in enumerate(duplicates(prints)) if owner >= 0]


def _classes(samples: Samples) -> list[int | None]:
    """Return each picture's class; of boxes the one that the set has least of."""
    counts = _count([int(row[4]) for rows in samples.boxes for row in rows or ()])
    found: list[int | None] = []
    for label, boxes in zip(samples.labels, samples.boxes, strict=True):
        if label is None and boxes:
            rarest = min((int(row[4]) for row in boxes), key=lambda one: (counts[one], one))
            found.append(rarest)
        else:
            found.append(label)
    return found


def _count(classes: Sequence[int | None]) -> dict[int, int]:
    from collections import Counter

    return dict(sorted(Counter(one for one in classes if one is not None).items()))


def _class_name(number: int, request: CalibrationRequest) -> str:
    known = request.labels
    return escape_control(known[number]) if 0 <= number < len(known) else f"class {number}"


def _findings(
    names: Sequence[str], odd: Sequence[int], cuts: Sequence[Cut], *, bad: bool
) -> list[Any]:
    from hefsmith_worker.calibration.coverage import LEAST, by_group
    from hefsmith_worker.contract.findings import ERROR, WARNING, Finding

    found = []
    if len(names) < LEAST:
        found.append(
            Finding(
                "calib.small",
                WARNING,
                f"only {counted(len(names), 'picture')}: too few to judge, and fewer than the "
                f"{LEAST} that the compiler takes by itself",
                "Add pictures of what the device will see, and run this again.",
            )
        )
    if odd:
        groups = ", ".join(
            f"{many} in {folder or 'the top folder'}"
            for folder, many in list(by_group(names, odd).items())[:SHOWN]
        )
        found.append(
            Finding(
                "calib.unlike",
                ERROR if bad else WARNING,
                f"{len(odd)} of {len(names)} calibration pictures drive the network as no "
                f"held-out one does ({groups}), such as {', '.join(names[i] for i in odd[:3])}",
                "They set ranges that the device will never need: take pictures of the kind that "
                "it will see, prepared in the same way.",
            )
        )
    worst = [cut for cut in cuts if cut.share > 0.1]
    if worst:
        found.append(
            Finding(
                "calib.reach",
                WARNING,
                f"held-out pictures reach further than these in {counted(len(worst), 'layer')}: in "
                f"{worst[0].layer} on {worst[0].share:.0%} of them",
                "Add pictures like those: brighter, darker, or of the classes that are missing.",
            )
        )
    return found


# --- the list that a recipe takes -----------------------------------------------------------------


def write_list(wanted: Wanted, found: CalibrationAnalysis, target: Path) -> None:
    """Write the chosen pictures as a list file, with their labels where folders are classes.

    Raises :class:`ConfigError` for pictures that are no files of their own.
    """
    import tempfile

    from hefsmith_worker.calibration.build import find_candidates

    from orchestrator.files import relative, write_atomic

    with tempfile.TemporaryDirectory() as scratch:
        candidates = find_candidates(wanted.request, Path(scratch))
    by_name = {sample[0].name: sample[0] for sample in candidates.samples}
    lines = [f"# {len(found.chosen)} of {found.available} pictures, by: hef calib analyze"]
    base = target.resolve().parent
    for index in found.chosen:
        item = by_name.get(found.names[index])
        if item is None or item.member or item.span or item.row is not None:
            msg = "only pictures that are files of their own can be listed"
            raise ConfigError(
                msg, hint="Unpack the archive, or cut the array down by hand.", code="calib.list"
            )
        shown = relative(Path(item.path), base)
        lines.append(shown if item.label is None else f"{shown}\t{item.label}")
    write_atomic(target, "\n".join(lines) + "\n")


# --- what sizes bring, measured ------------------------------------------------------------------


def measure_sets(
    model: str, sets: Sequence[tuple[str, dict[str, object]]]
) -> list[dict[str, object]]:
    """Quantise a model with each set and judge it on the held-out samples; nothing is compiled.

    ``sets`` are a name and what it changes in the recipe.
    """
    from hefsmith_worker.contract.options import AnalyzeOptions

    from orchestrator.cli.display import open_display
    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.archs import pick_archs
    from orchestrator.pipeline.tune import tuning
    from orchestrator.pipeline.validation import judge_build

    found: list[dict[str, object]] = []
    with open_display() as display, make_session({}, observer=display) as session:
        loaded = session.recipe(model)
        chip = pick_archs(loaded, None)[0]
        place = session.artifacts / loaded.name / ".analysis" / f"{chip}-sets"
        for name, changes in sets:
            session.observer.note(f"calibrating with {name}")
            variant = tuning.applied(loaded, tuning.Variant(name, changes))
            build, _ = session.build(variant, chip, place, AnalyzeOptions(layers=False))
            verdict = judge_build(build, recipe_folder=loaded.folder)
            ran = build.summary.get("ran") or {}
            found.append(
                {
                    "set": name,
                    "pictures": ran.get("images_used"),
                    "measures": dict(verdict.steps[-1].measures) if verdict.steps else {},
                    "float": dict(verdict.steps[0].measures) if verdict.steps else {},
                    "emulated": build.emulated,
                }
            )
    return found


def told(found: CalibrationAnalysis, target: Path | None, recipe: str | None) -> list[str]:
    """Return what a terminal shows."""
    from orchestrator.cli.measures import measure_text
    from orchestrator.cli.summary import columns, painter
    from orchestrator.files import relative
    from orchestrator.pipeline.tune.tuning import DECISIVE, POINTS

    paint = painter()
    share = ", ".join(f"{size}: {value:.1%}" for size, value in found.coverage.items())
    lines = [
        f"pictures  {len(found.names)} looked at, by {found.by}; "
        + (f"{found.held_out} held-out ones beside them" if found.held_out else "none held out"),
    ]
    if share:
        lines.append(f"coverage  of the first pictures as a build takes them: {share}")
    lines.append(
        f"enough    {len(found.chosen)} chosen pictures reach {found.chosen_coverage:.1%} of what "
        "all do"
    )
    if found.repeats:
        some = "; ".join(f"{a} repeats {b}" for a, b in found.repeats[:3])
        lines.append(f"repeats   {len(found.repeats)}: {escape_control(some)}")
    if found.classes:
        few = sorted(found.classes.items(), key=lambda one: one[1])[:SHOWN]
        lines.append(
            f"classes   {len(found.classes)} there; fewest: "
            + ", ".join(f"{name} {many}" for name, many in few)
        )
    if found.missing:
        lines.append(f"missing   no picture of {', '.join(found.missing[:10])}")
    if found.rare:
        lines.append(f"rare      few pictures of {', '.join(found.rare[:10])}")
    for finding in found.findings:
        lines.append(
            f"{finding['severity']:<9} {escape_control(str(finding['message']))} "
            f"[{finding['code']}]"
        )
        lines.append(f"          {finding['fix']}")
    if found.measured:
        names = [n for n in (POINTS, *DECISIVE) if any(_has(one, n) for one in found.measured)]
        rows = [["calibrated with", "used", *names, "SNR (dB)"]]
        for one in found.measured:
            measures: Any = one["measures"]
            rows.append(
                [
                    str(one["set"]),
                    str(one["pictures"]),
                    *(measure_text(name, measures.get(name)) for name in names),
                    measure_text("snr_db", measures.get("snr_db")),
                ]
            )
        lines += ["", *columns(rows, paint, numbers=True)]
        if any(one["emulated"] for one in found.measured):
            lines.append("EMULATED: made without Hailo's compiler, no measure of a chip")
    if target is not None:
        lines.append(f"list      {target}")
    if target is not None and recipe is not None:
        lines += [f"recipe    in {recipe}:", "          calibration:"]
        lines += [f"            source: {relative(target, Path(recipe).resolve().parent)}"]
        lines += [f"            count: {len(found.chosen)}"]
        if len(found.chosen) < CALIBRATION.minimum:
            lines += [f"            minimum: {len(found.chosen)}"]
    return [line.rstrip() for line in lines]


def _has(one: dict[str, object], name: str) -> bool:
    measures = one["measures"]
    return isinstance(measures, dict) and name in measures
