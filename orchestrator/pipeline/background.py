"""Builds that outlive their command: started, left alone, and brought to their end later.

What finishing needs is written beside the job (``host-plan.json``), so that a recipe may be
edited while a build of two hours runs on the one that it was started with.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.layout import DETACHED, HOST_PLAN
from hefsmith_worker.contract.stages import BEFORE_COMPILER

from orchestrator import files
from orchestrator.errors import ConfigError, HefsmithError, StageFailed
from orchestrator.pipeline import runner
from orchestrator.pipeline.context import BuildContext, BuildProgress, Record
from orchestrator.pipeline.finalize import finalize
from orchestrator.pipeline.finished import builds
from orchestrator.pipeline.inputs import BuildRequest
from orchestrator.pipeline.intake import ArtifactIntake
from orchestrator.pipeline.jobs import Segment, make_job
from orchestrator.pipeline.plan import (
    Plan,
    PlannedStage,
    carried_alone,
    known_results,
    replan,
)
from orchestrator.reading import RECORD_LIMIT, parse_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.engine.base import BuildRecord
    from orchestrator.engine.protocols import Engine
    from orchestrator.pipeline.cache import CacheEntry, StageCache
    from orchestrator.pipeline.context import PlanAgain, RunContext
    from orchestrator.pipeline.finished.builds import Build


#: In the notes of a build's record, which no job can reach: the digest of its plan.
WRITTEN = "plan_sha256"


def start(
    plan: Plan,
    context: RunContext,
    segments: Callable[[Plan], Sequence[Segment]],
    *,
    final: Path,
    materials: Mapping[str, str],
    record: Record,
    again: PlanAgain,
) -> BuildRecord | None:
    """Start a build in the background and return what identifies it.

    What comes before the last job runs here: what it leaves decides what is left to do. That may
    be nothing: then the build is finished, and ``None`` is returned.
    """
    builds.tidy(final.parent)
    staging = builds.staging_folder(final)
    intake = ArtifactIntake(staging, context.cache.incoming)
    build = BuildContext(
        plan, context, staging, final, materials, record, BuildProgress(intake, time.time()), again
    )
    try:
        last = _last_job(build, segments)
        if last is None:
            finalize(build)
            files.remove_tree(staging)
            return None
        written = _save(build, last)
        (staging / DETACHED).touch()
        known = known_results(build.plan, context.cache.meanings, again)
        job = make_job(build.plan, last, staging, known=carried_alone(build.plan, known))
        job = replace(job, notes={**job.notes, WRITTEN: written})
        running = last.target.engine.start(job, detached=True)
    except BaseException:
        files.remove_tree(staging)
        raise
    finally:
        runner.close(build)
    return running.record


def _last_job(build: BuildContext, segments: Callable[[Plan], Sequence[Segment]]) -> Segment | None:
    """Run all jobs but the last, the long one, and return that; ``None`` when nothing is left."""
    while True:
        runner.restore(build)
        plan = build.plan
        if not plan.to_run:
            return None
        assert build.again is not None
        known = known_results(plan, build.run.cache.meanings, build.again)
        jobs = segments(plan)
        before = tuple(name for name in jobs[0].stages if name in BEFORE_COMPILER)
        if len(jobs) > 1:
            segment = jobs[0]
        elif before != jobs[0].stages and any(name in known for name in before):
            # It may turn out that nothing of the long part need be done.
            segment = Segment(before, jobs[0].target)
        else:
            return jobs[0]
        job = make_job(plan, segment, build.staging, known=known)
        with segment.target.engine.start(job) as running:
            runner.follow(build, segment.stages, running)
        build.progress.engine.update(segment.target.facts)
        build.plan = runner.now(build)


def finish(record: BuildRecord, engine: Engine, context: RunContext) -> Build:
    """Follow a background build to its end and make its results the build.

    Raises what :func:`orchestrator.pipeline.runner.carry_out` raises; a build that is interrupted
    while it is watched goes on, since watching is not owning.
    """
    build, stages = _load(record, context)
    try:
        with engine.attach(record) as running:
            runner.follow(build, stages, running)
        build.plan = runner.now(build)
        if left := build.plan.to_run:
            msg = f"stages {', '.join(left)} are left to do, and were not given to this job"
            raise StageFailed(msg, hint=f"Start it again: hef build {build.plan.request.model}")
        runner.restore(build)
        made = finalize(build)
    except HefsmithError:
        runner.keep_log(build)
        files.remove_tree(build.staging)
        raise
    finally:
        runner.close(build)
    return made


def _save(build: BuildContext, segment: Segment) -> str:
    """Write down the plan for :func:`finish`; return its digest."""
    plan = build.plan
    request = plan.request
    document = {
        "schema": 1,
        "final": str(build.final),
        "toolchain": plan.toolchain,
        "emulated": plan.emulated,
        "identities": {name: dict(value) for name, value in plan.identities.items()},
        "request": {
            "model": request.model,
            "arch": request.arch,
            "net_name": request.net_name,
            "parameters": request.parameters,
            "labels": list(request.labels),
        },
        "stages": [
            {"name": stage.name, "key": stage.key, "why": stage.why, "needed": stage.needed}
            for stage in plan.stages
        ],
        "materials": dict(build.materials),
        "record": asdict(build.record),
        "running": list(segment.stages),
        "facts": dict(segment.target.facts),
    }
    text = json.dumps(document)
    (build.staging / HOST_PLAN).write_text(text, encoding="utf-8", newline="\n")
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _read_plan(record: BuildRecord) -> Mapping[str, Any]:
    """Return what :func:`_save` wrote; raises :class:`ConfigError` where it is gone or changed."""
    file = record.work / HOST_PLAN
    try:
        content = read_regular(file, limit=RECORD_LIMIT)
        document: Mapping[str, Any] = parse_json(content)
    except (OSError, ValueError) as error:
        msg = f"{record.work} no longer holds the plan of this build"
        raise ConfigError(msg, hint="Start the build again: hef up MODEL") from error
    if hashlib.sha256(content).hexdigest() != record.notes.get(WRITTEN):
        # The job may write to this folder: it would say what the host calls its results, where
        # they go, and what they replace there.
        msg = f"{file} has changed since this build began"
        hint = "Start the build again: hef up MODEL. Only its own job could have changed that file."
        raise ConfigError(msg, hint=hint, code="build.plan-changed")
    return document


def _plan_of(document: Mapping[str, Any], cache: StageCache) -> Plan:
    asked = document["request"]
    request = BuildRequest(
        model=asked["model"],
        arch=asked["arch"],
        net_name=asked["net_name"],
        materials=(),
        parameters=asked["parameters"],
        used_by={},
        labels=tuple(asked["labels"]),
    )
    stages = tuple(
        PlannedStage(
            item["name"], item["key"], cache.find(item["key"]), item["why"], item["needed"]
        )
        for item in document["stages"]
    )
    return Plan(
        request, document["toolchain"], document["emulated"], document["identities"], stages
    )


def _load(record: BuildRecord, context: RunContext) -> tuple[BuildContext, list[str]]:
    """Return a background build as it was written down, and the stages of its last job."""
    document = _read_plan(record)
    plan = _plan_of(document, context.cache)
    kept = document["record"]
    progress = BuildProgress(
        ArtifactIntake(record.work, context.cache.incoming),
        record.started,
        engine=document["facts"],
        # They were put in place before the job began.
        restored={stage.name for stage in plan.stages if stage.entry is not None},
    )

    def again(more: Callable[[str], CacheEntry | None]) -> Plan:
        return replan(plan, lambda key: more(key) or context.cache.find(key))

    build = BuildContext(
        plan,
        context,
        record.work,
        Path(document["final"]),
        document["materials"],
        Record(
            **{**kept, "labels": tuple(kept["labels"]), "written": tuple(kept.get("written", ()))}
        ),
        progress,
        again,
    )
    return build, document["running"]
