"""Carry a plan out: cached stages are put in place, the rest runs in one job.

The build is put together in a folder of its own and takes the place of the last good one in
the end; whatever goes wrong before that leaves the last one as it was.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.contract.layout import RUN_LOG, SUMMARY
from hefsmith_worker.contract.stages import BY_NAME

from orchestrator import files
from orchestrator.errors import EngineError, Interrupted, StageFailed, escape_control
from orchestrator.pipeline.cache import LINKED_ROLES, CacheEntry
from orchestrator.pipeline.context import BuildContext, BuildProgress, Record
from orchestrator.pipeline.finalize import finalize
from orchestrator.pipeline.finished import builds, soundness
from orchestrator.pipeline.intake import ArtifactIntake
from orchestrator.pipeline.jobs import NOTHING, Known, Segment, make_job, write_plan
from orchestrator.pipeline.materials import as_on_this_machine
from orchestrator.pipeline.plan import first_mark, known_results, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.engine.base import Ending
    from orchestrator.engine.protocols import Running
    from orchestrator.pipeline.cache import CachedFile
    from orchestrator.pipeline.context import PlanAgain, RunContext
    from orchestrator.pipeline.events import EventReader, StageRecord
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.prestart import Prestart


#: Seconds of a stage on an engine that does not see our files, from which its results are brought
#: here at once, and not only with those of all stages.
WORTH_BRINGING = 20.0


def up_to_date(plan: Plan, final: Path, context: RunContext) -> Build | None:
    """Return the build that already exists when the plan would give the same one.

    The cache may have been emptied since: a whole build needs nothing of it. Files that were
    damaged are taken from the cache again, else there is no such build.
    """
    build = builds.read_build(final)
    if build is None or build.key != plan.key:
        return None
    builds.remove_abandoned(final.parent)
    damage = soundness.check(build, context.memory)
    if not damage:
        return build
    text = escape_control(", ".join(damage[:3]))
    if soundness.heal(build, damage, context.cache, context.memory):
        context.observer.note(f"warning: {final}: {text} was damaged; put back from the cache")
        return build
    context.observer.note(f"warning: {final}: {text} is damaged; building it again")
    return None


def carry_out(
    plan: Plan,
    context: RunContext,
    segments: Callable[[Plan], Sequence[Segment]],
    *,
    final: Path,
    materials: Mapping[str, str],
    record: Record,
    prestart: Prestart | None = None,
    again: PlanAgain | None = None,
) -> tuple[Build, Plan]:
    """Make the build; return it and its plan. ``segments`` are asked for when a stage must run.

    ``prestart`` is the first job, on its way already; it is used if the plan is what it was
    started for. ``again`` makes the plan anew when a stage leaves what an earlier run of it left:
    then those after it need not run.
    Raises :class:`StageFailed`, :class:`EngineError` or :class:`Interrupted`.
    """
    builds.tidy(final.parent)
    staging = prestart.staging if prestart is not None else builds.staging_folder(final)
    intake = ArtifactIntake(staging, context.cache.incoming)
    build = BuildContext(
        plan, context, staging, final, materials, record, BuildProgress(intake, time.time()), again
    )
    try:
        restore(build)
        opened = prestart.take() if prestart is not None and plan.to_run else None
        if opened is not None and opened.segment.stages == plan.to_run:
            jobs: Sequence[Segment] = (opened.segment,)
        else:
            jobs = segments(plan) if plan.to_run else ()
        _run(build, jobs, prestart)
        while left := build.plan.to_run:
            # A stage left what it had left before, and the plan is another one since.
            restore(build)
            _run(build, segments(build.plan), None)
            if build.plan.to_run == left:
                msg = f"stages {', '.join(left)} were not done by the job that was given them"
                raise StageFailed(msg, hint=f"The log is {build.failed_log}.")
        restore(build)
        return finalize(build), _as_run(build)
    finally:
        if prestart is not None:
            prestart.drop()
        close(build)
        keep_log(build)
        files.remove_tree(staging)
        # One that was killed while this one ran, too.
        builds.remove_abandoned(final.parent)


def _run(build: BuildContext, jobs: Sequence[Segment], prestart: Prestart | None) -> None:
    """Run jobs as long as the plan is the one that they were made for."""
    plan, staging = build.plan, build.staging
    for number, segment in enumerate(jobs):
        known = NOTHING
        if build.again is not None:
            known = known_results(plan, build.run.cache.meanings, build.again)
        waiting = prestart if number == 0 else None
        with _started(plan, segment, staging, waiting, known) as running:
            follow(build, segment.stages, running)
        build.progress.engine.update(segment.target.facts)
        if build.plan is not plan:
            break
    build.plan = now(build)


def now(build: BuildContext) -> Plan:
    """Return the plan with what was made since as entries."""
    made = build.progress.published
    stages = tuple(
        replace(stage, entry=stage.entry or made.get(stage.name)) for stage in build.plan.stages
    )
    return replace(build.plan, stages=stages)


def _as_run(build: BuildContext) -> Plan:
    """Return the plan as it was carried out: what was made has no entry in it."""
    stages = tuple(
        replace(stage, entry=None) if stage.name in build.progress.published else stage
        for stage in build.plan.stages
    )
    return replace(build.plan, stages=stages)


def _started(
    plan: Plan,
    segment: Segment,
    staging: Path,
    prestart: Prestart | None,
    known: Known = NOTHING,
) -> Running:
    """Return the job of a segment, at work: the one that waits for its word, if it fits."""
    opened = prestart.take() if prestart is not None else None
    if opened is not None and opened.segment == segment:
        try:
            if known:
                write_plan(plan, segment, staging, known)
            opened.running.release()
        except EngineError:
            # The engine went away meanwhile. A start in the usual way calls it again.
            opened.running.stop()
        else:
            return opened.running
    elif prestart is not None:
        prestart.drop()
    return segment.target.engine.start(make_job(plan, segment, staging, known=known))


def follow(build: BuildContext, stages: Sequence[str], running: Running) -> None:
    """Follow one job to its end; its finished stages are published as they come.

    Raises what :func:`carry_out` raises, when the job did not do all of ``stages``.
    """
    from orchestrator.pipeline.events import EventReader

    plan, context, progress = build.plan, build.run, build.progress
    published = progress.published

    def publish(stage: StageRecord) -> None:
        # As soon as its files are here: a later stage that fails must not cost this one.
        if stage.name in published:
            return
        # In their order: what an earlier one has left may change the keys of those after it.
        waits = any(name not in published for name in _earlier(stages, reader, stage))
        if not waits and progress.intake.here(stage.files, keep=stage.name in absent):
            entry = published[stage.name] = _publish(build, stage)
            if entry.same_as is not None and build.again is not None:
                made = {item.key: item for item in published.values()}
                build.plan = build.again(made.get)

    def bring(stage: StageRecord) -> None:
        publish(stage)
        if stage.name not in published and stage.seconds >= WORTH_BRINGING:
            # It is still on the engine, which a broken connection may take from us.
            with contextlib.suppress(EngineError):
                running.sync()
            publish(stage)

    # Files are read while the job goes on, and kept for the cache unless that has them.
    def written(stage: str, path: str, size: int) -> None:
        progress.intake.expect(path, size, keep=stage in absent)

    def announced(stage: str, file: CachedFile) -> None:
        keep = stage in absent and file.role not in LINKED_ROLES
        progress.intake.expect(file.path, file.bytes, keep=keep)

    absent = {item.name for item in plan.stages if context.cache.find(item.key) is None}
    with (build.staging / RUN_LOG).open("a", encoding="utf-8", newline="\n") as log:
        reader = EventReader(
            context.observer,
            log,
            reader=context.new_reader(),
            on_written=written,
            on_announced=announced,
            on_finished=bring,
        )
        for line in running.lines():
            reader.feed(line)
        ending = running.wait(told=reader.done)
    for stage in filter(lambda one: one.finished, reader.stages.values()):
        publish(stage)
    _raise_unless_done(build, reader, ending)
    left_out = set() if build.again is None else set(stages).difference(reader.stages)
    _raise_unless_whole(build, [name for name in stages if name not in left_out])
    progress.environment.update(reader.environment)


def _earlier(stages: Sequence[str], reader: EventReader, stage: StageRecord) -> list[str]:
    """Return the names of a job's stages before one of them, those that it has told of.

    It tells of others, too: a line of the log may be about one that is cached.
    """
    names = [name for name in stages if name in reader.stages]
    return names[: names.index(stage.name)] if stage.name in names else names


def _raise_unless_whole(build: BuildContext, stages: Sequence[str]) -> None:
    progress = build.progress
    for name in stages:
        if name not in progress.published:
            msg = f"stage {name} reported success, but its files are missing"
            raise StageFailed(msg, hint=f"The log is {build.failed_log}.")
    if changed := progress.intake.changed():
        # What the manifest says of a file must be true of it.
        msg = f"{escape_control(changed[0])} has changed since the worker announced it"
        raise StageFailed(msg, hint=f"The log is {build.failed_log}.")


def restore(build: BuildContext) -> None:
    """Put every cached stage's files into the build folder."""
    plan, context = build.plan, build.run
    for stage in plan.stages:
        entry, done = stage.entry, build.progress
        if entry is None or stage.name in done.published or stage.name in done.restored:
            continue
        if stage.name == "calibrate" and "optimize" not in plan.to_run:
            # Nobody reads its arrays now, which are large; its pictures are for people.
            shown = tuple(file for file in entry.files if file.role not in LINKED_ROLES)
            entry = replace(entry, files=shown)
        if not context.cache.restore(entry, build.staging, context.memory):
            context.cache.discard(stage.key)
            raise CacheDamaged(stage.name)
        build.progress.intake.trust(entry.files)
        done.restored.add(stage.name)
        context.observer.stage_cached(stage.name)
        for finding in entry.findings:
            context.observer.finding(Finding.from_json(finding))


