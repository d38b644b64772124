"""The verdict: is the model as good at the last step as at the first, and if not, since when?

:func:`decide` is pure but for reading the golden folder. Every step is compared with the float
model (the first step there is) on the same samples. If the last step misses what the recipe
asks, the step at fault is the first one that misses it; when the way down was gradual, it is
the step up to there that lost most.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hefsmith_worker.contract.counting import counted

from orchestrator.report import boxes as box_measures
from orchestrator.report import grounds, masks, metrics
from orchestrator.report.causes import likely_causes
from orchestrator.report.golden import Detections, Golden
from orchestrator.report.heads import decode_steps, point_distance
from orchestrator.report.model import (
    FLOAT_STEPS,
    FRAMEWORK_STEPS,
    MEASURE_TITLES,
    STEP_TITLES,
    Cause,
    Check,
    Fault,
    OutputAgreement,
    StepReport,
    Verdict,
    VerdictThresholds,
    Worst,
)
from orchestrator.report.symptoms import find_symptoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hefsmith_worker.contract.findings import Finding
    from numpy.typing import NDArray

    from orchestrator.report.heads import Decoded, Head
    from orchestrator.report.model import Accuracy

    #: (outputs of the float model, outputs of a step, samples as dictionaries) -> score,
    #: more is better. Outputs are arrays (N, ...) or, for boxes, one (k, 6) array per sample.
    UserMetric = Callable[
        [Sequence[object], Sequence[object], Sequence[Mapping[str, object]]], float
    ]

#: Float steps that agree less than this are worth a note even when the verdict passes.
FLOAT_COSINE = 0.9995
#: Share of the samples of a class needed before labels can be called permuted.
PERMUTED_GAIN = 0.3
WORST_SHOWN = 8


# Answers that are infinite are judged, and need no warning of numpy's on the way.
@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def decide(
    golden: Golden,
    thresholds: VerdictThresholds | None = None,
    *,
    findings: Iterable[Finding] = (),
    label_names: Sequence[str] | None = None,
    metric: UserMetric | None = None,
    head: Head | None = None,
    device_symptoms: Mapping[str, str] | None = None,
    device_causes: Sequence[Cause] = (),
    emulated: bool = False,
    score_outputs: Sequence[int] = (),
    score: float = 0.0,
) -> Verdict:
    """Return the verdict on a golden folder.

    ``findings`` are what the stages noticed (from the manifest): evidence for causes.
    ``label_names`` is the recipe's list, checked against the number of classes.
    ``head`` tells how boxes are decoded from raw tensors, so that boxes are judged as well.
    ``device_symptoms`` are faults that the device run met (``wrong-chip``, ``busy``,
    ``versions``, ``timeout``, ``unstable``), each with a sentence; one of the first four
    means that there are no outputs of the device, and the verdict fails there.
    ``score_outputs`` and ``score`` are those of
    :func:`~orchestrator.report.grounds.nothing_proven`.
    ``device_causes`` are what is known about its messages; they come first.
    Raises :class:`~orchestrator.report.golden.GoldenError` for a damaged folder.
    """
    demands = thresholds if thresholds is not None else VerdictThresholds.for_task(golden.task)
    trouble = dict(device_symptoms or {})
    order = golden.order
    if not order:
        return _empty(golden, emulated)
    reference = order[0]
    decoded = decode_steps(golden, head) if head is not None else {}
    steps = tuple(_report(golden, reference, step, metric, decoded, head) for step in order)
    labelled = any(
        sample.label is not None or sample.boxes or sample.mask is not None
        for sample in golden.samples
    )
    checks = {report.step: _checks(golden, steps[0], report, demands) for report in steps}
    final = order[-1]
    found = grounds.accuracy(golden, steps[-1].measures)
    label_trouble = _label_trouble(
        golden, reference, label_names, steps[0]
    ) or _no_better_than_guessing(golden, steps[0])
    fault = _fault(golden, steps, checks, tuple(findings), label_trouble, trouble)
    if fault is not None and fault.step == "device":
        fault = _with_causes(fault, device_causes)
    held = fault is None and all(check.passed for check in checks[final])
    unproven = None
    if held:
        unproven = _unproven(golden, reference, decoded, found, thresholds, score_outputs, score)
    matrix = grounds.confusion(golden, final)
    return Verdict(
        passed=held and unproven is None,
        unproven=unproven,
        accuracy=found,
        confusion=matrix,
        classes=grounds.class_figures(matrix, label_names) if matrix is not None else (),
        task=golden.task,
        samples=len(golden),
        labelled=labelled,
        origin=golden.origin,
        reference=reference,
        final="device" if trouble and "unstable" not in trouble else final,
        checks=checks[final],
        steps=steps,
        fault=fault,
        notes=_notes(golden, steps, labelled, found),
        worst=_worst(golden, reference, final, decoded),
        emulated=emulated,
    )


def _with_causes(fault: Fault, known: Sequence[Cause]) -> Fault:
    """Return a fault with what is known of it first, and of the rest what has evidence."""
    if not known:
        return fault
    names = {cause.known for cause in known}
    rest = (cause for cause in fault.causes if cause.evidence and cause.known not in names)
    return replace(fault, causes=(*known, *rest))


def _empty(golden: Golden, emulated: bool) -> Verdict:
    return Verdict(
        passed=False,
        task=golden.task,
        samples=len(golden),
        labelled=False,
        origin=golden.origin,
        reference="",
        final="",
        checks=(),
        steps=(),
        notes=("The golden folder has no outputs of any step.",),
        emulated=emulated,
    )


# --- One step --------------------------------------------------------------------------------


def _report(
    golden: Golden,
    reference: str,
    step: str,
    metric: UserMetric | None,
    decoded: Mapping[str, Decoded],
    head: Head | None,
) -> StepReport:
    rows: list[OutputAgreement] = []
    measures: dict[str, float] = {}
    problems: list[str] = []
    labels = [sample.label for sample in golden.samples]
    for output in golden.outputs:
        good, mine = golden.load(reference, output.index), golden.load(step, output.index)
        if isinstance(good, Detections) or isinstance(mine, Detections):
            assert isinstance(good, Detections)
            assert isinstance(mine, Detections)
            measures |= _box_measures(golden, good, mine)
            continue
        mine = metrics.align(good, mine)
        row = metrics.compare_tensors(output.title, good, mine)
        rows.append(row)
        if row.problem:
            problems.append(f"{row.output} {row.problem}")
        elif output.index == 0 and head is None:
            measures |= _task_measures(golden, good, mine, labels)
    if head is not None and step in decoded and reference in decoded:
        good_boxes, my_boxes = decoded[reference], decoded[step]
        measures |= _box_measures(golden, good_boxes.boxes, my_boxes.boxes)
        distance = point_distance(good_boxes, my_boxes, head.size)
        if distance is not None:
            measures["keypoint_distance"] = distance
    measures |= _worst_output(rows)
    if metric is not None and not problems:
        measures["metric"] = _user_score(golden, reference, step, metric)
    return StepReport(step=step, measures=measures, outputs=tuple(rows), problems=tuple(problems))


def _worst_output(rows: Sequence[OutputAgreement]) -> dict[str, float]:
    found: dict[str, float] = {}
    cosines = [row.cosine for row in rows if row.cosine is not None]
    ratios = [row.snr_db for row in rows if row.snr_db is not None]
    if cosines:
        found["cosine"] = min(cosines)
    if ratios:
        found["snr_db"] = min(ratios)
    return found


def _task_measures(
    golden: Golden,
    good: NDArray[np.float32],
    mine: NDArray[np.float32],
    labels: Sequence[int | None],
) -> dict[str, float]:
    if golden.task == "classification":
        return metrics.classification_measures(good, mine, labels)
    if golden.task == "segmentation" and good.ndim == 4:
        found = {"mean_iou": metrics.mask_iou(good, mine)}
        if any(sample.mask is not None for sample in golden.samples):
            totals = masks.labelled_iou(mine, golden.load_masks(), like=good)
            found["label_iou"] = masks.mean_of_classes(totals)
        return found
    if golden.task == "pose":
        distance = metrics.keypoint_distance(good, mine)
        return {} if distance is None else {"keypoint_distance": distance}
    if golden.task == "other":
        kept = metrics.kept_differences(good, mine)
        return {} if kept is None else {"r2": kept}
    return {}


def _box_measures(golden: Golden, good: Detections, mine: Detections) -> dict[str, float]:
    found = box_measures.compare_boxes(good, mine).measures()
    if any(sample.boxes for sample in golden.samples):
        truth = [sample.boxes or () for sample in golden.samples]
        found |= box_measures.map_measures(mine, truth)
    return found


def _user_score(golden: Golden, reference: str, step: str, metric: UserMetric) -> float:
    samples = [
        {"name": sample.name, "label": sample.label, "boxes": sample.boxes}
        for sample in golden.samples
    ]
    return float(metric(_plain(golden, reference), _plain(golden, step), samples))


def _plain(golden: Golden, step: str) -> list[object]:
    found: list[object] = []
    for output in golden.outputs:
        value = golden.load(step, output.index)
        if isinstance(value, Detections):
            found.append([value.sample(index) for index in range(len(value))])
        else:
            found.append(value)
    return found


# --- Demands ---------------------------------------------------------------------------------


def _checks(
    golden: Golden, base: StepReport, report: StepReport, demands: VerdictThresholds
) -> tuple[Check, ...]:
    checks: list[Check] = []

    def add(measure: str, value: float, limit: float, ok: bool) -> None:
        checks.append(Check(measure=measure, step=report.step, value=value, limit=limit, passed=ok))

    have = report.measures
    for measure in ("agreement", "f1", "mean_iou"):
        limit = getattr(demands, measure)
        if limit is not None and measure in have:
            # A demand finer than one sample counts as one sample.
            slack = 1.0 / len(golden) if measure == "agreement" and limit < 1.0 else 0.0
            allowed = min(limit, 1.0 - slack)
            add(measure, have[measure], limit, have[measure] >= allowed - 1e-9)
    for measure in ("cosine", "snr_db", "r2"):
        limit = getattr(demands, measure)
        if limit is not None and measure in have:
            add(measure, have[measure], limit, have[measure] >= limit - 1e-9)
    known = sum(sample.label is not None for sample in golden.samples)
    for measure, source, points in (
        ("top1_drop", "top1", 100.0),
        ("map_drop", "map50", 100.0),
        ("label_iou_drop", "label_iou", 100.0),
        ("metric_drop", "metric", 1.0),
    ):
        limit = getattr(demands, measure)
        if limit is None or source not in have or source not in base.measures:
            continue
        drop = (base.measures[source] - have[source]) * points
        allowed = limit
        if measure == "top1_drop" and known:
            allowed = max(limit, 100.0 / known)  # a demand finer than one sample is for one
        add(measure, drop, limit, drop <= allowed + 1e-9)
    if report.problems:
        add("cosine", -1.0, demands.cosine if demands.cosine is not None else 0.0, False)
    return tuple(checks)


# --- Whose fault -----------------------------------------------------------------------------


def _fault(
    golden: Golden,
    steps: Sequence[StepReport],
    checks: Mapping[str, Sequence[Check]],
    findings: Sequence[Finding],
    label_trouble: tuple[str, str, dict[str, str]] | None,
    trouble: Mapping[str, str],
) -> Fault | None:
    if label_trouble is not None:
        step, reason, symptoms = label_trouble
        # Without a framework the ONNX file is what was trained, and no export is to blame.
        key = step if step in (*FRAMEWORK_STEPS, "labels") else "float"
        causes = likely_causes(key, symptoms, findings)
        return Fault(step=step, measure="top1", reason=reason, causes=causes)
    broken = next((r for r in steps if not all(c.passed for c in checks[r.step])), None)
    final_fails = not all(check.passed for check in checks[steps[-1].step])
    if broken is not None and final_fails:
        missed = next(check for check in checks[broken.step] if not check.passed)
        step = _biggest_loss(steps, broken.step, missed, checks)
        report = next(r for r in steps if r.step == step)
        before = steps[max(0, [r.step for r in steps].index(step) - 1)].step
        symptoms = find_symptoms(golden, step, before, report.measures)
        if step == "device":
            symptoms |= trouble
        return Fault(
            step=step,
            measure=missed.measure,
            reason=_reason(report, missed, step == broken.step),
            causes=likely_causes(step, symptoms, findings),
        )
    if trouble:
        name, text = next(iter(trouble.items()))
        causes = likely_causes("device", trouble, findings)
        # What the runtime itself said leaves no room for guesses.
        seen = tuple(cause for cause in causes if cause.evidence)
        return Fault(step="device", measure=name, reason=text, causes=seen or causes)
    return None


def _reason(report: StepReport, missed: Check, first: bool) -> str:
    if report.problems:
        return report.problems[0]
    if first:
        return missed.text
    title = MEASURE_TITLES.get(missed.measure, missed.measure)
    where = STEP_TITLES.get(missed.step, missed.step)
    return f"most of the loss happens here, though {title} is too low only at the step {where}"


def _biggest_loss(
    steps: Sequence[StepReport],
    first_broken: str,
    missed: Check,
    checks: Mapping[str, Sequence[Check]],
) -> str:
    """Return the step up to ``first_broken`` that lost most of the missed measure.

    The first broken step keeps the blame unless an earlier one lost at least twice as much:
    then that one spent what the recipe allows, and this one only tipped the scale.
    """
    order = [report.step for report in steps]
    upto = order[: order.index(first_broken) + 1]
    values = []
    for step in upto:
        check = next((c for c in checks[step] if c.measure == missed.measure), None)
        if check is None:
            return first_broken
        values.append(check.value if missed.measure.endswith("_drop") else -check.value)
    losses = [after - before for before, after in pairwise(values)]
    if not losses:
        return first_broken
    most = int(np.argmax(losses))
    return upto[most + 1] if losses[most] > 2.0 * max(losses[-1], 0.0) else first_broken


def _label_trouble(
    golden: Golden,
    reference: str,
    label_names: Sequence[str] | None,
    base: StepReport,
) -> tuple[str, str, dict[str, str]] | None:
    """Tell wrong labels from a wrong network: step, reason and symptoms, or ``None``."""
    if golden.task != "classification" or not golden.outputs:
        return None
    output = golden.load(reference, 0)
    if isinstance(output, Detections):
        return None
    scores = metrics.class_scores(output)
    classes = scores.shape[1]
    known = np.array([sample.label is not None for sample in golden.samples])
    truth = np.array([-1 if s.label is None else s.label for s in golden.samples])[known]
    if label_names is not None and classes > 1 and len(label_names) != classes:
        text = f"the list of labels has {_names(label_names)}, the network {classes} classes"
        if output.size == len(output):
            text += " (one number: that of the second; name both)"
        return "labels", text, {"label-count": text}
    if len(truth) and classes > 1 and int(truth.max()) >= classes:
        text = f"a sample has label {int(truth.max())}, the network has {classes} classes"
        return "labels", text, {"label-count": text}
    accuracy = base.measures.get("top1")
    if accuracy is None or len(truth) < 3 * len(np.unique(truth)):
        return None
    guesses = metrics.top_classes(scores, 1)[:, 0][known]
    renamed = metrics.relabelled_accuracy(guesses, truth)
    if renamed - accuracy >= PERMUTED_GAIN:
        text = (
            f"the float model is right on {accuracy:.0%} of the samples, and would be on "
            f"{renamed:.0%} with the classes renamed"
        )
        return "labels", text, {"permuted-labels": text}
    return None


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} name{'' if len(names) == 1 else 's'}"


def _no_better_than_guessing(
    golden: Golden, base: StepReport
) -> tuple[str, str, dict[str, str]] | None:
    """Blame a float model that is wrong by itself; a later step's loss is told by its check."""
    own = grounds.accuracy(golden, base.measures)
    if own is None or grounds.beats_guessing(own) is not False or _one_label(own):
        return None
    if own.measure == "map50":
        text = (
            f"the float model itself finds almost nothing of what the labels of {own.samples} "
            f"samples show (mAP@50 {own.value:.1%})"
        )
    elif own.measure == "label_iou":
        text = (
            f"the float model itself overlaps the masks of {own.samples} samples by "
            f"{own.value:.1%} (mean IoU), and guessing gives {own.chance:.1%}"
        )
    else:
        text = (
            f"the float model itself is right on {own.value:.0%} of the {own.samples} samples, "
            f"and naming the commonest class is on {own.chance:.0%}"
        )
    return base.step, text, {}


