"""What a build needs on its way: from the other rooms, of itself, and what it has so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.findings import Finding

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.cache import CacheEntry, StageCache
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.events import LogReader
    from orchestrator.pipeline.intake import ArtifactIntake
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.plan import Plan

#: Makes a plan anew, with a look for entries that goes before the one into the cache.
PlanAgain = Callable[[Callable[[str], "CacheEntry | None"]], "Plan"]
ExplainFailure = Callable[[list[str], Mapping[str, Any]], list[Finding]]


@dataclass(frozen=True)
class RunContext:
    """What a run needs beside the plan; the glue fills it from the other rooms."""

    cache: StageCache
    memory: DigestMemory
    observer: Observer
    new_reader: Callable[[], LogReader | None]
    explain: ExplainFailure
    downgrades: Callable[[Mapping[str, Any], Mapping[str, Any]], list[Finding]]


@dataclass(frozen=True)
class Record:
    """What is kept of a build besides its files (``build.json``)."""

    labels: tuple[str, ...]
    thresholds: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    postprocess: Mapping[str, Any]
    strict: bool
    #: Dotted keys that stand in the recipe: what is asked for by name.
    written: tuple[str, ...] = ()


@dataclass
class BuildProgress:
    """What the jobs of one build have brought so far."""

    intake: ArtifactIntake
    started: float
    published: dict[str, CacheEntry] = field(default_factory=dict)
    environment: dict[str, object] = field(default_factory=dict)
    engine: dict[str, object] = field(default_factory=dict)
    #: Copies that the cache took; their digests are learnt when nothing touches them any more.
    taken: list[tuple[CacheEntry, Mapping[str, Path]]] = field(default_factory=list)
    #: Stages whose files were put in place from the cache.
    restored: set[str] = field(default_factory=set)


@dataclass
class BuildContext:
    """One build on its way: its plan, where it is put together, and where it will stand.

    ``materials`` are the digests of its inputs by name, ``record`` what is kept of its recipe.
    ``again`` makes the plan with the entries that it is given besides those of the cache; where
    it is there, ``plan`` becomes what is left when a stage leaves what an earlier one left.
    """

    plan: Plan
    run: RunContext
    staging: Path
    final: Path
    materials: Mapping[str, str]
    record: Record
    progress: BuildProgress
    again: PlanAgain | None = None

    @property
    def failed_log(self) -> Path:
        """Where the log stays when the build fails: beside the last good one."""
        return self.final.parent / f"{self.final.name}.failed.log"


def written_keys(section: object, before: str = "") -> Iterator[str]:
    """Yield the dotted keys that stand in a recipe."""
    if isinstance(section, dict):
        for key, value in section.items():
            yield f"{before}{key}"
            yield from written_keys(value, f"{before}{key}.")
