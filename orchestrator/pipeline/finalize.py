"""The end of a build: judge what really ran, write manifest and summary, put it in place."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.errors import StageFailed
from orchestrator.pipeline import builds, manifest
from orchestrator.pipeline.jobs import SOURCE_COPIES
from orchestrator.pipeline.vendor import quieter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.pipeline.builds import Build
    from orchestrator.pipeline.cache import CacheEntry
    from orchestrator.pipeline.context import BuildContext
    from orchestrator.pipeline.plan import Plan


def finalize(build: BuildContext) -> Build:
    """Write manifest and summary, judge what really ran, and put the build in its place."""
    plan, record, staging, progress = build.plan, build.record, build.staging, build.progress
    entries = [
        entry
        for stage in plan.stages
        if (entry := progress.published.get(stage.name) or stage.entry) is not None
    ]
    ran: dict[str, Any] = {}
    for entry in entries:
        ran.update({key: value for key, value in entry.ran.items() if value not in (None, [], {})})
    asked = _asked(plan, entries)
    told = [finding["code"] for entry in entries for finding in entry.findings]
    downgrades = quieter(build.run.downgrades(asked, ran), told)
    for finding in downgrades:
        if finding.severity != "info":
            build.run.observer.finding(finding)
    if record.strict and downgrades:
        msg = f"{plan.request.model}: less was done than was asked: " + "; ".join(
            finding.message for finding in downgrades
        )
        hint = "Change what is asked, or build without --strict (strict: false)."
        raise StageFailed(msg, hint=hint, code="stage.downgraded")
    _drop_means(staging)
    _write_json(
        staging / builds.MANIFEST,
        manifest.statement(
            plan,
            entries,
            materials=build.materials,
            ran=ran,
            environment=progress.environment,
            engine=progress.engine,
            started=progress.started,
            finished=time.time(),
            version=__version__,
        ),
    )
    files = {file.path: file for entry in entries for file in entry.files}
    kept = [file for path, file in sorted(files.items()) if (staging / path).is_file()]
    findings = [dict(finding) for entry in entries for finding in entry.findings]
    _write_json(
        staging / builds.SUMMARY,
        {
            "schema": 1,
            "model": plan.request.model,
            "arch": plan.request.arch,
            "key": plan.key,
            "toolchain": plan.toolchain,
            "emulated": plan.emulated,
            "hef": plan.hef_name,
            "files": [asdict(file) for file in kept],
            "stages": {
                entry.stage: {"seconds": entry.seconds, "result": dict(entry.result)}
                for entry in entries
            },
            "findings": [*findings, *(asdict(finding) for finding in downgrades)],
            "asked": asked,
            "ran": ran,
            "labels": list(record.labels),
            "thresholds": dict(record.thresholds),
            "preprocessing": dict(record.preprocessing),
            "postprocess": dict(record.postprocess),
            "engine": dict(progress.engine),
            "why": {stage.name: dict(stage.why) for stage in plan.stages},
        },
    )
    builds.replace_build(staging, build.final)
    made = builds.read_build(build.final)
    assert made is not None
    return made


def _asked(plan: Plan, entries: list[CacheEntry]) -> dict[str, Any]:
    optimize = plan.request.parameters["optimize"]
    results = {entry.stage: entry.result for entry in entries}
    return {
        "level": optimize["level"],
        "compression": optimize["compression"],
        "images": results.get("optimize", {}).get("images_given"),
        "images_wanted": plan.request.parameters["calibrate"]["count"],
        "opset": plan.request.parameters["export"]["opset"],
        "outputs_16bit": optimize["outputs_16bit"],
    }


def _drop_means(staging: Path) -> None:
    """Leave out of the artifacts what only the stages need."""
    for name in ("plan.json", "host-plan.json", ".detached", "parsed.json", "golden/draft.json"):
        with contextlib.suppress(OSError):
            (staging / name).unlink()
    for name in ("calibration", "har", "logs"):
        shutil.rmtree(staging / name, ignore_errors=True)
    shutil.rmtree(staging.parent / f"{staging.name}{SOURCE_COPIES}", ignore_errors=True)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(
        json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n",
        encoding="utf-8",
        newline="\n",
    )