class CacheDamaged(StageFailed):
    """An entry of the cache had changed; it is gone now, and a new plan will rebuild it."""

    default_code = "cache.damaged"

    def __init__(self, stage: str) -> None:
        super().__init__(f"the cached result of stage {stage} was damaged and has been removed")
        self.stage = stage


def _publish(build: BuildContext, stage: StageRecord) -> CacheEntry:
    plan, context = build.plan, build.run
    planned = next(item for item in plan.stages if item.name == stage.name)
    scope = scope_of(plan.request.model, plan.request.arch, stage.name)
    entry = CacheEntry(
        key=planned.key,
        stage=stage.name,
        files=tuple(stage.files),
        result=stage.result,
        findings=tuple(finding.to_json() for finding in stage.findings),
        ran=stage.ran,
        seconds=stage.seconds,
        created=time.time(),
        why=planned.why,
    )
    if build.again is not None and BY_NAME[stage.name].passes:
        earlier = context.cache.meanings(scope).get(entry.passed_on)
        entry = replace(entry, same_as=earlier if earlier != entry.key else None)
    kept = build.progress.intake.kept(entry.files)
    if stage.name == plan.stages[0].name:
        # First the mark: an entry must never be without it.
        context.cache.note(first_mark(planned.why))
    try:
        context.cache.publish(entry, build.staging, kept)
        context.cache.note_meaning(scope, entry)
        build.progress.taken.append((entry, kept))
    except OSError as error:
        # A full or read-only cache slows the next build down; it must not fail this one.
        context.observer.finding(
            Finding(
                "cache.write",
                "warning",
                f"the cache at {context.cache.root} cannot be written: {error.strerror or error}",
                stage=stage.name,
            )
        )
    return entry


