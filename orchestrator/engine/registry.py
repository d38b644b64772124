"""Builds that were started and are not collected yet: one small file each.

`hef ps`, `hef attach` and `hef logs` find a build here from any terminal.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import paths
from orchestrator.engine.base import BuildRecord
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import write_atomic
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator


def folder() -> Path:
    """Return the folder of the records."""
    return paths.user_data() / "builds"


def save(record: BuildRecord) -> None:
    """Keep a record; it appears whole or not at all."""
    document = {
        **{one.name: getattr(record, one.name) for one in fields(record)},
        "work": str(record.work),
        "staged": str(record.staged) if record.staged else None,
        "tls": str(record.tls) if record.tls else None,
        "notes": dict(record.notes),
    }
    write_atomic(folder() / f"{record.id}.json", json.dumps(document, indent=1))


def forget(build: str) -> None:
    """Drop a record; a missing one is fine."""
    (folder() / f"{build}.json").unlink(missing_ok=True)


def records() -> tuple[BuildRecord, ...]:
    """Return all records, oldest first; a damaged file is passed over."""
    return tuple(sorted(_read_all(), key=lambda one: one.started))


def _read_all() -> Iterator[BuildRecord]:
    for path in folder().glob("*.json"):
        try:
            yield read_record(read_json(path))
        except (OSError, ValueError, KeyError, TypeError):
            continue


def read_record(document: Any) -> BuildRecord:
    """Return the record in a JSON object; raises ``KeyError`` or ``TypeError`` if it is none."""
    given = {
        name: Path(document[name]) if document.get(name) else None for name in ("staged", "tls")
    }
    known = {one.name for one in fields(BuildRecord)}
    kept = {name: value for name, value in document.items() if name in known}
    # One of an earlier version tells a number, by which nobody is known.
    kept.setdefault("process", "")
    return BuildRecord(**{**kept, **given, "work": Path(document["work"])})


def find(wanted: str | None) -> BuildRecord:
    """Return the build with that id (or its beginning) or name; the only one if ``None``.

    Raises :class:`ConfigError` when there is none, or more than one fits.
    """
    known = records()
    if wanted is None:
        fitting = [one for one in known if one.detached] or list(known)
    else:
        fitting = [one for one in known if one.id.startswith(wanted)]
        fitting = fitting or [one for one in known if one.name == wanted]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(f"{one.id} ({escape_control(one.name)})" for one in fitting or known)
    if not fitting:
        what = "no build runs" if wanted is None else f"no build {escape_control(wanted)!r} runs"
        hint = f"Known builds: {names}." if known else "Start one with: hef up MODEL --detach"
        raise ConfigError(what, hint=hint, code="engine.no-build")
    msg = "several builds match"
    raise ConfigError(msg, hint=f"Name one of them: {names}", code="engine.many-builds")
