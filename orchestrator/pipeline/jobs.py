"""From a plan to jobs: which stages run together, in which image, with which files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.layout import PLAN
from hefsmith_worker.contract.stages import BY_NAME

from orchestrator.pipeline.cache import place
from orchestrator.pipeline.finished import builds

if TYPE_CHECKING:
    from orchestrator.engine.base import Box, Job
    from orchestrator.engine.protocols import Engine
    from orchestrator.pipeline.materials import BuildInput
    from orchestrator.pipeline.plan import Plan

Known = Mapping[str, Mapping[str, Sequence[str]]]
NOTHING: Known = MappingProxyType({})


@dataclass(frozen=True)
class ExecutionTarget:
    """Where a plan is carried out: the engine, the image, and how its Python is started."""

    engine: Engine
    image: str
    argv: tuple[Any, ...]
    env: Mapping[str, Any]
    limits: Box
    labels: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    """What the contact test was told by this compiler, see ``contract/answers.py``."""


@dataclass(frozen=True)
class Segment:
    """Stages that share one container and one process."""

    stages: tuple[str, ...]
    target: ExecutionTarget


def write_plan(plan: Plan, segment: Segment, staging: Path, known: Known = NOTHING) -> None:
    """Write the worker's plan into the build folder."""
    document = plan.worker_document(segment.stages, known)
    if segment.target.answers:
        document["answers"] = dict(segment.target.answers)
    (staging / PLAN).write_text(json.dumps(document, indent=1), encoding="utf-8", newline="\n")


def make_job(
    plan: Plan, segment: Segment, staging: Path, known: Known = NOTHING, *, waits: bool = False
) -> Job:
    """Write the worker's plan into the build folder and return the job that carries it out.

    ``known`` are earlier results, see :func:`orchestrator.pipeline.plan.known_results`. The job
    gets the materials of its own stages only: a checkpoint never meets the compiler. One that
    ``waits`` loads what its first stage needs, and begins when it is released.
    """
    from orchestrator.engine.base import Input, Job

    write_plan(plan, segment, staging, known)
    inputs: list[Input] = []
    for material in _materials_of(plan, segment.stages):
        path = material.path
        if material.files is not None:
            # Only the model's own code leaves its folder, not what else lies beside it.
            path = staging.parent / f"{staging.name}{builds.SOURCE_COPIES}" / material.name
            for name in material.files:
                place(material.path / name, path / name, link=False)
        inputs.append(Input(material.name, path))
    ready = segment.target
    return Job(
        name=f"{plan.request.model}-{plan.request.arch}",
        image=ready.image,
        argv=(*ready.argv, "--wait", ",".join(_libraries(plan, segment))) if waits else ready.argv,
        work=staging,
        inputs=tuple(inputs),
        env=ready.env,
        limits=ready.limits,
        labels=ready.labels,
        notes={"model": plan.request.model, "arch": plan.request.arch, "key": plan.key},
        waits=waits,
    )


def _libraries(plan: Plan, segment: Segment) -> tuple[str, ...]:
    """Return the modules that the first stage of a job loads before anything else."""
    first = segment.stages[0]
    source = plan.request.parameters["export"]["source"]
    loads = first in ("export", "samples") and source["kind"] == "torch"
    torch = ("torch",) if loads else ()
    return (f"{BY_NAME[first].module}", *torch)


def _materials_of(plan: Plan, stages: Sequence[str]) -> list[BuildInput]:
    used = {name for stage in stages for name in plan.request.used_by.get(stage, ())}
    return [material for material in plan.request.materials if material.name in used]


def job_for_display(plan: Plan, segment: Segment) -> Job:
    """Return the job as ``--dry-run`` shows it; nothing is written."""
    from orchestrator.engine.base import Input, Job

    ready = segment.target
    return Job(
        name=f"{plan.request.model}-{plan.request.arch}",
        image=ready.image,
        argv=ready.argv,
        work=Path("BUILD_FOLDER"),
        inputs=tuple(Input(m.name, m.path) for m in _materials_of(plan, segment.stages)),
        env=ready.env,
        limits=ready.limits,
    )
