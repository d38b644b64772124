"""The one test that catches most: the float model on a few of the calibration arrays.

If the float model does not recognise the very arrays that the compiler will calibrate with,
something before the network is wrong: channel order, normalisation, resizing, layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.calibration.answers import Answers, read_answers
from hefsmith_worker.calibration.model import FloatCheck, InputSpec
from hefsmith_worker.calibration.preparation import turned
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import ERROR, INFO, WARNING, Finding
from hefsmith_worker.pictures import normalise

if TYPE_CHECKING:
    import numpy as np

SAMPLES = 8

#: Another way of preparing must be this much more confident on average, and on this share of
#: the samples, before it is suspected to be the right one.
BETTER_BY = 0.08
BETTER_SHARE = 0.75
#: From so many labelled samples on the labels decide, not the confidence.
KNOWN_ENOUGH = 4


@dataclass(frozen=True)
class ProbedRows:
    """The rows to look at: arrays by input (as fed), names, true labels where known."""

    arrays: Mapping[str, Any]
    names: Tuple[str, ...]
    truth: Tuple[Optional[int], ...]


#: Prepares the probe's first input with another preprocessing, or gives ``None``.
Prepare = Callable[[str], Optional[Any]]


def check_with_float_model(
    model: str,
    specs: Sequence[InputSpec],
    probe: ProbedRows,
    labels: Sequence[str],
    task: Optional[str],
    prepare_as: Prepare,
) -> Tuple[Optional[FloatCheck], List[Finding]]:
    """Run the ONNX file on the probe; ``prepare_as("letterbox")`` gives arrays to compare."""
    try:
        run = _session(model)
    except ImportError:
        return None, [_skipped("onnxruntime is not installed here")]
    except Exception as error:
        return None, [_skipped(f"the model cannot be loaded: {_short(error)}")]

    def ask(arrays: Mapping[str, Any]) -> Answers:
        return read_answers(_outputs(run, specs, arrays), labels, task)

    try:
        answers = ask(probe.arrays)
    except Exception as error:
        return None, [_skipped(f"the model cannot be run on the arrays: {_short(error)}")]
    found = _lint_answers(answers, probe)
    swapped = None
    first = specs[0]
    if first.preprocess.color in ("rgb", "bgr"):
        colours = turned(probe.arrays[first.name], first.preprocess)
        swapped = ask({**probe.arrays, first.name: colours})
        if _clearly_better(swapped, answers, probe.truth):
            found.append(_channel_order(answers, swapped, first, probe.truth))
    found += _normalisation(ask, first, probe, answers)
    other = "letterbox" if first.preprocess.resize == "stretch" else "stretch"
    if first.preprocess.resize in ("stretch", "letterbox"):
        arrays_as = prepare_as(other)
        if arrays_as is not None:
            changed = ask({**probe.arrays, first.name: arrays_as})
            if _clearly_better(changed, answers, probe.truth):
                how = _compare(answers, changed, probe.truth)
                found.append(_resize(how, first.preprocess.resize, other))
    check = FloatCheck(
        probe.names,
        answers.texts,
        _mean(answers.scores),
        _mean(swapped.scores) if swapped else None,
        _right(answers, probe.truth),
    )
    return check, found


def _session(model: str) -> Callable[[Dict[str, Any]], List[Any]]:
    from hefsmith_worker.onnx_files import Session

    return Session(model).run


def _outputs(
    run: Callable[[Dict[str, Any]], List[Any]],
    specs: Sequence[InputSpec],
    arrays: Mapping[str, Any],
) -> List[Any]:
    """Run row by row (exported networks have a batch of one) and return the outputs."""
    import numpy as np

    collected: List[List[Any]] = []
    for row in range(len(next(iter(arrays.values())))):
        feeds = {spec.name: as_network_input(arrays[spec.name][row], spec) for spec in specs}
        collected.append([np.asarray(output) for output in run(feeds)])
    return [np.concatenate([row[i] for row in collected]) for i in range(len(collected[0]))]


def as_network_input(row: np.ndarray[Any, Any], spec: InputSpec) -> np.ndarray[Any, Any]:
    """Return one row (H, W, C) as the float network takes it: (1, C, H, W) float32.

    Features (F,) become (1, F).
    """
    import numpy as np

    values = normalise(row, spec.preprocess) if row.dtype == np.uint8 else row
    if values.ndim == 1:
        return np.ascontiguousarray(values[None].astype(np.float32))
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None].astype(np.float32))


def _lint_answers(answers: Answers, probe: ProbedRows) -> List[Finding]:
    found = []
    if not answers.finite:
        found.append(
            Finding(
                "calib.float.nan",
                ERROR,
                "the float model answers with NaN or infinity on the calibration arrays",
                "Check the weights; quantising them cannot work.",
            )
        )
    elif answers.constant and len(probe.names) > 1:
        found.append(
            Finding(
                "calib.float.constant",
                WARNING,
                f"the float model answers the same on "
                f"{counted(len(probe.names), 'calibration array')}",
                "Check preprocessing (mean, std, who normalises) and the weights.",
            )
        )
    right, known = _right(answers, probe.truth), _known(probe.truth)
    if right is not None and known >= KNOWN_ENOUGH and right * 4 <= known:
        found.append(
            Finding(
                "calib.float.wrong",
                WARNING,
                f"the float model is right on {right} of {known} calibration arrays with a known "
                "label",
                "Check channel order, mean and std, resizing, and the order of the labels.",
                f"{known}",
                f"{right}",
            )
        )
    return found


def _known(truth: Sequence[Optional[int]]) -> int:
    return sum(1 for label in truth if label is not None)


def _right(answers: Answers, truth: Sequence[Optional[int]]) -> Optional[int]:
    if answers.classes is None or all(label is None for label in truth):
        return None
    return sum(
        1 for got, label in zip(answers.classes, truth) if label is not None and got == label
    )


def _clearly_better(other: Answers, ours: Answers, truth: Sequence[Optional[int]]) -> bool:
    """By true labels when they are known, else by confidence."""
    right, other_right = _right(ours, truth), _right(other, truth)
    if right is not None and other_right is not None:
        known = _known(truth)
        if known >= KNOWN_ENOUGH:
            return other_right - right >= max(2, 0.25 * known)
    if ours.scores is None or other.scores is None:
        return False
    gains = [b - a for a, b in zip(ours.scores, other.scores)]
    better = sum(1 for gain in gains if gain > 0)
    return sum(gains) / len(gains) > BETTER_BY and better >= BETTER_SHARE * len(gains)


def _channel_order(
    answers: Answers, swapped: Answers, spec: InputSpec, truth: Sequence[Optional[int]]
) -> Finding:
    ours = spec.preprocess.color
    other = "bgr" if ours == "rgb" else "rgb"
    return Finding(
        "calib.channel-order",
        WARNING,
        f"the float model does better on {other.upper()} than on {ours.upper()} "
        f"({_compare(answers, swapped, truth)})",
        f"The network was probably trained on {other.upper()}: set preprocessing.color: {other}.",
        ours,
        other,
    )


#: Ways of normalising that networks are trained with, for values of 0..255.
_WAYS: Tuple[Tuple[str, Tuple[float, ...], Tuple[float, ...]], ...] = (
    ("values of 0..1", (0.0,), (255.0,)),
    ("values of 0..255", (0.0,), (1.0,)),
    ("values of -1..1", (127.5,), (127.5,)),
    ("ImageNet's mean and std", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
)
#: Known labels that it takes to speak of another normalisation, and the share of them that the
#: network must be right on more often. (Confidence says nothing: it grows with the values.)
_KNOWN, _MORE = 8, 0.4


def _normalisation(
    ask: Callable[[Mapping[str, Any]], Answers],
    first: InputSpec,
    probe: ProbedRows,
    answers: Answers,
) -> List[Finding]:
    """Try other ways to normalise where the network is wrong about known labels."""
    import numpy as np

    known = _known(probe.truth)
    right = _right(answers, probe.truth)
    if right is None or known < _KNOWN or 2 * right > known:
        return []
    arrays = np.asarray(probe.arrays[first.name])
    if arrays.ndim != 4 or first.preprocess.color not in ("rgb", "bgr", "gray"):
        return []
    own = [np.asarray(part, np.float32).reshape(-1) for part in first.preprocess.offset_and_scale]
    raw = arrays.astype(np.float32) if arrays.dtype == np.uint8 else arrays * own[1] + own[0]
    best: Optional[Tuple[int, str, Tuple[float, ...], Tuple[float, ...]]] = None
    for name, mean, std in _WAYS:
        if arrays.shape[-1] not in (len(mean), 3) or (
            np.allclose(own[0], mean) and np.allclose(own[1], std)
        ):
            continue
        made = (raw - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
        changed = ask({**probe.arrays, first.name: made})
        count = _right(changed, probe.truth) or 0
        if count - right >= max(3, _MORE * known) and (best is None or count > best[0]):
            best = (count, name, mean, std)
    if best is None:
        return []
    count, name, mean, std = best
    return [
        Finding(
            "calib.normalisation",
            WARNING,
            f"the float model is right on {count} of {known} pictures with {name}, on {right} as "
            "they are normalised now",
            "Training probably used it: set preprocessing.mean: "
            f"{[float(one) for one in mean]} and std: {[float(one) for one in std]}.",
        )
    ]


def _resize(how: str, ours: str, other: str) -> Finding:
    return Finding(
        "calib.resize",
        WARNING,
        f"the float model does better with resize: {other} than with {ours} ({how})",
        f"Training probably used it: set preprocessing.resize: {other}.",
        ours,
        other,
    )


def _compare(ours: Answers, other: Answers, truth: Sequence[Optional[int]]) -> str:
    """Return what :func:`_clearly_better` went by."""
    right, other_right = _right(ours, truth), _right(other, truth)
    known = _known(truth)
    if right is not None and other_right is not None and known >= KNOWN_ENOUGH:
        return f"right on {other_right} of {known} with a known label against {right}"
    before, after = _mean(ours.scores), _mean(other.scores)
    if before is None or after is None:
        return "by its answers"
    return f"mean confidence {after:.2f} against {before:.2f}"


def _mean(scores: Optional[Sequence[float]]) -> Optional[float]:
    return sum(scores) / len(scores) if scores else None


def _skipped(why: str) -> Finding:
    return Finding(
        "calib.float.skipped", INFO, f"the float model was not tried on the arrays: {why}"
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
