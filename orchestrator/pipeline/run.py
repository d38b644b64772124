"""Carry a plan out: cached stages are put in place, the rest runs in one job.

The build is put together in a folder of its own and takes the place of the last good one in
the end; whatever goes wrong before that leaves the last one as it was.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.errors import EngineError, Interrupted, StageFailed, escape_control
from orchestrator.pipeline import builds, manifest
from orchestrator.pipeline.cache import Entry, place
from orchestrator.pipeline.digests import DigestMemory, sha256_file
from orchestrator.pipeline.events import EventReader, LogReader, StageRecord
from orchestrator.pipeline.observer import Finding

if TYPE_CHECKING:
    from orchestrator.engine.base import Box, Ending, Engine, Input, Job, Running
    from orchestrator.pipeline.builds import Build
    from orchestrator.pipeline.cache import StageCache
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.plan import Plan

RUN_LOG = "run.log"
SOURCE_COPIES = ".sources"


@dataclass(frozen=True)
class Bench:
    """Where a plan is carried out: the engine, the image, and how its Python is started."""

    engine: Engine
    image: str
    argv: tuple[Any, ...]
    env: Mapping[str, Any]
    limits: Box
    labels: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What is kept of a build besides its files (``build.json``)."""

    labels: tuple[str, ...]
    thresholds: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    postprocess: Mapping[str, Any]
    strict: bool


ExplainFailure = Callable[[list[str], Mapping[str, Any]], list[Finding]]


@dataclass(frozen=True)
class Kit:
    """What a run needs beside the plan; the glue fills it from the other rooms."""

    cache: StageCache
    memory: DigestMemory
    observer: Observer
    new_reader: Callable[[], LogReader | None]
    explain: ExplainFailure
    downgrades: Callable[[Mapping[str, Any], Mapping[str, Any]], list[Finding]]


def up_to_date(plan: Plan, final: Path) -> Build | None:
    """Return the build that is there already when the plan would give the same one.

    The cache may have been emptied since: a whole build needs nothing of it.
    """
    build = builds.read_build(final)
    return build if build is not None and build.key == plan.key else None


def carry_out(
    plan: Plan,
    kit: Kit,
    bench: Callable[[], Bench],
    *,
    final: Path,
    materials: Mapping[str, str],
    record: Record,
) -> Build:
    """Make the build and return it; ``bench`` is asked for only when a stage must run.

    Raises :class:`StageFailed`, :class:`EngineError` or :class:`Interrupted`.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    builds.recover(final.parent)
    builds.remove_abandoned(final.parent)
    staging = builds.staging_folder(final)
    try:
        restore(plan, kit, staging)
        if plan.to_run:
            ready = bench()
            job = make_job(plan, ready, staging)
            with ready.engine.start(job) as running:
                return finish(plan, kit, running, staging, final, materials, record, ready.facts)
        return _conclude(plan, kit, {}, {}, staging, final, materials, record, {}, time.time())
    finally:
        keep_log(staging, final)
        shutil.rmtree(staging, ignore_errors=True)


def restore(plan: Plan, kit: Kit, staging: Path) -> None:
    """Put every cached stage's files into the build folder."""
    for stage in plan.stages:
        if stage.entry is None:
            continue
        if stage.name == "calibrate" and "optimize" not in plan.to_run:
            continue
        if not kit.cache.restore(stage.entry, staging, kit.memory):
            kit.cache.discard(stage.key)
            raise CacheDamaged(stage.name)
        kit.observer.stage_cached(stage.name)
        for finding in stage.entry.findings:
            kit.observer.finding(Finding.from_event(finding))


class CacheDamaged(StageFailed):
    """An entry of the cache had changed; it is gone now, and a new plan will rebuild it."""

    default_code = "cache.damaged"

    def __init__(self, stage: str) -> None:
        super().__init__(f"the cached result of stage {stage} was damaged and has been removed")
        self.stage = stage


def make_job(plan: Plan, ready: Bench, staging: Path) -> Job:
    """Write the worker's plan into the build folder and return the job that carries it out."""
    from orchestrator.engine.base import Input, Job

    (staging / "plan.json").write_text(
        json.dumps(plan.worker_document(), indent=1), encoding="utf-8"
    )
    inputs: list[Input] = []
    for material in plan.request.materials:
        path = material.path
        if material.files is not None:
            # Only the model's own code leaves its folder, not what else lies beside it.
            path = staging.parent / f"{staging.name}{SOURCE_COPIES}" / material.name
            for name in material.files:
                place(material.path / name, path / name, link=False)
        inputs.append(Input(material.name, path))
    return Job(
        name=f"{plan.request.model}-{plan.request.arch}",
        image=ready.image,
        argv=ready.argv,
        work=staging,
        inputs=tuple(inputs),
        env=ready.env,
        limits=ready.limits,
        labels=ready.labels,
        notes={"model": plan.request.model, "arch": plan.request.arch, "key": plan.key},
    )


def job_for_display(plan: Plan, ready: Bench) -> Job:
    """Return the job as ``--dry-run`` shows it; nothing is written."""
    from orchestrator.engine.base import Input, Job

    return Job(
        name=f"{plan.request.model}-{plan.request.arch}",
        image=ready.image,
        argv=ready.argv,
        work=Path("BUILD_FOLDER"),
        inputs=tuple(Input(m.name, m.path) for m in plan.request.materials),
        env=ready.env,
        limits=ready.limits,
    )


