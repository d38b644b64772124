"""The end of a build: judge what really ran, write manifest and summary, put it in place."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import layout

from orchestrator import __version__, files
from orchestrator.diagnose.standing import told_already
from orchestrator.files import sha256_of
from orchestrator.pipeline import judgement
from orchestrator.pipeline.finished import builds, manifest
from orchestrator.pipeline.judgement import Wishes
from orchestrator.pipeline.vendor import quieter
from orchestrator.reading import plain_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hefsmith_worker.contract.findings import Finding

    from orchestrator.pipeline.cache import CacheEntry
    from orchestrator.pipeline.context import BuildContext, Record, RunContext
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.plan import Plan


def finalize(build: BuildContext) -> Build:
    """Write manifest and summary, judge what really ran, and put the build in its place."""
    plan, staging, progress = build.plan, build.staging, build.progress
    entries = [
        entry
        for stage in plan.stages
        if (entry := progress.published.get(stage.name) or stage.entry) is not None
    ]
    facts = _facts(plan, entries, progress.engine)
    summary, downgrades = judged(facts, plan, build.record, build.run)
    for finding in downgrades:
        if finding.severity != "info":
            build.run.observer.finding(finding)
    _refuse(summary, downgrades, build.record)
    _drop_means(staging)
    _write_json(
        staging / layout.MANIFEST,
        manifest.statement(
            plan,
            entries,
            materials=build.materials,
            ran=facts["ran"],
            environment=progress.environment,
            engine=progress.engine,
            started=progress.started,
            finished=time.time(),
            version=__version__,
        ),
    )
    summary["files"] = [file for file in summary["files"] if (staging / file["path"]).is_file()]
    summary["manifest_sha256"] = sha256_of(staging / layout.MANIFEST)
    _write_json(staging / layout.SUMMARY, summary)
    builds.replace_build(staging, build.final, _retire)
    made = builds.read_build(build.final)
    assert made is not None
    for file in made.summary["files"]:
        with contextlib.suppress(OSError):
            build.run.memory.learn(build.final / file["path"], file["sha256"], file["bytes"])
    return made


def _facts(
    plan: Plan, entries: Sequence[CacheEntry], engine: Mapping[str, object]
) -> dict[str, Any]:
    """Return what was made, and how: the part of a summary that nobody need judge."""
    ran: dict[str, object] = {}
    for entry in entries:
        ran.update({key: value for key, value in entry.ran.items() if value not in (None, [], {})})
    files = {file.path: file for entry in entries for file in entry.files}
    return {
        "schema": 1,
        "model": plan.request.model,
        "arch": plan.request.arch,
        "key": plan.key,
        "goal": plan.request.goal,
        "toolchain": plan.toolchain,
        "emulated": plan.emulated,
        "hef": plan.hef_name,
        "files": [asdict(file) for _, file in sorted(files.items())],
        "stages": {
            entry.stage: {
                "seconds": entry.seconds,
                "result": dict(entry.result),
                "findings": [dict(finding) for finding in entry.findings],
            }
            for entry in entries
        },
        "ran": ran,
        "engine": dict(engine),
        "why": {stage.name: dict(stage.why) for stage in plan.stages},
    }


def _retire(old: Path, final: Path) -> None:
    # A build that replaces none needs none of it.
    from orchestrator.pipeline.finished.history import retire

    retire(old, final)


def accept(current: Build, plan: Plan, record: Record, run: RunContext) -> Build:
    """Judge a build that already exists by what is asked today, as if it was made just now.

    What of the recipe no stage reads (thresholds, labels, preprocessing's words) is written anew.
    Raises :class:`~orchestrator.errors.StageFailed` as :func:`finalize` does.
    """
    summary, downgrades = judged(current.summary, plan, record, run)
    if json.dumps(summary, sort_keys=True) != json.dumps(current.summary, sort_keys=True):
        partial = current.folder / (layout.SUMMARY + ".partial")
        _write_json(partial, summary)
        partial.replace(current.folder / layout.SUMMARY)
        current = builds.Build(current.folder, summary)
    _refuse(summary, downgrades, record)
    return current


def judged(
    facts: Mapping[str, Any], plan: Plan, record: Record, run: RunContext
) -> tuple[dict[str, Any], list[Finding]]:
    """Return a build's summary from what was made, and where that is less than was asked."""
    stages = facts["stages"]
    told = [dict(finding) for entry in stages.values() for finding in entry.get("findings", ())]
    asked = judgement.asked_of(plan.request.parameters, stages)
    summary = {
        **facts,
        "asked": asked,
        "labels": list(record.labels),
        "thresholds": dict(record.thresholds),
        "preprocessing": dict(record.preprocessing),
        "postprocess": dict(record.postprocess),
    }
    codes = [str(finding["code"]) for finding in told]
    downgrades = quieter(run.downgrades(asked, facts["ran"]), codes)
    nms = judgement.nms_finding(summary, Wishes(frozenset(record.written)))
    matmul = judgement.matmul_finding(summary)
    precision = judgement.precision_finding(summary)
    downgrades += [finding for finding in (nms, matmul, precision) if finding is not None]
    export = (stages.get("export") or {}).get("result") or {}
    scaling = export.get("input_scaling") or {}
    downgrades += judgement.scaling_findings(scaling, record.preprocessing)
    # What was foreseen need not be told beside what came of it.
    came = [finding.code for finding in downgrades]
    told = [finding for finding in told if not told_already(str(finding["code"]), came)]
    summary["findings"] = [*told, *(finding.to_json() for finding in downgrades)]
    return plain_values(summary), downgrades


def _refuse(summary: Mapping[str, Any], downgrades: Sequence[Finding], record: Record) -> None:
    findings = [f for entry in summary["stages"].values() for f in entry.get("findings", ())]
    judgement.refuse(
        str(summary["model"]), strict=record.strict, downgrades=downgrades, findings=findings
    )


def _drop_means(staging: Path) -> None:
    """Leave out of the artifacts what only the stages need."""
    for name in layout.PASSING_FILES:
        with contextlib.suppress(OSError):
            (staging / name).unlink()
    for name in layout.PASSING_FOLDERS:
        files.remove_tree(staging / name)
    files.remove_tree(staging.parent / f"{staging.name}{builds.SOURCE_COPIES}")


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=str)
    files.write_atomic(path, text + "\n")