def _one_label(found: Accuracy) -> bool:
    """Tell whether all samples have one label: then it says nothing about the others."""
    return found.measure == "top1" and found.chance >= 1.0


def _unproven(
    golden: Golden,
    reference: str,
    decoded: Mapping[str, Decoded],
    found: Accuracy | None,
    asked: VerdictThresholds | None,
    score_outputs: Sequence[int],
    score: float,
) -> str | None:
    """Return why a build that agrees at every step is not proven by that."""
    if not (asked is not None and asked.f1 == 0.0):
        text = grounds.nothing_proven(
            golden, reference, decoded, score_outputs=score_outputs, score=score
        )
        if text is not None:
            return text
    if found is None or _one_label(found) or grounds.beats_guessing(found) is True:
        return None
    if found.measure == "map50":
        return f"mAP@50 by the labels of {found.samples} samples is {found.value:.1%} only"
    if found.measure == "label_iou":
        return (
            f"mean IoU by the masks of {found.samples} samples is {found.value:.1%}, hardly above "
            f"what guessing gives ({found.chance:.1%})"
        )
    text = (
        f"right on {found.value:.0%} of {found.samples} labelled samples, and naming the "
        f"commonest class is on {found.chance:.0%}"
    )
    return text if found.value <= found.chance else f"{text}: too few samples to tell them apart"


