"""``hef bundle``: a folder with all that is needed to run the model on the Pi."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Arch, Json, Model  # noqa: TC001 (typer reads them)

if TYPE_CHECKING:
    from orchestrator.device.bundle_model import BundleModel
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.report import Golden


def register(app: typer.Typer) -> None:
    """Add ``bundle`` to the application."""
    app.command("bundle", epilog="Example: hef bundle digits --for picamera2")(_bundle)


def _bundle(
    model: Model,
    target: Annotated[
        str,
        typer.Option(
            "--for",
            help="python, picamera2, usb, rtsp, home-assistant, frigate, hailo-apps, ultralytics.",
        ),
    ] = "python",
    arch: Arch = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: MODEL-ARCH-TARGET.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a folder for the Pi: HEF, labels and camera programs."""
    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.cli.proving import find_one_build
    from orchestrator.device.bundle import plan_bundle, write_bundle
    from orchestrator.device.bundle_targets import target_of

    chosen = target_of(target)
    build = find_one_build(model, arch)
    content = bundle_model(build)
    folder = output or Path(chosen.folder_of(content))
    files = plan_bundle(content, chosen, folder.name)
    kept = write_bundle(files, folder)
    if as_json:
        names = [file.name for file in files]
        emit_json(
            {"bundle": str(folder), "for": chosen.name, "emulated": build.emulated, "files": names}
        )
        return
    for name, now in kept.items():
        note(f"you had changed {name}: kept as {now}")
    print_result(str(folder))
    if build.emulated:
        note("note: the HEF is emulated; no Hailo chip can run it")
    note(f"copy it to the Pi and read {folder / 'README.md'}")


def bundle_model(build: Build) -> BundleModel:
    """Return what a bundle of a build is made of; preprocessing is what the build really used."""
    from orchestrator.device.bundle_model import BundleInput, BundleModel, BundleOutput
    from orchestrator.pipeline.validation import head_of
    from orchestrator.report import load_golden

    golden = load_golden(build.golden)
    head = head_of(build, golden)
    postprocess = build.summary.get("postprocess") or {}
    nms = postprocess.get("nms") if isinstance(postprocess, dict) else None
    score = nms.get("score") if isinstance(nms, dict) else None
    return BundleModel(
        model=build.model,
        arch=build.arch,
        emulated=build.emulated,
        hef=build.hef,
        task=golden.task,
        inputs=[BundleInput(name=i.name, preprocess=i.preprocess) for i in golden.inputs],
        outputs=[BundleOutput(stream=o.stream, kind=o.kind) for o in golden.outputs],
        labels=build.labels,
        head=head.to_json() if head is not None else None,
        score=float(score) if isinstance(score, (int, float)) else 0.25,
        probabilities=golden.task == "classification" and _are_probabilities(golden),
    )


def _are_probabilities(golden: Golden) -> bool:
    """Tell whether the float model's first output sums to one for every sample."""
    import numpy as np

    values = golden.load(golden.order[0], golden.outputs[0].index)
    if not isinstance(values, np.ndarray):
        return False
    rows = values.reshape(len(values), -1)
    return bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1) < 0.05).all())