def finish(
    plan: Plan,
    kit: Kit,
    running: Running,
    staging: Path,
    final: Path,
    materials: Mapping[str, str],
    record: Record,
    facts: Mapping[str, Any],
) -> Build:
    """Follow a running job to its end and make its results the build."""
    started = time.time()
    published: dict[str, Entry] = {}

    def publish(stage: StageRecord) -> None:
        # As soon as its files are here: a later stage that fails must not cost this one.
        if stage.name not in published and _all_here(stage, staging):
            published[stage.name] = _publish(plan, kit, stage, staging)

    with (staging / RUN_LOG).open("w", encoding="utf-8", newline="\n") as log:
        reader = EventReader(kit.observer, log, reader=kit.new_reader(), on_finished=publish)
        for line in running.lines():
            reader.feed(line)
        ending = running.wait()
    for stage in reader.stages.values():
        if stage.finished:
            publish(stage)
    _raise_unless_done(plan, kit, reader, ending, final)
    for name in plan.to_run:
        if name not in published:
            msg = f"stage {name} said that it was done, but its files are not there"
            raise StageFailed(msg, hint=f"The log is {final.parent / _log_name(final)}.")
    return _conclude(
        plan, kit, published, reader.environment, staging, final, materials, record, facts, started
    )


def _all_here(stage: StageRecord, staging: Path) -> bool:
    """Tell whether all files that a stage announced are in the build folder, unchanged."""
    for file in stage.files:
        path = staging / file.path
        try:
            if path.stat().st_size != file.bytes or sha256_file(path) != file.sha256:
                return False
        except OSError:
            return False
    return True


def _publish(plan: Plan, kit: Kit, stage: StageRecord, staging: Path) -> Entry:
    planned = next(item for item in plan.stages if item.name == stage.name)
    entry = Entry(
        key=planned.key,
        stage=stage.name,
        files=tuple(stage.files),
        result=stage.result,
        findings=tuple(asdict(finding) for finding in stage.findings),
        ran=stage.ran,
        seconds=stage.seconds,
        created=time.time(),
        why=planned.why,
    )
    try:
        kit.cache.publish(entry, staging)
    except OSError as error:
        # A full or read-only cache slows the next build down; it must not fail this one.
        kit.observer.finding(
            Finding(
                "cache.write",
                "warning",
                f"the cache at {kit.cache.root} cannot be written: {error.strerror or error}",
                stage=stage.name,
            )
        )
    return entry


def _raise_unless_done(
    plan: Plan, kit: Kit, reader: EventReader, ending: Ending, final: Path
) -> None:
    if ending.ok and reader.done:
        return
    where = final.parent / _log_name(final)
    log_hint = f"The whole log: {where}"
    failure = reader.failure
    if reader.interrupted or ending.kind == "interrupted":
        msg = "interrupted"
        raise Interrupted(msg)
    if ending.kind in ("engine_lost", "platform"):
        raise EngineError(ending.detail, hint=ending.hint, code=f"engine.{ending.kind}")
    if ending.kind in ("oom", "disk_full", "killed"):
        stage = next(reversed(reader.stages), None)
        msg = f"stage {stage or 'start'}: {ending.detail}"
        hint = "\n".join(part for part in (ending.hint, log_hint) if part)
        raise StageFailed(msg, hint=hint, code=f"stage.{ending.kind}")
    if failure is None:
        msg = f"the worker ended without a word ({ending.detail})"
        tail = "\n".join(escape_control(line) for line in reader.tail[-15:])
        raise StageFailed(msg, hint="\n".join(part for part in (tail, log_hint) if part))
    where_failed = f"stage {failure.stage}: " if failure.stage else ""
    kind = failure.kind.rpartition(".")[2]
    named = "" if failure.known else f"{kind}: "
    hints = [failure.fix] if failure.fix else []
    if not failure.known:
        lines = [*reader.tail, *(failure.traceback or "").splitlines()]
        for explanation in kit.explain(lines, {"stage": failure.stage, "class": failure.kind}):
            hints.append(f"{explanation.message} ({explanation.code})")
            if explanation.fix:
                hints.append(explanation.fix)
    msg = f"{plan.request.model}: {where_failed}{named}{failure.message}"
    raise StageFailed(msg, hint="\n".join([*hints, log_hint]), code=failure.known or "stage.failed")


def _conclude(
    plan: Plan,
    kit: Kit,
    published: Mapping[str, Entry],
    environment: Mapping[str, Any],
    staging: Path,
    final: Path,
    materials: Mapping[str, str],
    record: Record,
    facts: Mapping[str, Any],
    started: float,
) -> Build:
    """Write manifest and summary, judge what really ran, and put the build in its place."""
    entries = [
        entry
        for stage in plan.stages
        if (entry := published.get(stage.name) or stage.entry) is not None
    ]
    ran: dict[str, Any] = {}
    for entry in entries:
        ran.update({key: value for key, value in entry.ran.items() if value not in (None, [], {})})
    asked = _asked(plan, entries)
    downgrades = kit.downgrades(asked, ran)
    for finding in downgrades:
        kit.observer.finding(finding)
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
            materials=materials,
            ran=ran,
            environment=environment,
            engine=facts,
            started=started,
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
            "engine": dict(facts),
            "why": {stage.name: dict(stage.why) for stage in plan.stages},
        },
    )
    builds.replace_build(staging, final)
    build = builds.read_build(final)
    assert build is not None
    return build


def _asked(plan: Plan, entries: list[Entry]) -> dict[str, Any]:
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


def _log_name(final: Path) -> str:
    return f"{final.name}.failed.log"


def keep_log(staging: Path, final: Path) -> None:
    """Keep the log of a build that did not come to its end, beside the last good one."""
    shutil.rmtree(staging.parent / f"{staging.name}{SOURCE_COPIES}", ignore_errors=True)
    log = staging / RUN_LOG
    with contextlib.suppress(OSError):
        if log.is_file():
            log.replace(final.parent / _log_name(final))
        elif (final / builds.SUMMARY).is_file():
            (final.parent / _log_name(final)).unlink(missing_ok=True)
