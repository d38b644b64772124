"""Planted lies of every task, and honest controls: what proves nothing never passes.

All steps agree in each of these, so that agreement alone would pass every one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.report import decide, load_golden
from orchestrator.report.grounds import wilson
from orchestrator.report.model import VerdictThresholds
from tests.unit.report.folders import STEPS, write_golden

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(11)
N = 40
LABELS = [i % 4 for i in range(N)]


def normal(*shape: int) -> Any:
    return RANDOM.normal(0, 1, (N, *shape)).astype(np.float32)


def right(share: float, labels: list[int] | None = None, classes: int = 4) -> Any:
    """Logits that are right on ``share`` of the samples."""
    truth = np.array(LABELS if labels is None else labels)
    count = len(truth)
    logits = RANDOM.normal(0, 0.1, (count, classes)).astype(np.float32)
    wrong = np.arange(count) >= round(share * count)
    elsewhere = RANDOM.integers(1, classes, count)
    logits[np.arange(count), (truth + wrong * elsewhere) % classes] += 5
    return logits


def boxes(*, same: bool = False, none: bool = False) -> list[Any]:
    if none:
        return [np.zeros((0, 6), np.float32)] * N
    found = []
    for index in range(N):
        y, x = (0.2, 0.3) if same else RANDOM.uniform(0, 0.5, 2)
        found.append(np.array([[y, x, y + 0.3, x + 0.3, 0.9, index % 2 * (not same)]], np.float32))
    return found


def truth_of(found: list[Any]) -> list[list[list[float]]]:
    return [[[*map(float, row[:4]), float(row[5])] for row in rows] for rows in found]


def masks(*, only: int | None = None) -> Any:
    logits = normal(8, 8, 3)
    if only is not None:
        logits[..., only] += 50
    return logits


def truth_of_masks(logits: Any, *, shift: int = 0, zoom: int = 1) -> Any:
    """Masks that the logits are right about, or whose classes are others."""
    numbers = (logits.argmax(-1) + shift) % 3
    return numbers.repeat(zoom, 1).repeat(zoom, 2)


def heat_maps(*, top: float) -> Any:
    maps = RANDOM.uniform(0, 0.05, (N, 8, 8, 5)).astype(np.float32) * min(1.0, top / 0.05)
    for index in range(N):
        maps[index, index % 8, (index * 3) % 8, :] = top
    return maps


def constant(*shape: int) -> Any:
    return np.repeat(RANDOM.normal(0, 1, (1, *shape)).astype(np.float32), N, axis=0)


@dataclass(frozen=True)
class Case:
    task: str
    output: Any
    outcome: str
    says: str
    golden: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


AREAS = masks()
FEW = [0, 1, 2, 3, 0, 1, 2, 3]
SOME = boxes()
ELSEWHERE = [[[0.85, 0.85, 1.0, 1.0, 0.0]]] * N
MANY = [0] * 36 + [1, 2, 3, 1]
CASES = {
    # classification
    "at chance": Case("classification", right(0.25), "failed", "commonest", {"labels": LABELS}),
    "below chance": Case("classification", right(0.1), "failed", "commonest", {"labels": LABELS}),
    "only the majority": Case(
        "classification",
        np.tile(np.float32([5, 0, 0, 0]), (N, 1)) + normal(4) * 0.1,
        "failed",
        "commonest class is on 90%",
        {"labels": MANY},
    ),
    "hardly above chance": Case(
        "classification", right(0.3), "unproven", "too few", {"labels": LABELS}
    ),
    "eight samples, half right": Case(
        "classification", right(0.5, FEW), "unproven", "too few", {"labels": FEW}
    ),
    "eight samples, all right": Case(
        "classification", right(1.0, FEW), "passed", "the model works", {"labels": FEW}
    ),
    "good": Case("classification", right(0.95), "passed", "the model works", {"labels": LABELS}),
    "good without labels": Case("classification", right(0.95), "passed", "not tested"),
    "one class for all": Case(
        "classification", normal(4) * 0.1 + np.float32([9, 0, 0, 0]), "unproven", "class 0"
    ),
    "labels of one class": Case(
        "classification", right(0.95, [1] * N), "passed", "not tested", {"labels": [1] * N}
    ),
    "a constant classifier": Case("classification", constant(4), "unproven", "the same"),
    # detection, with NMS in the HEF
    "no boxes": Case("detection", boxes(none=True), "unproven", "finds no box"),
    "the same boxes": Case("detection", boxes(same=True), "unproven", "the same boxes"),
    "boxes": Case("detection", SOME, "passed", "not tested"),
    "boxes by the labels": Case(
        "detection", SOME, "passed", "the model works", {"boxes": truth_of(SOME)}
    ),
    **{
        f"boxes by the labels, {task}": Case(
            task, SOME, "passed", f"{part} are was not tested", {"boxes": truth_of(SOME)}
        )
        for task, part in (("pose", "key points"), ("segmentation", "masks"), ("obb", "angles"))
    },
    "no box where the labels are": Case(
        "detection", boxes(), "failed", "almost nothing", {"boxes": ELSEWHERE}
    ),
    # heads that nobody can decode here
    "raw scores below the least": Case(
        "obb",
        normal(8, 8, 3) - 20,
        "unproven",
        "highest score",
        more={"score_outputs": (0,), "score": 0.2},
    ),
    "raw probabilities below the least": Case(
        "detection",
        np.abs(normal(8, 8, 3)) * 0.001,
        "unproven",
        "highest score",
        more={"score_outputs": (0,), "score": 0.2},
    ),
    "raw scores": Case(
        "obb", normal(8, 8, 3), "passed", "not tested", more={"score_outputs": (0,), "score": 0.2}
    ),
    "a constant oriented head": Case("obb", constant(8, 8, 3), "unproven", "the same"),
    # segmentation
    "only background": Case("segmentation", masks(only=0), "unproven", "only the background"),
    "only another class": Case("segmentation", masks(only=2), "unproven", "only class 2"),
    "masks": Case("segmentation", masks(), "passed", "not tested"),
    "masks by the labels": Case(
        "segmentation",
        AREAS,
        "passed",
        "the model works",
        {"masks": truth_of_masks(AREAS)},
    ),
    "masks by finer labels": Case(
        "segmentation",
        AREAS,
        "passed",
        "mean IoU 100.0%",
        {"masks": truth_of_masks(AREAS, zoom=4)},
    ),
    "masks of other classes": Case(
        "segmentation",
        AREAS,
        "failed",
        "the float model itself overlaps the masks of 40 samples by 0.0%",
        {"masks": truth_of_masks(AREAS, shift=1)},
    ),
    "masks of other pictures": Case(
        "segmentation",
        AREAS,
        "failed",
        "guessing gives",
        {"masks": truth_of_masks(AREAS[::-1])},
    ),
    "masks that leave all open": Case(
        "segmentation",
        AREAS,
        "failed",
        "the float model itself",
        {"masks": np.full((N, 8, 8), 255)},
    ),
    "a constant mask": Case("segmentation", constant(8, 8, 3), "unproven", "the same"),
    "no foreground of one channel": Case(
        "segmentation", normal(8, 8, 1) * 0.1 - 9, "unproven", "only the background"
    ),
    # pose
    "no key point": Case("pose", heat_maps(top=0.02), "unproven", "no key point"),
    "key points": Case("pose", heat_maps(top=0.8), "passed", "not tested"),
    "a constant pose": Case("pose", constant(8, 8, 5), "unproven", "the same"),
    "a pose head that finds nobody": Case("pose", boxes(none=True), "unproven", "finds no box"),
    # regression, embeddings, anything
    "one number for all": Case("other", constant(1), "unproven", "the same"),
    "numbers": Case("other", normal(1) + 20, "passed", "not tested"),
    "one embedding for all": Case("other", constant(64), "unproven", "the same"),
    "embeddings lost in 8 bits": Case(
        "other", constant(64) + normal(64) * 1e-4, "unproven", "the same"
    ),
    "embeddings": Case("other", normal(64), "passed", "not tested"),
    "all zero": Case("other", np.zeros((N, 16), np.float32), "unproven", "the same"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_proves_nothing_never_passes(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    steps = {step: [case.output] for step in STEPS}
    written = write_golden(tmp_path, steps, task=case.task, **case.golden)
    verdict = decide(load_golden(written), **case.more)
    assert (verdict.outcome, case.says in verdict.headline) == (case.outcome, True), (
        verdict.headline
    )
    assert verdict.passed is (case.outcome == "passed")
    assert verdict.to_json()["outcome"] == case.outcome


def test_the_step_at_fault_is_one_of_this_build(tmp_path: Path) -> None:
    steps = {step: [right(0.1)] for step in STEPS if step != "pytorch"}
    verdict = decide(load_golden(write_golden(tmp_path, steps, labels=LABELS)))
    assert verdict.fault is not None
    assert verdict.fault.step == "onnx"
    assert "export" not in " ".join(cause.text for cause in verdict.fault.causes)


def test_the_samples_say_how_much_they_can_tell(tmp_path: Path) -> None:
    written = write_golden(tmp_path, {step: [right(1.0, FEW)] for step in STEPS}, labels=FEW)
    verdict = decide(load_golden(written))
    assert any("8 samples: the accuracy is known to within 32 points" in n for n in verdict.notes)


@pytest.mark.parametrize(
    ("share", "samples", "bounds"),
    [(8, 8, (0.6756, 1.0)), (0, 10, (0.0, 0.2775)), (50, 100, (0.4038, 0.5962)), (0, 0, (0, 1))],
)
def test_wilsons_interval(share: int, samples: int, bounds: tuple[float, float]) -> None:
    assert wilson(share, samples) == pytest.approx(bounds, abs=1e-4)


def test_each_class_has_its_figures(tmp_path: Path) -> None:
    labels = [0, 0, 0, 1, 1, 3]
    logits = np.zeros((6, 4), np.float32)
    logits[np.arange(6), [0, 0, 1, 1, 1, 3]] = 1
    written = write_golden(tmp_path, {step: [logits] for step in STEPS}, labels=labels)
    verdict = decide(load_golden(written), label_names=["a", "b", "c", "d"])
    assert verdict.confusion is not None
    assert verdict.confusion.classes == (0, 1, 3)
    assert verdict.confusion.counts == ((2, 1, 0), (0, 2, 0), (0, 0, 1))
    found = {one.name: (one.samples, one.recall, one.precision) for one in verdict.classes}
    assert found == {
        "a": (3, pytest.approx(2 / 3), 1.0),
        "b": (2, 1.0, pytest.approx(2 / 3)),
        "d": (1, 1.0, 1.0),
    }


@pytest.mark.parametrize(
    ("task", "labels", "why"),
    [
        ("detection", {"boxes": truth_of(SOME)}, "no boxes can be decoded"),
        ("other", {"labels": [0, 1] * (N // 2)}, "they are classes, and the task is other"),
        ("other", {"masks": np.zeros((N, 4, 4))}, "the first output is not a map of classes"),
    ],
)
def test_labels_that_judge_nothing_are_told(
    task: str, labels: dict[str, Any], why: str, tmp_path: Path
) -> None:
    steps = {step: [normal(8, 8, 3)] for step in STEPS}
    verdict = decide(load_golden(write_golden(tmp_path, steps, task=task, **labels)))
    assert verdict.basis == "agreement"
    assert any(why in note for note in verdict.notes), verdict.notes
    bare = decide(load_golden(write_golden(tmp_path / "bare", steps, task=task)))
    assert not any("not used" in note for note in bare.notes)


@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_one_number_tells_two_classes(kind: str, tmp_path: Path) -> None:
    labels = [number % 2 for number in range(N)]
    logits = (np.array(labels, np.float32) * 2 - 1)[:, None] * (np.abs(normal(1)) + 0.5)
    answers = 1 / (1 + np.exp(-logits)) if kind == "probability" else logits
    for name, given, outcome in (
        ("right", answers, "passed"),
        ("the other way round", 1 - answers if kind == "probability" else -answers, "failed"),
    ):
        steps = {step: [given] for step in STEPS}
        written = write_golden(tmp_path / name, steps, labels=labels)
        verdict = decide(load_golden(written), label_names=["off", "on"])
        assert verdict.outcome == outcome, verdict.headline
    assert verdict.fault is not None
    assert "classes renamed" in verdict.fault.reason
    steps["device"] = [answers]
    turned = decide(load_golden(write_golden(tmp_path / "device", steps, labels=labels)))
    assert turned.outcome == "failed"
    alone = decide(load_golden(written), label_names=["on"])
    assert "name both" in alone.headline


DEVICES = {
    "twice as large": lambda answers: answers * 2,
    "one for all": lambda answers: np.repeat(answers.mean(0, keepdims=True), len(answers), 0),
    "one sample late": lambda answers: np.roll(answers, 1, axis=0),
}


@pytest.mark.parametrize("lie", DEVICES)
@pytest.mark.parametrize("shape", [(1,), (4,)])
def test_a_regressor_whose_device_answers_otherwise_fails(
    lie: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    answers = np.abs(normal(*shape)) + 5
    steps = {step: [answers] for step in STEPS}
    honest = decide(load_golden(write_golden(tmp_path / "honest", steps, task="other")))
    assert honest.passed
    steps["device"] = [DEVICES[lie](answers)]
    verdict = decide(load_golden(write_golden(tmp_path / "lie", steps, task="other")))
    assert verdict.fault is not None
    assert verdict.fault.step == "device"


def test_coarse_steps_of_a_regressor_are_no_lie(tmp_path: Path) -> None:
    answers = np.abs(normal(2)) * 3 + 20
    steps = {step: [answers] for step in STEPS}
    low, high = float(answers.min()), float(answers.max())
    grid = (high - low) / 15
    steps["device"] = [np.rint((answers - low) / grid) * grid + low]
    assert decide(load_golden(write_golden(tmp_path, steps, task="other"))).passed


@pytest.mark.parametrize("task", ["obb", "segmentation", "pose", "detection", "other"])
def test_maps_of_another_scale_fail_unless_the_recipe_asks_for_less(
    task: str, tmp_path: Path
) -> None:
    answers = masks() if task == "segmentation" else heat_maps(top=0.8)
    steps = {step: [answers] for step in STEPS}
    steps["device"] = [answers * 2]
    golden = load_golden(write_golden(tmp_path, steps, task=task))
    assert decide(golden).outcome == "failed"
    assert decide(golden, VerdictThresholds.for_task(task, {"cosine": 0.9})).outcome == "passed"
