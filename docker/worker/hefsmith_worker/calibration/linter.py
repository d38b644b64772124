"""Looks at a gathered set and says what is wrong with it, with codes and fixes.

Thresholds are stated beside what they decide. Errors are what makes the result worthless in
silence; warnings are what usually costs accuracy; infos are facts worth knowing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration.data import is_data
from hefsmith_worker.calibration.model import CalibrationRequest, ChannelStatistics, InputSpec
from hefsmith_worker.calibration.statistics import as_counts
from hefsmith_worker.calibration.work import TaskResult, Traits
from hefsmith_worker.contract.counting import counted, some
from hefsmith_worker.contract.enough import too_few
from hefsmith_worker.contract.findings import ERROR, INFO, SEVERITIES, WARNING, Finding

#: How many names a message spells out.
SHOWN_NAMES = 5


@dataclass(frozen=True)
class CalibrationEvidence:
    """What the linter knows: accepted names and outcomes in row order, and what was left out.

    ``statistics`` are without padding: the mean and std of training know none.
    """

    request: CalibrationRequest
    names: Tuple[str, ...]
    outcomes: Tuple[TaskResult, ...]
    unreadable: Tuple[str, ...]
    repeated: Tuple[str, ...]
    available: int
    statistics: Tuple[Tuple[ChannelStatistics, ...], ...]


def lint(evidence: CalibrationEvidence) -> List[Finding]:
    """Return all findings, errors first."""
    found = [
        *lint_counts(evidence),
        *lint_unreadable(evidence),
        *lint_duplicates(evidence),
        *lint_normalisation(evidence.request),
    ]
    for index, spec in enumerate(evidence.request.inputs):
        found += lint_pictures(evidence, index)
        found += lint_statistics(evidence.statistics[index], spec)
        found += lint_traits(evidence, index, spec)
    return in_order(found)


def in_order(findings: Sequence[Finding]) -> List[Finding]:
    """Sort by severity, keeping the order otherwise; drop repeats."""
    return sorted(dict.fromkeys(findings), key=lambda item: SEVERITIES.index(item.severity))


def lint_counts(evidence: CalibrationEvidence) -> List[Finding]:
    """Compare the number of images with what was asked and what the level wants."""
    request, used = evidence.request, len(evidence.names)
    found = []
    if used < request.minimum:
        detail = f"{evidence.available} found"
        if evidence.unreadable:
            detail += f", {len(evidence.unreadable)} unreadable"
        if evidence.repeated:
            detail += f", {len(evidence.repeated)} duplicates"
        found.append(
            Finding(
                "calib.minimum",
                ERROR,
                f"only {counted(used, 'usable image')} ({detail}), the minimum is "
                f"{request.minimum}",
                "Raise calibration.count to at least %d, or lower calibration.minimum."
                % request.minimum
                if request.count < request.minimum
                else "Add pictures of the kind that the device will see.",
                str(request.minimum),
                str(used),
            )
        )
    elif used < request.count:
        found.append(
            Finding(
                "calib.count",
                INFO,
                f"{counted(used, 'image')} used, {request.count} asked for",
                "Add pictures, or lower calibration.count.",
                str(request.count),
                str(used),
            )
        )
    few = too_few(request.level, used) if request.weighs_level else None
    return [*found, few] if few is not None else found


def lint_unreadable(evidence: CalibrationEvidence) -> List[Finding]:
    """Name every file that could not be used."""
    if not evidence.unreadable:
        return []
    count = len(evidence.unreadable)
    return [
        Finding(
            "calib.unreadable",
            WARNING,
            f"{count} of {evidence.available} images cannot be used: "
            f"{some(evidence.unreadable, SHOWN_NAMES)}",
            "Repair or remove them; the build goes on with the rest.",
            got=str(count),
            files=evidence.unreadable,
        )
    ]


def lint_duplicates(evidence: CalibrationEvidence) -> List[Finding]:
    """Tell how many near-duplicates were left out; many of them mean one scene repeated."""
    repeated = len(evidence.repeated)
    if not repeated:
        return []
    looked = repeated + len(evidence.names)
    scene = repeated * 2 > looked
    short = len(evidence.names) < evidence.request.count
    message = f"{repeated} of {looked} images repeat others almost exactly and were left out"
    if scene:
        message += ": the source looks like one scene repeated"
    return [
        Finding(
            "calib.duplicates",
            WARNING if scene and short else INFO,
            message,
            "Take pictures at different places and times; calibration.deduplicate: false keeps "
            "them all.",
            got=str(repeated),
            files=evidence.repeated,
        )
    ]


def lint_pictures(evidence: CalibrationEvidence, index: int) -> List[Finding]:
    """Find constant, black and blown-out pictures."""
    kinds: Dict[str, List[str]] = {"constant": [], "black": [], "blown": []}
    data = is_data(evidence.request.inputs[index])
    if (
        data
        and evidence.request.inputs[index].preprocess.shape == (1,)
        and _varies(evidence, index)
    ):
        # One number a sample, such as a speed: it is the set that has to vary.
        return []
    for name, outcome in zip(evidence.names, evidence.outcomes):
        counts = as_counts(outcome.histograms[index])
        kind = _kind_of_data(counts) if data else _kind_of_picture(counts)
        if kind:
            kinds[kind].append(name)
    says = {
        "constant": "hold one value only" if data else "show one flat colour",
        "black": "are nearly black",
        "blown": "are blown out (nearly all white)",
    }
    found = []
    for kind, names in kinds.items():
        if not names:
            continue
        every = len(names) == len(evidence.names)
        found.append(
            Finding(
                f"calib.{kind}",
                ERROR if every else WARNING,
                f"{len(names)} of {len(evidence.names)} images {says[kind]}: "
                f"{some(names, SHOWN_NAMES)}",
                "Remove them, or check how they were made."
                if not every
                else "The ranges would be worthless. Look at `hef calib preview`.",
                got=str(len(names)),
                files=tuple(names),
            )
        )
    return found


def _varies(evidence: CalibrationEvidence, index: int) -> bool:
    """Tell whether the samples of an input differ in anything."""
    import numpy as np

    total = sum(as_counts(outcome.histograms[index]).sum(0) for outcome in evidence.outcomes)
    return bool(np.count_nonzero(total) > 1)


def _kind_of_data(counts: object) -> Optional[str]:
    """Without a natural scale there is only: nothing in it."""
    import numpy as np

    return "constant" if np.count_nonzero(np.asarray(counts).sum(0)) <= 1 else None


def _kind_of_picture(counts: object) -> Optional[str]:
    """Black or blown: 99 % at an end of the scale; constant: no channel spans over 2 levels."""
    import numpy as np

    table = np.asarray(counts)
    total = max(1, int(table.sum()))
    if table[:, :12].sum() >= 0.99 * total:
        return "black"
    if table[:, 248:].sum() >= 0.99 * total:
        return "blown"
    used = [np.flatnonzero(channel) for channel in table]
    spread = max((int(levels[-1] - levels[0]) for levels in used if len(levels)), default=0)
    return "constant" if spread <= 2 else None


def lint_statistics(channels: Sequence[ChannelStatistics], spec: InputSpec) -> List[Finding]:
    """Compare the set's mean and spread with those of training, where the recipe names them."""
    data = is_data(spec)
    if data and spec.preprocess.normalize != "chip":
        return []
    found = [] if data else _lint_brightness(max(channel.maximum for channel in channels), spec)
    units = _small_units(spec)
    return [*found, units] if units else found + _lint_means(channels, spec)


