"""The values of a verdict: what each step gave, what was demanded, which step is at fault."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from hefsmith_worker.contract.counting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What came of a build: proven, refuted, or neither.
Outcome = Literal["passed", "failed", "unproven"]
#: What a passed verdict rests on.
Basis = Literal["labels", "agreement"]

#: First steps: the framework that the network comes from; a build has at most one of them.
FRAMEWORK_STEPS = ("pytorch", "tensorflow")

#: The steps of staged parity, in the order of the pipeline.
STEPS = (
    *FRAMEWORK_STEPS,
    "onnx",
    "sdk_native",
    "sdk_fp_optimized",
    "sdk_quantized",
    "device",
)

#: Steps that compute in floating point: they should agree to rounding.
FLOAT_STEPS = (*FRAMEWORK_STEPS, "onnx", "sdk_native", "sdk_fp_optimized")

#: How people call the steps.
STEP_TITLES = {
    "labels": "labels and samples",
    "pytorch": "PyTorch",
    "tensorflow": "TensorFlow",
    "onnx": "ONNX",
    "sdk_native": "parsed network (SDK_NATIVE)",
    "sdk_fp_optimized": "model script (SDK_FP_OPTIMIZED)",
    "sdk_quantized": "quantised (SDK_QUANTIZED)",
    "device": "device",
}

#: Measures where more is better, with what they are compared to. The rest are losses.
MEASURE_TITLES = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "agreement": "top-1 agreement with the float model",
    "agreement5": "float model's first class among the first five",
    "cosine": "cosine similarity",
    "snr_db": "signal-to-noise ratio (dB)",
    "precision": "precision against the float model's boxes",
    "recall": "recall of the float model's boxes",
    "f1": "F1 against the float model's boxes",
    "r2": "share of the differences between samples that is kept (R²)",
    "mean_iou": "mean overlap (IoU) with the float model",
    "label_iou": "mean IoU with the labels",
    "map50": "mAP@50",
    "map5095": "mAP@50-95",
    "keypoint_distance": "mean key-point distance (fraction of the figure's size)",
    "metric": "own metric",
    "top1_drop": "loss of top-1 accuracy (points)",
    "map_drop": "loss of mAP@50 (points)",
    "label_iou_drop": "loss of mean IoU with the labels (points)",
    "metric_drop": "loss of the own metric",
}

#: Names short enough for the head of a column.
SHORT_TITLES = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "agreement": "agreement",
    "agreement5": "in first five",
    "cosine": "cosine",
    "snr_db": "SNR (dB)",
    "f1": "F1 (boxes)",
    "r2": "R²",
    "mean_iou": "mean IoU",
    "label_iou": "mIoU (labels)",
    "map50": "mAP@50",
    "map5095": "mAP@50-95",
    "keypoint_distance": "key points",
    "metric": "own metric",
}

#: What a task's network says of each box that labels of boxes do not judge.
BESIDE_BOXES: Mapping[str, str] = {"pose": "key points", "segmentation": "masks", "obb": "angles"}

#: A cosine is blind to the scale: an answer twice as large has 0 dB. One that meets the cosine
#: asked for has 12 dB and more, so that 3 blame nothing else.
DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "classification": {"top1_drop": 1.5, "agreement": 0.95, "cosine": 0.98},
    "detection": {"f1": 0.85, "mean_iou": 0.80, "map_drop": 3.0, "cosine": 0.97, "snr_db": 3.0},
    "segmentation": {"mean_iou": 0.85, "label_iou_drop": 3.0, "cosine": 0.97, "snr_db": 3.0},
    # Boxes are judged where the head finder knows how to decode them.
    "pose": {"f1": 0.85, "mean_iou": 0.80, "cosine": 0.98, "snr_db": 3.0},
    "obb": {"f1": 0.85, "mean_iou": 0.80, "cosine": 0.98, "snr_db": 3.0},
    "other": {"cosine": 0.98, "snr_db": 3.0, "r2": 0.05},
}


@dataclass(frozen=True, kw_only=True)
class VerdictThresholds:
    """What a verdict demands; ``None`` is not demanded.

    ``top1_drop``, ``map_drop`` and ``label_iou_drop`` are points (percent) against the float
    model. A demand finer than one sample counts as one sample. ``agreement``, ``f1`` and
    ``mean_iou`` are fractions, ``cosine`` is the mean over the samples of the worst output, where
    those that say little count less, ``snr_db`` is in decibels.
    ``metric_drop`` is in the units of the user's metric. ``r2`` is the share of the variance over
    the samples that an answer of few numbers keeps; one answer for all has 0.
    """

    top1_drop: float | None = None
    agreement: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    map_drop: float | None = None
    label_iou_drop: float | None = None
    f1: float | None = None
    mean_iou: float | None = None
    metric_drop: float | None = None
    r2: float | None = None

    @classmethod
    def for_task(cls, task: str, asked: Mapping[str, float | None] | None = None) -> Self:
        """Return the defaults of ``task`` with what the recipe asks for put over them."""
        base = cls(**DEFAULTS.get(task, DEFAULTS["other"]))
        known = {item.name for item in fields(cls)}
        given: dict[str, float | None] = {
            key: value for key, value in (asked or {}).items() if key in known and value is not None
        }
        if "cosine" in given and "snr_db" not in given:
            # Who asks for less of the one does not want the other's default.
            given["snr_db"] = None
        return replace(base, **given)


@dataclass(frozen=True, kw_only=True)
class OutputAgreement:
    """One output of one step against the float model. ``None`` = cannot be told.

    ``cosine`` is the mean over samples, weighted, and ``cosine_min`` the worst sample's;
    ``snr_db`` is ``None`` when both are identical (``exact``) or not comparable (``problem``).
    """

    output: str
    cosine: float | None = None
    cosine_min: float | None = None
    snr_db: float | None = None
    mean_abs: float | None = None
    max_abs: float | None = None
    exact: bool = False
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One step against the float model: measures for the task, and one row per output."""

    step: str
    measures: Mapping[str, float]
    outputs: tuple[OutputAgreement, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One demand on one step: ``value`` was found, ``limit`` is allowed."""

    measure: str
    step: str
    value: float
    limit: float
    passed: bool

    @property
    def text(self) -> str:
        """The check as a phrase."""
        loss = self.measure.endswith("_drop")
        name = MEASURE_TITLES.get(self.measure, self.measure)
        # Whole sentences, each a message that other languages have.
        if loss:
            return f"{name} is {self.value:.4g}, at most {self.limit:.4g} is asked"
        return f"{name} is {self.value:.4g}, at least {self.limit:.4g} is asked"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A likely reason, with what to try. ``known`` is the id of a known failure."""

    text: str
    advice: str
    known: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The step at fault and why it is taken for that."""

    step: str
    measure: str
    reason: str
    causes: tuple[Cause, ...]

    @property
    def title(self) -> str:
        """The step as people call it."""
        return STEP_TITLES.get(self.step, self.step)


@dataclass(frozen=True, kw_only=True)
class Worst:
    """A sample on which the last step is furthest from the float model."""

    index: int
    name: str
    score: float
    note: str


@dataclass(frozen=True)
class Accuracy:
    """How often the last step is right by the labels; fractions.

    ``low`` and ``high`` bound it with 95 % certainty (Wilson), ``chance`` is what naming the
    commonest class gives. A detector's mAP@50 has no such interval: ``None``.
    """

    measure: str
    value: float
    samples: int
    chance: float
    low: float | None = None
    high: float | None = None

    @property
    def known_within(self) -> float | None:
        """Half the interval, the longer one, in points."""
        if self.low is None or self.high is None:
            return None
        return 100.0 * max(self.value - self.low, self.high - self.value)


@dataclass(frozen=True)
class ClassFigures:
    """One class at the last step: how many samples have it, and how many of them were found.

    ``precision`` is the share of its answers that are right, ``None`` where it was never given.
    """

    number: int
    name: str
    samples: int
    recall: float
    precision: float | None


@dataclass(frozen=True)
class Confusion:
    """Samples by their label (row) and the class that they were taken for (column).

    Only classes that occur have a row and a column; ``classes`` numbers them.
    """

    classes: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Does the model still do its job at the last step that ran, and if not, which step broke it.

    ``reference`` is the first step there is (the float model), ``final`` the last one.
    """

    passed: bool
    task: str
    samples: int
    labelled: bool
    origin: str
    reference: str
    final: str
    checks: tuple[Check, ...]
    steps: tuple[StepReport, ...]
    fault: Fault | None = None
    #: Why agreement proves nothing here; the verdict is then neither passed nor failed.
    unproven: str | None = None
    accuracy: Accuracy | None = None
    confusion: Confusion | None = None
    classes: tuple[ClassFigures, ...] = ()
    notes: tuple[str, ...] = ()
    worst: tuple[Worst, ...] = field(default=())
    emulated: bool = False

    @property
    def outcome(self) -> Outcome:
        """``passed``, ``failed``, or ``unproven``: nothing is wrong, and nothing is shown."""
        if self.unproven is not None:
            return "unproven"
        return "passed" if self.passed else "failed"

    @property
    def basis(self) -> Basis:
        """What a passed verdict rests on: labels, or agreement with the float model only."""
        found = self.accuracy
        above = found is not None and (found.low is None or found.low > found.chance)
        return "labels" if self.passed and above else "agreement"

    @property
    def headline(self) -> str:
        """The verdict as one sentence, with what it rests on."""
        title = STEP_TITLES.get(self.final, self.final)
        where = "on the device" if self.final == "device" else f"at the step {title}"
        tail = " (emulated)" if self.emulated else ""
        if self.unproven is not None:
            return f"unproven {where}: {self.unproven}{tail}"
        if self.passed and self.basis == "labels":
            part = BESIDE_BOXES.get(self.task)
            if self.accuracy is not None and self.accuracy.measure == "map50" and part:
                return (
                    f"passed: the model's boxes are right {where}, {self._by_labels()}; whether "
                    f"its {part} are was not tested{tail}"
                )
            return f"passed: the model works {where}, {self._by_labels()}{tail}"
        if self.passed:
            return (
                f"passed: agrees with your float model {where}, "
                f"{counted(self.samples, 'sample')}; whether "
                f"that model is right was not tested{tail}"
            )
        if self.fault is None:
            return f"failed {where}, {counted(self.samples, 'sample')}{tail}"
        return f"failed: the fault is at the step {self.fault.title}: {self.fault.reason}{tail}"

    def _by_labels(self) -> str:
        found = self.accuracy
        assert found is not None
        if found.measure == "label_iou":
            return (
                f"mean IoU {found.value:.1%} with the masks of {counted(found.samples, 'sample')} "
                f"(guessing {found.chance:.1%})"
            )
        if found.low is None or found.high is None:
            name = MEASURE_TITLES[found.measure]
            return f"{name} {found.value:.1%} by the labels of {counted(found.samples, 'sample')}"
        return (
            f"right on {found.value:.1%} of {counted(found.samples, 'labelled sample')} "
            f"({found.low:.1%} to "
            f"{found.high:.1%}; guessing {found.chance:.1%})"
        )

    @property
    def checked(self) -> str | None:
        """The title of the step that was checked, where the last step gave no outputs."""
        step = self.checks[0].step if self.checks else self.final
        return None if step == self.final else STEP_TITLES.get(step, step)

    def to_json(self) -> dict[str, object]:
        """Return plain values, with the headline; numbers that are none are ``None``."""
        said = {"headline": self.headline, "outcome": self.outcome, "basis": self.basis}
        return {"schema": 1, **said, **_of_numbers(asdict(self))}

    @property
    def step_documents(self) -> Sequence[Mapping[str, Any]]:
        """The steps as plain values, in their order."""
        return [asdict(step) for step in self.steps]


def _of_numbers(value: Any) -> Any:
    """Return plain values without NaN and infinities, which JSON cannot tell."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _of_numbers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_of_numbers(one) for one in value]
    return value