# --- For the reader --------------------------------------------------------------------------


def _notes(
    golden: Golden,
    steps: Sequence[StepReport],
    labelled: bool,
    found: Accuracy | None,
) -> tuple[str, ...]:
    notes: list[str] = []
    if found is not None and _one_label(found):
        notes.append("All labels are of one class: they say nothing about the others.")
    within = found.known_within if found is not None else None
    if found is not None and within is not None and within >= grounds.COARSE:
        notes.append(
            f"{counted(found.samples, 'sample')}: the accuracy is known to within "
            f"{within:.0f} points."
        )
    if golden.origin != "validation":
        notes.append(
            f"The samples come from the {golden.origin} set, not from a validation set: the "
            "verdict is too favourable."
        )
    if not labelled:
        notes.append(
            "The samples have no labels: steps are judged against the float model, not against "
            "the truth."
        )
    elif found is None:
        notes.append(_unused(golden))
    if len(golden) < 16 and within is None:
        notes.append(
            f"Only {counted(len(golden), 'sample')}: one is {100 / len(golden):.0f} points."
        )
    if steps[0].step not in FRAMEWORK_STEPS:
        title = STEP_TITLES.get(steps[0].step, steps[0].step)
        notes.append(
            f"There are no outputs of a training framework to compare; the reference is {title}."
        )
    for report in steps[1:]:
        cosine = report.measures.get("cosine")
        if report.step in FLOAT_STEPS and cosine is not None and cosine < FLOAT_COSINE:
            title = STEP_TITLES[report.step]
            notes.append(
                f"Step {title} computes in floating point, yet differs from the float model "
                f"(cosine {cosine:.5f})."
            )
    return tuple(notes)


