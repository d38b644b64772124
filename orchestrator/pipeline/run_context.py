"""What a run takes from the other rooms, as values and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.pipeline.observer import Finding

if TYPE_CHECKING:
    from orchestrator.pipeline.cache import StageCache
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.events import LogReader
    from orchestrator.pipeline.observer import Observer

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
