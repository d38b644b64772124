"""Builds that outlive their command: started, left alone, and brought to their end later.

What finishing needs is written beside the job (``host-plan.json``), so that a recipe may be
edited while a build of two hours runs on the one that it was started with.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, HefsmithError
from orchestrator.pipeline import builds, run
from orchestrator.pipeline.material import BuildRequest
from orchestrator.pipeline.plan import Plan, PlannedStage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.engine.base import BuildRecord, Engine
    from orchestrator.pipeline.builds import Build
    from orchestrator.pipeline.cache import StageCache

HOST_PLAN = "host-plan.json"
MARK = ".detached"


def start(
    plan: Plan,
    kit: run.Kit,
    bench: Callable[[], run.Bench],
    *,
    final: Path,
    materials: Mapping[str, str],
    record: run.Record,
) -> BuildRecord:
    """Start a build in the background and return what identifies it."""
    final.parent.mkdir(parents=True, exist_ok=True)
    builds.recover(final.parent)
    builds.remove_abandoned(final.parent)
    staging = builds.staging_folder(final)
    try:
        run.restore(plan, kit, staging)
        ready = bench()
        _save(staging, plan, final, materials, record, ready.facts)
        (staging / MARK).touch()
        job = run.make_job(plan, ready, staging)
        running = ready.engine.start(job, detached=True)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return running.record


def finish(build: BuildRecord, engine: Engine, kit: run.Kit) -> Build:
    """Follow a background build to its end and make its results the build.

    Raises what :func:`orchestrator.pipeline.run.carry_out` raises; a build that is interrupted
    while it is watched goes on, since watching is not owning.
    """
    plan, final, materials, record, facts = _load(build.work, kit.cache)
    try:
        with engine.attach(build) as running:
            made = run.finish(plan, kit, running, build.work, final, materials, record, facts)
    except KeyboardInterrupt:
        raise
    except HefsmithError:
        run.keep_log(build.work, final)
        shutil.rmtree(build.work, ignore_errors=True)
        raise
    return made


def _save(
    staging: Path,
    plan: Plan,
    final: Path,
    materials: Mapping[str, str],
    record: run.Record,
    facts: Mapping[str, Any],
) -> None:
    request = plan.request
    document = {
        "schema": 1,
        "final": str(final),
        "toolchain": plan.toolchain,
        "emulated": plan.emulated,
        "identity": dict(plan.identity),
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
        "materials": dict(materials),
        "record": asdict(record),
        "facts": dict(facts),
    }
    (staging / HOST_PLAN).write_text(json.dumps(document), encoding="utf-8")


def _load(
    staging: Path, cache: StageCache
) -> tuple[Plan, Path, dict[str, str], run.Record, dict[str, Any]]:
    try:
        document = json.loads((staging / HOST_PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{staging} no longer holds the plan of this build"
        raise ConfigError(msg, hint="Start the build again: hef up MODEL") from error
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
    plan = Plan(request, document["toolchain"], document["emulated"], document["identity"], stages)
    kept = document["record"]
    record = run.Record(**{**kept, "labels": tuple(kept["labels"])})
    return plan, Path(document["final"]), document["materials"], record, document["facts"]