def _unused(golden: Golden) -> str:
    """Say why the labels that there are judged nothing."""
    if any(sample.boxes for sample in golden.samples):
        why = "no boxes can be decoded from these outputs"
    elif any(sample.mask is not None for sample in golden.samples):
        why = "the first output is not a map of classes, which masks could judge"
    else:
        why = f"they are classes, and the task is {golden.task}"
    return f"The labels of the samples were not used: {why}."


def _worst(
    golden: Golden, reference: str, final: str, decoded: Mapping[str, Decoded]
) -> tuple[Worst, ...]:
    """Return the samples on which the last step is furthest from the float model."""
    found = _sample_scores(golden, reference, final, decoded)
    return tuple(sorted(found, key=lambda one: one.score)[:WORST_SHOWN])


def sample_scores(golden: Golden, head: Head | None = None) -> tuple[Worst, ...]:
    """Return every sample with how well the last step agrees with the float model on it.

    Empty where there is one step only, or where the two cannot be compared.
    """
    if len(golden.order) < 2:
        return ()
    ends = (golden.order[0], golden.order[-1])
    decoded = decode_steps(golden, head, ends) if head is not None else {}
    return _sample_scores(golden, *ends, decoded)


def _sample_scores(
    golden: Golden, reference: str, final: str, decoded: Mapping[str, Decoded]
) -> tuple[Worst, ...]:
    if reference == final or not golden.outputs:
        return ()
    good, mine = golden.load(reference, 0), golden.load(final, 0)
    if reference in decoded and final in decoded:
        good, mine = decoded[reference].boxes, decoded[final].boxes
    notes: list[str] = [""] * len(golden)
    if isinstance(good, Detections) or isinstance(mine, Detections):
        assert isinstance(good, Detections)
        assert isinstance(mine, Detections)
        scores = np.array(box_measures.compare_boxes(good, mine).per_sample)
        notes = [f"{value:.0%} of the boxes agree" for value in scores]
    elif good.size != mine.size:
        return ()
    else:
        mine = metrics.align(good, mine)
        scores = metrics.sample_cosines(good, mine)
        notes = [f"cosine {value:.4f}" for value in scores]
        if golden.task == "classification":
            left = metrics.top_classes(metrics.class_scores(good), 1)[:, 0]
            right = metrics.top_classes(metrics.class_scores(mine, good), 1)[:, 0]
            scores = scores - (left != right)
            for index in np.flatnonzero(left != right):
                notes[index] = f"class {right[index]} instead of {left[index]}, {notes[index]}"
    return tuple(
        Worst(index=number, name=sample.name, score=float(scores[number]), note=notes[number])
        for number, sample in enumerate(golden.samples)
    )