def _lint_brightness(brightest: float, spec: InputSpec) -> List[Finding]:
    """Find pictures that were divided by 255, or are dark; black ones are told of as such."""
    if 0 < brightest <= 1.0:
        return [
            Finding(
                "calib.range",
                ERROR,
                f"input {spec.name}: all pixels are 0 or 1: the pictures were divided by 255",
                "Use raw pixels of 0..255; the chip divides.",
                "0..255",
                "0..1",
            )
        ]
    if 0 < brightest < 64:
        return [
            Finding(
                "calib.dark",
                WARNING,
                f"input {spec.name}: the brightest pixel of the whole set is "
                f"{brightest:.0f} of 255",
                "Check the exposure, and that 12-bit data was not saved as 16-bit.",
            )
        ]
    return []


def _small_units(spec: InputSpec) -> Optional[Finding]:
    """Find a deviation, or a mean, that is in units of 0..1 where the recipe takes 0..255."""
    mean, std = spec.preprocess.offset_and_scale
    if spec.preprocess.normalize == "none":
        return None
    if max(std) < 1:
        name, values, more = "std", std, ", and mean times 255 where it is so too."
    elif max(mean) < 1 and any(0 < value < 1 for value in mean):
        name, values, more = "mean", mean, "."
    else:
        return None
    given = ", ".join(f"{value:g}" for value in values)
    meant = ", ".join(f"{255 * value:.5g}" for value in values)
    return Finding(
        "calib.units",
        WARNING,
        f"input {spec.name}: {name} {given} is below one step of a pixel: it is in units of "
        "0..1, and the recipe takes those of 0..255",
        f"Write {name}: [{meant}] in preprocessing:{more}",
        "0..255",
        "0..1",
    )


