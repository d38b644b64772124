"""Runs on clusters that were begun from here: how to come back to one."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.files import write_atomic
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from pathlib import Path

#: Of the many records that kills may leave, the newest are kept.
KEPT = 50


@dataclass(frozen=True)
class RunRecord:
    """Where a run is: its name, the scheduler's address, the project, and when it began."""

    id: str
    address: str
    root: str
    started: float


def folder() -> Path:
    """Return the folder of the records."""
    return paths.user_data() / "runs"


def remember(record: RunRecord) -> None:
    """Keep a record."""
    folder().mkdir(parents=True, exist_ok=True)
    write_atomic(folder() / f"{record.id}.json", json.dumps(asdict(record)))
    for old in records()[KEPT:]:
        forget(old.id)


def forget(identifier: str) -> None:
    """Drop a record, if there is one."""
    (folder() / f"{identifier}.json").unlink(missing_ok=True)


def records() -> list[RunRecord]:
    """Return the records, the newest first; what cannot be read is left out."""
    found = []
    for file in folder().glob("*.json"):
        try:
            document = read_json(file)
            record = RunRecord(
                str(document["id"]),
                str(document["address"]),
                str(document["root"]),
                float(document["started"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if re.fullmatch("[0-9a-f]{8}", record.id):
            found.append(record)
    return sorted(found, key=lambda one: one.started, reverse=True)


def find(beginning: str | None) -> list[RunRecord]:
    """Return the records whose name begins so."""
    return [one for one in records() if one.id.startswith(beginning or "")]
