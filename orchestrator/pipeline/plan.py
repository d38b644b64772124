"""The plan: which stages must run, decided before anything is touched.

Keys are chained: a stage's key holds the keys of the stages that it stands on, so one look
at the cache tells how far a build can be taken from what is there. A result that passes the same
on as an earlier one goes by that one's key there: what stands on it need not be made again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import stages

from orchestrator.pipeline.cache import CacheEntry
from orchestrator.pipeline.closure import CodeReader
from orchestrator.pipeline.digests import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.inputs import BuildRequest
    from orchestrator.pipeline.materials import BuildInput

_DIGEST = re.compile(r"[0-9a-f]{64}")

#: Raise it when the meaning of keys changes.
KEY_SCHEMA = 2


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan. ``entry`` is what the cache has for it; ``why`` is in its key.

    ``needed`` is false for a stage that is not cached but whose result nobody asks for.
    """

    name: str
    key: str
    entry: CacheEntry | None
    why: Mapping[str, Any]
    needed: bool = True

    @property
    def runs(self) -> bool:
        """Whether the stage must run."""
        return self.entry is None and self.needed


@dataclass(frozen=True)
class Plan:
    """What a build will do."""

    request: BuildRequest
    toolchain: str
    emulated: bool
    identities: Mapping[str, Mapping[str, Any]]
    stages: tuple[PlannedStage, ...]

    @property
    def to_run(self) -> tuple[str, ...]:
        """Names of the stages that must run, in order."""
        return tuple(stage.name for stage in self.stages if stage.runs)

    @property
    def key(self) -> str:
        """The build's own key: that of all its stages."""
        return digest_of([stage.key for stage in self.stages])

    @property
    def hef_name(self) -> str:
        """Name of the HEF; an emulated one can never be taken for a real one."""
        middle = ".emulated" if self.emulated else ""
        return f"model.{self.request.arch}{middle}.hef"

    def worker_document(
        self, stages: Sequence[str], known: Mapping[str, Mapping[str, Sequence[str]]] | None = None
    ) -> dict[str, Any]:
        """Return the plan as a worker reads it that is to run ``stages``.

        ``known`` are earlier results, see :func:`known_results`.
        """
        return {
            **({"known": known} if known else {}),
            "schema": 1,
            "model": self.request.model,
            "arch": self.request.arch,
            "net_name": self.request.net_name,
            "hef_name": self.hef_name,
            "seed": 0,
            "stages": list(stages),
            "parameters": self.request.parameters,
        }


def material_digests(request: BuildRequest, memory: DigestMemory) -> dict[str, str]:
    """Return the content digest of every material, by its name."""
    return {material.name: _digest(material, memory) for material in request.materials}


def _digest(material: BuildInput, memory: DigestMemory) -> str:
    if material.files is None:
        return memory.tree(material.path)
    return digest_of([[name, memory.file(material.path / name)] for name in material.files])


def code_digests(worker: Path, memory: DigestMemory) -> dict[str, str]:
    """Return the digest of the worker's code behind each stage."""
    reader = CodeReader(worker, memory)
    return {stage.name: reader.digest([stage.module]) for stage in stages.STAGES}


def first_mark(why: Mapping[str, Any]) -> str:
    """Return a digest of what the first stage's key is made of beside the content of its inputs.

    It is known before any input is read. Without an entry that begins like that in the cache,
    the first stage must run, and with it all that stand on it.
    """
    return digest_of({name: value for name, value in why.items() if name not in _CONTENT})


#: What of a key's document depends on the content of inputs.
_CONTENT = frozenset({"inputs", "after"})


def plan_everything(
    request: BuildRequest,
    *,
    toolchain: str,
    emulated: bool,
    identities: Mapping[str, Mapping[str, Any]],
    code: Mapping[str, str],
) -> Plan:
    """Return the plan that runs every stage, without keys: for what is needed before those."""
    planned = tuple(
        PlannedStage(stage.name, "", None, _why(stage, request, identities, code, {}, {}))
        for stage in stages.STAGES
        if request.goal in stage.goals
    )
    return Plan(request, toolchain, emulated, identities, planned)


def _why(
    stage: stages.Stage,
    request: BuildRequest,
    identities: Mapping[str, Mapping[str, Any]],
    code: Mapping[str, str],
    materials: Mapping[str, str],
    meanings: Mapping[str, str],
) -> dict[str, object]:
    """Return what decides a stage's result; without ``materials``, all but contents."""
    return {
        "schema": KEY_SCHEMA,
        "stage": stage.name,
        "code": code[stage.name],
        "toolchain": dict(identities[stage.name]),
        "arch": request.arch if stage.by_arch else None,
        "model": request.net_name if stage.by_arch else None,
        "parameters": request.parameters.get(stage.name, {}),
        "inputs": {name: materials[name] for name in request.used_by.get(stage.name, ())}
        if materials
        else {},
        "after": {name: meanings[name] for name in stage.after} if meanings else {},
    }


def make_plan(
    request: BuildRequest,
    *,
    toolchain: str,
    emulated: bool,
    identities: Mapping[str, Mapping[str, Any]],
    materials: Mapping[str, str],
    code: Mapping[str, str],
    find: Callable[[str], CacheEntry | None],
    recall: Callable[[str, str], str | None] = lambda _stage, _key: None,
) -> Plan:
    """Return the plan for a request.

    ``identities`` is, for each stage, what of its surroundings decides results (image
    digest, versions): export runs apart from the compiler;
    ``materials`` and ``code`` are digests by name; ``find`` looks a key up in the cache, and
    ``recall`` tells what key a stage's result went by in a build that is there.
    """
    asked = {stage.name: stage for stage in stages.STAGES if request.goal in stage.goals}

    def why_of(name: str, meanings: Mapping[str, str]) -> dict[str, object]:
        return _why(asked[name], request, identities, code, materials, meanings)

    planned = _chained(asked, why_of, find, recall)
    return Plan(request, toolchain, emulated, identities, planned)


