"""Prove a build on a device: its golden samples there, then the verdict.

The glue of ``device`` (which runs them) and ``report`` (which judges). Outputs become the step
``device`` of the golden folder; the verdict is kept as ``verdict.json`` beside the HEF.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import INFO, Finding
from hefsmith_worker.contract.layout import HEAD, TFLITE, VERDICT

from orchestrator.errors import escape_control
from orchestrator.files import FORBIDDEN, remove_tree, scratch, write_atomic
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.device.base import JobRunner
    from orchestrator.device.validation import Api, DeviceRun, OutputFormat
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.report import Cause, Golden, Head, Verdict

STEP = "device"


def validate_build(  # the options are those of `hef validate`
    runner: JobRunner,
    build: Build,
    *,
    api: Api = "auto",
    output_format: OutputFormat = "float32",
    repeats: int = 5,
    recipe_folder: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Run the golden samples of ``build`` on a device and judge every step.

    Raises :class:`~orchestrator.errors.ArtifactError` for a damaged golden folder and what
    :func:`orchestrator.device.validation.run_golden` raises. A HEF that does not run there is
    no error: the verdict then names the device.
    """
    from orchestrator.device.validation import GoldenInput, GoldenOutput, run_golden
    from orchestrator.report import load_golden

    golden = load_golden(build.golden)
    with scratch("hefsmith-validate") as folder:
        outputs = [
            GoldenOutput(
                stream=output.stream,
                kind=output.kind,
                file=folder / f"{output.index}.{'npz' if output.kind == 'nms' else 'npy'}",
            )
            for output in golden.outputs
        ]
        run = run_golden(
            runner,
            build.hef,
            [GoldenInput(stream=i.name, file=golden.folder / i.file) for i in golden.inputs],
            outputs,
            api=api,
            output_format=output_format,
            repeats=repeats,
            on_progress=on_progress,
        )
        golden = (
            _keep(golden, [output.file for output in outputs]) if run.complete else _forget(golden)
        )
    return judge_build(build, golden, run=run, recipe_folder=recipe_folder)


#: Seconds that the few small pictures of a contact test may take.
RUN_SECONDS = 60.0


def run_build(runner: JobRunner, build: Build, api: Api) -> tuple[DeviceRun, float]:
    """Run the golden samples by one interface; also how far off the quantised network it is.

    The distance is the largest difference of any output, as a fraction of that output's range.
    """
    import numpy as np

    from orchestrator.device.validation import GoldenInput, GoldenOutput, run_golden
    from orchestrator.report import load_golden

    golden = load_golden(build.golden)
    tensors = [output for output in golden.outputs if output.kind == "tensor"]
    with scratch("hefsmith-run") as folder:
        outputs = [
            GoldenOutput(stream=one.stream, kind="tensor", file=folder / f"{one.index}.npy")
            for one in tensors
        ]
        inputs = [GoldenInput(stream=i.name, file=golden.folder / i.file) for i in golden.inputs]
        run = run_golden(
            runner, build.hef, inputs, outputs, api=api, repeats=2, timeout=RUN_SECONDS
        )
        distance = 0.0
        for one, made in zip(tensors, outputs, strict=True) if run.complete else ():
            mine = np.load(made.file)
            wanted = np.asarray(golden.load("sdk_quantized", one.index))
            span = float(np.ptp(wanted)) or 1.0
            distance = max(distance, float(np.abs(mine.ravel() - wanted.ravel()).max()) / span)
    return run, distance


def judge_build(
    build: Build,
    golden: Golden | None = None,
    *,
    run: DeviceRun | None = None,
    recipe_folder: Path | None = None,
    keep_trouble: bool = False,
) -> Verdict:
    """Return the verdict on the steps that there are, and keep it beside the HEF.

    ``keep_trouble`` takes over what the last device run met, from the verdict that it left.
    """
    from hefsmith_worker.contract.options import NmsOptions

    from orchestrator.pipeline.metric import load_metric, told_of_the_box
    from orchestrator.report import VerdictThresholds, decide, load_golden

    golden = golden if golden is not None else load_golden(build.golden)
    found = [*build.findings, *_start_findings(build), *_ran_findings(build)]
    postprocess: Mapping[str, object] = build.summary.get("postprocess") or {}
    metric_name = postprocess.get("metric")
    metric = (
        load_metric(str(metric_name), recipe_folder)
        if metric_name and recipe_folder is not None
        else None
    )
    if metric is not None:
        found += told_of_the_box()
    head = head_of(build, golden)
    earlier = _earlier_trouble(build) if keep_trouble else {}
    verdict = decide(
        golden,
        VerdictThresholds.for_task(golden.task, build.thresholds),
        findings=[replace(one, message=escape_control(one.message)) for one in found],
        label_names=build.labels or None,
        metric=metric,
        head=head,
        score_outputs=score_outputs(build, golden) if head is None else (),
        score=NmsOptions.read(_nms(build)).score,
        device_symptoms=run.trouble if run is not None else earlier,
        device_causes=_known_causes(run, build) if run is not None and not run.complete else (),
        emulated=build.emulated or bool(run and run.emulated),
    )
    document = {**verdict.to_json(), "trouble": dict(run.trouble if run else earlier)}
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    try:
        write_atomic(build.folder / VERDICT, text)
    except OSError as error:
        # Judged anew to be looked at: a folder that may be read alone is no reason to stop.
        if run is not None or error.errno not in FORBIDDEN:
            raise
    return verdict


