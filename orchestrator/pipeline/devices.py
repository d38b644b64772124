"""The room ``device`` as the main job needs it: devices of a project, a build as a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec, Identity, Release, Session
    from orchestrator.device.registry import Registry
    from orchestrator.pipeline.builds import Build
    from orchestrator.pipeline.observer import Observer
    from orchestrator.project.projectfile import DeviceEntry
    from orchestrator.project.workspace import Workspace
    from orchestrator.report.model import Verdict


def load_devices(workspace: Workspace) -> Registry:
    """Return the devices of ``hef.yaml`` and those that the user has added."""
    from orchestrator.device.registry import load_registry

    devices = {name: _spec(name, entry) for name, entry in workspace.file.devices.items()}
    return load_registry(devices, workspace.file.groups)


def _spec(name: str, entry: DeviceEntry) -> DeviceSpec:
    from orchestrator.device.base import DeviceSpec

    return DeviceSpec(
        name=name,
        host=entry.host,
        user=entry.user,
        port=entry.port,
        identity_file=Path(entry.identity).expanduser() if entry.identity else None,
        service=entry.service,
    )


def release_of(build: Build, scratch: Path) -> Release:
    """Return a build as what is shipped; small files are written to ``scratch``.

    The manifest stays out: it holds times, and an unchanged model must be an unchanged release.
    """
    from orchestrator.device.release import write_release

    return write_release(
        scratch,
        model=build.model,
        arch=build.arch,
        hef=build.hef,
        labels=build.labels,
        preprocessing=build.preprocessing,
        decoder=build.summary.get("postprocess"),
    )


def validate_build(
    session: Session, build: Build, identity: Identity, observer: Observer
) -> Verdict:
    """Run a build's golden samples on a device, keep its answers, and judge all steps.

    The answers go into the build's golden folder as the step ``device``. Raises what the
    session raises, and :class:`~orchestrator.report.golden.GoldenError`.
    """
    from orchestrator.device.validation import GoldenInput, GoldenOutput, run_golden
    from orchestrator.report.causes import Finding as Evidence
    from orchestrator.report.golden import add_step, load_golden
    from orchestrator.report.model import Thresholds
    from orchestrator.report.verdict import decide

    golden = load_golden(build.golden)
    files = tuple(
        f"steps/device/{index}.{'npz' if output.kind == 'nms' else 'npy'}"
        for index, output in enumerate(golden.outputs)
    )
    run = run_golden(
        session,
        build.hef,
        [GoldenInput(stream=given.name, file=build.golden / given.file) for given in golden.inputs],
        [
            GoldenOutput(stream=output.stream, kind=output.kind, file=build.golden / file)
            for output, file in zip(golden.outputs, files, strict=True)
        ],
        on_progress=lambda done, total: observer.progress("validate", done, total, "samples"),
    )
    if run.complete:
        golden = add_step(build.golden, "device", files)
    return decide(
        golden,
        Thresholds.for_task(golden.task, build.thresholds),
        findings=[
            Evidence(code=str(found["code"]), message=str(found["message"]))
            for found in build.summary["findings"]
        ],
        label_names=build.labels or None,
        device_symptoms=run.trouble,
        emulated=build.emulated or identity.emulated,
    )