def replan(made: Plan, find: Callable[[str], CacheEntry | None]) -> Plan:
    """Return a plan anew from what is in its own keys, with what ``find`` has by now.

    For a build whose recipe and inputs are no longer at hand: it was started in the background.
    """
    before = {stage.name: stage.why for stage in made.stages}

    def why_of(name: str, meanings: Mapping[str, str]) -> dict[str, object]:
        after = {one: meanings[one] for one in stages.BY_NAME[name].after}
        return {**before[name], "after": after}

    return replace(made, stages=_chained(before, why_of, find, recalled(before)))


def _chained(
    names: Iterable[str],
    why_of: Callable[[str, Mapping[str, str]], dict[str, object]],
    find: Callable[[str], CacheEntry | None],
    recall: Callable[[str, str], str | None],
) -> tuple[PlannedStage, ...]:
    """Return the stages with their keys; ``why_of`` gets the keys that those before go by."""
    meanings: dict[str, str] = {}
    planned: list[PlannedStage] = []
    for name in names:
        why = why_of(name, meanings)
        key = digest_of(why)
        entry = find(key)
        meanings[name] = entry.meaning if entry is not None else recall(name, key) or key
        planned.append(PlannedStage(name, key, entry, why))
    return _without_idle_calibration(planned)


def _without_idle_calibration(planned: list[PlannedStage]) -> tuple[PlannedStage, ...]:
    """Leave calibration out when nothing is quantised: its arrays are large and soon dropped."""
    quantises = any(stage.name == "optimize" and stage.entry is None for stage in planned)
    return tuple(
        replace(stage, needed=False) if stage.name == "calibrate" and not quantises else stage
        for stage in planned
    )


def recalled(why: Mapping[str, Mapping[str, Any]]) -> Callable[[str, str], str | None]:
    """Return what tells by which key a result went in a build, from that build's ``why``."""

    def recall(stage: str, key: str) -> str | None:
        if stage not in why or digest_of(why[stage]) != key:
            return None
        users = (later.get("after", {}).get(stage) for later in why.values())
        return next((str(used) for used in users if used is not None), None)

    return recall


def scope_of(model: str, arch: str, stage: str) -> str:
    """Return where a stage's earlier results for the same network and chip are noted."""
    chip = arch if stages.BY_NAME[stage].by_arch else None
    return f"{stage}-{digest_of([model, chip])[:16]}"


def known_results(
    plan: Plan,
    meanings: Callable[[str], Mapping[str, str]],
    again: Callable[[Callable[[str], CacheEntry | None]], Plan],
) -> dict[str, dict[str, list[str]]]:
    """Return, for each stage that must run, which results of it would spare later stages.

    By the digest of what it passes on: the stages that must then still run after it.
    ``meanings`` gives what is noted in a scope, ``again`` makes the plan with other entries.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for stage in plan.stages:
        if not stage.runs:
            continue
        later = stages.NAMES[stages.NAMES.index(stage.name) + 1 :]
        usual = [name for name in plan.to_run if name in later]
        if not usual:
            continue
        scope = scope_of(plan.request.model, plan.request.arch, stage.name)
        for digest, key in meanings(scope).items():
            stub = CacheEntry(key=stage.key, stage=stage.name, files=(), same_as=key)
            then = again(lambda wanted, stub=stub: stub if wanted == stub.key else None)  # type: ignore[misc]
            left = [name for name in then.to_run if name in later]
            if len(left) < len(usual):
                found.setdefault(stage.name, {})[digest] = left
    return found


def carried_alone(
    plan: Plan, known: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, dict[str, Sequence[str]]]:
    """Return those of the known results after which a job can do all that is left by itself.

    Not so where a stage that is left reads one that is left out: that one's result is here.
    """
    found: dict[str, dict[str, Sequence[str]]] = {}
    for name, results in known.items():
        later = stages.NAMES[stages.NAMES.index(name) + 1 :]
        usual = [stage for stage in plan.to_run if stage in later]
        for digest, left in results.items():
            spared = set(usual).difference(left)
            if not any(spared.intersection(stages.BY_NAME[stage].after) for stage in left):
                found.setdefault(name, {})[digest] = left
    return found


def explain_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between two keys' documents, as ``path: old -> new`` lines."""
    lines: list[str] = []
    _differ("", old, new, lines)
    return lines


def listed(lines: Sequence[str], most: int = 30) -> list[str]:
    """Return the first of many differences as lines of an error, and how many more there are."""
    shown = [f"  {line}" for line in lines[:most]]
    return [*shown, f"  and {len(lines) - most} more"] if len(lines) > most else shown


def _differ(path: str, old: object, new: object, lines: list[str]) -> None:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            _differ(f"{path}.{key}" if path else str(key), old.get(key), new.get(key), lines)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        # One of them was kept as JSON, which knows no tuples.
        for index in range(max(len(old), len(new))):
            one, other = (side[index] if index < len(side) else None for side in (old, new))
            _differ(f"{path}.{index}", one, other, lines)
    elif old != new:
        lines.append(f"{path}: {_short(old)} -> {_short(new)}")


def _short(value: object) -> str:
    text = str(value)
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return text[:12]
    return text if len(text) <= 60 else text[:57] + "..."
