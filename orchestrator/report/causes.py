"""Why a step breaks a model, and what to try: knowledge as data, sorted by evidence.

The ids in ``known`` are those of the table of known failures (``hef explain ID``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.report.model import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hefsmith_worker.contract.findings import Finding


@dataclass(frozen=True)
class _Known:
    cause: Cause
    #: A symptom of :func:`orchestrator.report.symptoms.find_symptoms` that makes it likely.
    symptom: str = ""
    #: Codes of findings (known failures, downgrades, the calibration linter) that make it likely.
    findings: tuple[str, ...] = ()
    #: The symptom always shows: without it this is not the cause.
    only_seen: bool = False
    #: Codes of findings that show what ran: with one of them this is not the cause.
    disproven: tuple[str, ...] = ()


def _known(
    text: str,
    advice: str,
    known: str = "",
    *,
    symptom: str = "",
    findings: tuple[str, ...] = (),
    only_seen: bool = False,
    disproven: tuple[str, ...] = (),
) -> _Known:
    cause = Cause(text=text, advice=advice, known=known or None)
    return _Known(cause, symptom, findings, only_seen, disproven)


_CAUSES: Mapping[str, tuple[_Known, ...]] = {
    "labels": (
        _known(
            "The labels name the classes in another order than the network does",
            "Take the class order from the checkpoint (its names), then correct "
            "postprocess.labels and the validation set's folders or labels file.",
            "A08",
            symptom="permuted-labels",
            only_seen=True,
        ),
        _known(
            "Red and blue are swapped, which looks the same where colours distinguish the classes",
            "Set preprocessing.color as in training; only one of the two is wrong.",
            "A04",
            findings=("calib.channel-order",),
            only_seen=True,
        ),
        _known(
            "The list of labels belongs to another network: it has another number of classes",
            "Write one line per class of this network into the labels file.",
            "R22",
            symptom="label-count",
            only_seen=True,
        ),
        _known(
            "The validation samples' labels are wrong or stale",
            "Look at the samples in the report, then correct validation.source or its labels.",
        ),
    ),
    "pytorch": (
        _known(
            "The weights are not those of this network, or were not loaded",
            "Check source.weights and that the factory loads them; run the training "
            "project's own evaluation on the same pictures.",
        ),
        _known(
            "The preprocessing differs from training: mean and std, colour order, or resizing",
            "Compare preprocessing: in the recipe with the transforms of the training code "
            "(hef calib preview shows the pictures).",
            "A04",
        ),
        _known(
            "The validation set's labels are wrong or in another class order",
            "Look at the samples and labels in the report.",
            "A08",
        ),
    ),
    "float": (
        _known(
            "The preprocessing differs from training: mean and std, colour order, or resizing",
            "Compare preprocessing: in the recipe with the transforms of the training code "
            "(hef calib preview shows the pictures).",
            "A04",
        ),
        _known(
            "The validation set's labels are wrong or in another class order",
            "Look at the samples and labels in the report.",
            "A08",
        ),
        _known(
            "The file is not of the checkpoint that was meant, or of one that was not trained",
            "Run the training project's own evaluation on the same file and pictures.",
        ),
    ),
    "tensorflow": (
        _known(
            "The preprocessing differs from training: many Keras networks scale their input "
            "themselves, or expect -1..1",
            "Compare preprocessing.mean and .std with the training code; for a network that has "
            "a Rescaling layer, write mean: [0], std: [1].",
            "A04",
        ),
        _known(
            "The validation set's labels are wrong or in another class order",
            "Keras numbers classes by the sorted names of their folders: compare "
            "postprocess.labels.",
            "A08",
        ),
    ),
    "onnx": (
        _known(
            "A wrapper or the factory changes the input on the way to export, for example the "
            "order of colour channels",
            "Export the very module that was trained; give the channel order in "
            "preprocessing.color only.",
            "A02",
            symptom="channels",
        ),
        _known(
            "The network was exported in training mode, or has layers that depend on the data",
            "Call eval() in the factory; look for dropout, batch statistics and Python branches.",
        ),
        _known(
            "The ONNX file is of another checkpoint than the weights",
            "Delete the old file, or build from source.torch only.",
        ),
        _known(
            "The exporter or the opset translates an operation wrongly",
            "Try export: {exporter: dynamo} or another opset.",
            "E01",
        ),
    ),
    "sdk_native": (
        _known(
            "The parser starts behind the network's own inputs, so that what is before is left out",
            "Take parser.start_nodes out of the recipe, or give the pictures as that node wants "
            "them.",
            findings=("parse.start-nodes",),
            only_seen=True,
        ),
        _known(
            "The network is cut elsewhere than the comparison expects, or outputs are swapped",
            "Check parser.end_nodes and their order.",
            "E02",
            symptom="shapes",
        ),
        _known(
            "The parser or its simplifier changed the network",
            "Try export: {simplify: onnxslim}, another opset, or end nodes further up.",
        ),
    ),
    "sdk_fp_optimized": (
        _known(
            "Normalisation is done twice, or not at all: the script has it and the input is "
            "already normalised, or the other way round",
            "Let one side do it: preprocessing.normalize: chip with mean and std in units of "
            "0..255, and raw pixels everywhere else.",
            "A03",
            symptom="constant",
            findings=("C03", "calib.normalised-twice"),
        ),
        _known(
            "The model script changes the network: an input conversion (colour order), a resize, "
            "or an activation at an output that the network has already",
            "Read the generated model.alls in the build folder; take your own lines out of "
            "optimization.script one by one.",
            "A02",
            symptom="channels",
        ),
        _known(
            "The NMS configuration does not fit the head: wrong layers, strides or anchors",
            "Let hef make it (remove postprocess.nms.config), or correct its layer names.",
            "K03",
            symptom="broken-boxes",
            only_seen=True,
        ),
    ),
    "sdk_quantized": (
        _known(
            "The compiler lowered its default optimisation level: too few calibration images, or "
            "no GPU",
            "Give 1024 images or more, or name a level (optimization.level): that one runs as "
            "named, from 2 on for hours without a GPU. --strict makes this an error.",
            "A09",
            findings=("D01", "A09", "C04", "O01"),
            disproven=("ran.level",),
        ),
        _known(
            "Fewer images were used for calibration than were given",
            "Set calibration.count; the script then carries calibset_size.",
            "C05",
            findings=("D02", "C05", "C06"),
            disproven=("ran.images",),
        ),
        _known(
            "The calibration images are not like the real ones: noise, one scene, augmented, "
            "another size or channel order, or NCHW data in an NHWC array",
            "Run hef calib check MODEL and hef calib preview MODEL; use 200 or more pictures "
            "from the field, prepared as in the recipe.",
            "C01",
            symptom="clipped",
            findings=(
                "C01",
                "calib.channel-order",
                "calib.dark",
                "calib.duplicates",
                "calib.layout",
                "calib.resize",
                "calib.stretch",
                "calib.statistics",
            ),
        ),
        _known(
            "The calibration images are in another range than the network gets (0..1 for 0..255)",
            "Calibrate with raw 8-bit pixels when the script normalises.",
            "A03",
            symptom="saturated",
            findings=("C03", "calib.range", "calib.dtype", "calib.normalised-twice"),
        ),
        _known(
            "Boxes become inexact while classes stay right: the box outputs need more bits",
            "Set optimization.outputs_16bit: true, or give more images at level 2.",
            "A09",
            symptom="broken-boxes",
            only_seen=True,
        ),
        _known(
            "Weights were reduced to 4 bits",
            "Set optimization.compression: 0.",
            "O13",
            findings=("D04", "O13", "ran.four-bit"),
            disproven=("ran.eight-bit",),
        ),
        _known(
            "Outputs that were asked for in 16 bits run in 8",
            "Ask for 16 bits on the layers before them, or give the HEF's outputs 8 bits.",
            "A05",
            findings=("D05",),
            only_seen=True,
        ),
        _known(
            "A higher optimisation level made it worse (fine-tuning on few images)",
            "Compile at level 0, 1 and 2 and keep the best: hef tune MODEL.",
            "A01",
            disproven=("ran.lowest-level",),
        ),
        _known(
            "8 bits are too few for some of the layers",
            "Run hef analyze MODEL, which names them; hef tune MODEL searches for the settings "
            "that win the loss back.",
        ),
    ),
    "device": (
        _known(
            "Repeated runs of one sample differ: the runtime does not fit the HEF, or the chip "
            "is unstable",
            "Use the HailoRT that belongs to the compiler (hef device identify), check power "
            "and temperature, run again.",
            "A06",
            symptom="unstable",
            only_seen=True,
        ),
        _known(
            "The HEF was compiled for another chip",
            "Build for the chip that the device reports: hef build MODEL --arch CHIP.",
            "R01",
            symptom="wrong-chip",
            only_seen=True,
        ),
        _known(
            "Another process holds the chip",
            "Stop the process named above, or give the device a service: in hef.yaml.",
            "R08",
            symptom="busy",
            only_seen=True,
        ),
        _known(
            "Driver, library and Python binding differ in version",
            "Install one version of all three and reboot (hef doctor --device NAME).",
            "R03",
            symptom="versions",
            only_seen=True,
        ),
        _known(
            "The chip did not answer in time: power, firmware, or another user of the device",
            "Check hef device identify for throttling and under-voltage, then run again.",
            "R17",
            symptom="timeout",
            only_seen=True,
        ),
        _known(
            "The boxes are decoded with other settings than in the build",
            "Ship the build again: its decoder settings and NMS are inside the HEF.",
            "R22",
            symptom="broken-boxes",
            only_seen=True,
        ),
        _known(
            "The runtime's version does not fit the compiler's",
            "Pair them: compiler 3.N with HailoRT 4.(N-10), 5.x with 5.x.",
            "R06",
        ),
        _known(
            "The chip gets other bytes than calibration did: float for uint8, another channel "
            "order, or 16-bit outputs that were demoted",
            "Compare the HEF's inputs and outputs with hef inspect; send raw uint8 NHWC.",
            "A05",
            symptom="constant",
        ),
    ),
}


def likely_causes(
    step: str, symptoms: Mapping[str, str], findings: Iterable[Finding] = ()
) -> tuple[Cause, ...]:
    """Return the causes for a fault at ``step``, those with evidence first.

    ``symptoms`` maps a symptom to a sentence about it; ``findings`` are what stages noticed.
    A cause that would show itself is left out when it does not, and so is one that what ran
    disproves (``ran.*``, of :func:`orchestrator.pipeline.validation.judge_build`).
    """
    seen = list(findings)
    codes = {finding.code for finding in seen}
    proven: list[Cause] = []
    rest: list[Cause] = []
    for known in _CAUSES.get(step, ()):
        evidence = symptoms.get(known.symptom) if known.symptom else None
        for finding in seen:
            if evidence is None and finding.code in known.findings:
                evidence = finding.message
        if evidence:
            proven.append(replace(known.cause, evidence=evidence))
        elif not known.only_seen and codes.isdisjoint(known.disproven):
            rest.append(known.cause)
    return (*proven, *rest)