def _lint_means(channels: Sequence[ChannelStatistics], spec: InputSpec) -> List[Finding]:
    """Find channels far from the mean of training, where that is one of its pictures."""
    mean, std = spec.preprocess.offset_and_scale
    if len(set(mean)) < 2:
        return []
    far = [
        f"{spec.preprocess.channel_names[index]} {channel.mean:.0f} "
        f"(training {mean[index]:.0f} +- {std[index]:.0f})"
        for index, channel in enumerate(channels)
        if abs(channel.mean - mean[index]) > std[index]
    ]
    if not far:
        return []
    return [
        Finding(
            "calib.statistics",
            WARNING,
            f"input {spec.name}: channel means lie far from those of training: " + ", ".join(far),
            "Check that these are the pictures, and the mean and std, of training.",
            ", ".join(f"{value:.1f}" for value in mean),
            ", ".join(f"{channel.mean:.1f}" for channel in channels),
        )
    ]


def lint_traits(evidence: CalibrationEvidence, index: int, spec: InputSpec) -> List[Finding]:
    """Tell what the stored pictures were: transparent, 16-bit, small, of another shape."""
    traits = [outcome.traits[index] for outcome in evidence.outcomes]
    known = [trait for trait in traits if trait.size != (0, 0)]
    if not known:
        return []
    found = []
    for code, chosen, message in (
        ("calib.alpha", [t for t in known if t.alpha], "have transparency; it is ignored"),
        ("calib.16bit", [t for t in known if t.deep], "have 16 bits; they are scaled to 8"),
        ("calib.frames", [t for t in known if t.frames > 1], "have several frames; one is used"),
    ):  # fmt: skip
        if chosen:
            found.append(Finding(code, INFO, f"{len(chosen)} of {len(known)} images {message}"))
    return found + _lint_shapes(known, spec)


def _lint_shapes(traits: Sequence[Traits], spec: InputSpec) -> List[Finding]:
    height, width = spec.preprocess.size
    found = []
    small = sum(1 for trait in traits if trait.size[0] * 2 <= height and trait.size[1] * 2 <= width)
    if small * 2 > len(traits):
        found.append(
            Finding(
                "calib.small",
                INFO,
                f"{small} of {len(traits)} images are at most half of the {width}x{height} that "
                "they are enlarged to",
            )
        )
    if spec.preprocess.resize == "stretch":
        aspect = width / height
        bent = sum(
            1
            for trait in traits
            if max(trait.size[1] / trait.size[0] / aspect, aspect * trait.size[0] / trait.size[1])
            > 1.25
        )
        if bent * 2 > len(traits):
            found.append(
                Finding(
                    "calib.stretch",
                    INFO,
                    f"{bent} of {len(traits)} images are stretched by more than a quarter to "
                    f"{width}x{height}",
                    "Right only if training stretched too; detectors are mostly trained with "
                    "preprocessing.resize: letterbox.",
                )
            )
    return found


_NORMALISES = re.compile(r"^[^#]*\bnormalization\s*\(")
_CONVERTS = re.compile(r"^[^#]*\binput_conversion\s*\([^)#]*\b(bgr_to_rgb)\b")


def lint_normalisation(request: CalibrationRequest) -> List[Finding]:
    """Find two owners of normalisation, or of the channel order, in recipe and script."""
    lines = [line for text in request.script for line in text.splitlines()]
    normalises = next((line.strip() for line in lines if _NORMALISES.match(line)), None)
    converts = next((line.strip() for line in lines if _CONVERTS.match(line)), None)
    found = []
    for spec in request.inputs:
        owner = spec.preprocess.normalize
        if normalises and owner != "none":
            who = "the recipe puts it into the network" if owner == "chip" else "the host does it"
            found.append(
                Finding(
                    "calib.normalised-twice",
                    ERROR,
                    f"input {spec.name} is normalised twice: {who}, "
                    f"and your script says `{normalises}`",
                    "Remove the script line, or set preprocessing.normalize: none.",
                )
            )
        if converts and spec.preprocess.color != "bgr":
            found.append(
                Finding(
                    "calib.channel-order",
                    WARNING,
                    f"your script says `{converts}`, so the network takes BGR pictures, but "
                    f"preprocessing.color is {spec.preprocess.color}",
                    "Set preprocessing.color: bgr, or remove the script line.",
                )
            )
    return found