def _start_findings(build: Build) -> list[Finding]:
    """Return a finding when the parser was told to start behind the network's inputs."""
    try:
        stages = build.summary["stages"]
        starts = stages["parse"]["result"]["start_nodes"]
        inputs = [entry["name"] for entry in stages["export"]["result"]["inputs"]]
    except (KeyError, TypeError):
        return []
    inside = [str(name) for name in starts if name not in inputs]
    # The nodes of a TFLite file have names of their own.
    if not inside or (build.folder / TFLITE).exists():
        return []
    message = f"the parser starts at {', '.join(inside)}, not at {', '.join(inputs)}"
    return [Finding("parse.start-nodes", INFO, message)]


def _ran_findings(build: Build) -> list[Finding]:
    """Return what the quantisation is known to have run with: it makes causes sure, or disproves.

    What no log told says nothing.
    """
    asked, ran = build.summary.get("asked") or {}, build.summary.get("ran") or {}
    level, four_bit = ran.get("level_run"), ran.get("four_bit_layers")
    given, used = asked.get("images"), ran.get("images_used")
    facts = {
        "ran.level": level is not None and level == asked.get("level"),
        "ran.lowest-level": level is not None and level <= 0,
        "ran.images": given is not None and used is not None and used >= given,
        "ran.eight-bit": not four_bit and asked.get("compression") == 0,
        "ran.four-bit": bool(four_bit),
    }
    message = f"{counted(len(four_bit or ()), 'layer')} with 4-bit weights"
    return [Finding(code, INFO, message) for code, true in facts.items() if true]


def head_of(build: Build, golden: Golden) -> Head | None:
    """Return how to decode the raw outputs of a detector, ``None`` where there is nothing to."""
    from hefsmith_worker.contract.options import NmsOptions

    from orchestrator.report import read_head

    try:
        report = read_json(build.folder / HEAD)
        end_nodes = build.summary["stages"]["parse"]["result"]["end_nodes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    nms = NmsOptions.read(_nms(build))
    return read_head(report, golden, end_nodes=end_nodes, nms=nms)


def score_outputs(build: Build, golden: Golden) -> tuple[int, ...]:
    """Return which raw outputs hold the class scores of a head that was found, if any do."""
    try:
        report = read_json(build.folder / HEAD)
        end_nodes = list(build.summary["stages"]["parse"]["result"]["end_nodes"])
        roles = dict(zip(report["end_nodes"], report["end_roles"], strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    if len(end_nodes) != len(golden.outputs) or set(end_nodes) != set(roles):
        return ()
    if any(output.kind != "tensor" for output in golden.outputs):
        return ()
    return tuple(i for i, node in enumerate(end_nodes) if roles[node] == "class")


def _nms(build: Build) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (build.summary.get("postprocess") or {}).get("nms")
    return found


def _known_causes(run: DeviceRun, build: Build) -> tuple[Cause, ...]:
    """Return what is known about the messages of HailoRT, most specific first."""
    from orchestrator.pipeline.vendor import explain
    from orchestrator.report import Cause

    lines = [f"[HailoRT] [error] {text}" for text in run.errors] or list(run.trouble.values())
    # "Not known" (U..) is no cause; the verdict has its own guesses then.
    found = [one for one in explain(lines, {"arch": build.arch}) if one.code[:1] != "U"]
    first = run.errors[0] if run.errors else next(iter(run.trouble.values()), None)
    return tuple(
        Cause(
            text=finding.message,
            advice=finding.fix.splitlines()[0] if finding.fix else "",
            known=finding.code,
            evidence=first if number == 0 else None,
        )
        for number, finding in enumerate(found)
    )


def _earlier_trouble(build: Build) -> dict[str, str]:
    try:
        document = read_json(build.folder / VERDICT)
        return {str(key): str(text) for key, text in document.get("trouble", {}).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _keep(golden: Golden, files: list[Path]) -> Golden:
    """Make the device's outputs a step of the golden folder, in the shapes of the others."""
    import numpy as np

    from orchestrator.report.golden import Detections, add_step

    folder = golden.folder / "steps" / STEP
    fresh = folder.with_name(f".{STEP}.new")
    remove_tree(fresh)
    fresh.mkdir(parents=True)
    names = []
    for output, file in zip(golden.outputs, files, strict=True):
        name = f"{output.index}{file.suffix}"
        names.append(f"steps/{STEP}/{name}")
        reference = golden.load(golden.order[0], output.index)
        if isinstance(reference, Detections):
            shutil.copyfile(file, fresh / name)
            continue
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        # (N, 1, 1, C) and (N, C) are the same answer in another frame.
        shaped = array.reshape(reference.shape) if array.size == reference.size else array
        np.save(fresh / name, shaped)
    remove_tree(folder)
    fresh.rename(folder)
    return add_step(golden.folder, STEP, tuple(names))


def _forget(golden: Golden) -> Golden:
    """Take an earlier run's step out: it must not pass for this one."""
    from orchestrator.report.golden import remove_step

    remove_tree(golden.folder / "steps" / STEP)
    return remove_step(golden.folder, STEP)