def _raise_unless_done(build: BuildContext, reader: EventReader, ending: Ending) -> None:
    if ending.ok and reader.done:
        return
    log_hint = f"The whole log: {build.failed_log}"
    failure = reader.failure
    if reader.interrupted or ending.kind == "interrupted":
        raise Interrupted
    if ending.kind in ("engine_lost", "platform"):
        raise EngineError(ending.detail, hint=ending.hint, code=f"engine.{ending.kind}")
    if ending.kind in ("oom", "disk_full", "killed"):
        stage = next(reversed(reader.stages), None)
        msg = f"stage {stage or 'start'}: {ending.detail}"
        hint = "\n".join(part for part in (ending.hint, log_hint) if part)
        raise StageFailed(msg, hint=hint, code=f"stage.{ending.kind}")
    if failure is None:
        msg = f"the worker ended without a message ({ending.detail})"
        tail = "\n".join(escape_control(line) for line in reader.tail[-15:])
        raise StageFailed(msg, hint="\n".join(part for part in (tail, log_hint) if part))
    where_failed = f"stage {failure.stage}: " if failure.stage else ""
    kind = failure.told.kind.rpartition(".")[2]
    named = "" if failure.told.known else f"{kind}: "
    inputs = build.plan.request.materials
    hints = [as_on_this_machine(failure.told.fix, inputs)] if failure.told.fix else []
    if not failure.told.known:
        lines = [*reader.tail, *(failure.told.traceback or "").splitlines()]
        for explanation in build.run.explain(
            lines, {"stage": failure.stage, "class": failure.told.kind}
        ):
            hints.append(f"{explanation.message} ({explanation.code})")
            if explanation.fix:
                hints.append(explanation.fix)
    said = as_on_this_machine(failure.told.message, inputs)
    msg = f"{build.plan.request.model}: {where_failed}{named}{said}"
    raise StageFailed(
        msg, hint="\n".join([*hints, log_hint]), code=failure.told.known or "stage.failed"
    )


def close(build: BuildContext) -> None:
    """Let go of what a build has read, and note what is known of the cache's copies since."""
    build.progress.intake.close()
    for entry, kept in build.progress.taken:
        build.run.cache.learn(entry, kept, build.run.memory)


def keep_log(build: BuildContext) -> None:
    """Keep the log of a build that did not come to its end, beside the last good one."""
    staging = build.staging
    files.remove_tree(staging.parent / f"{staging.name}{builds.SOURCE_COPIES}")
    log = staging / RUN_LOG
    with contextlib.suppress(OSError):
        if log.is_file():
            log.replace(build.failed_log)
        elif (build.final / SUMMARY).is_file():
            build.failed_log.unlink(missing_ok=True)
