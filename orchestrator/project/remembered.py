"""Files that were found right, kept as checked values in the user's cache.

Parsing YAML and loading what checks it take longer than finding out that a build is up to date.
The values count for the very bytes they came from and the very code that checked them; losing
them costs time, never correctness.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from orchestrator import paths
from orchestrator.files import write_atomic
from orchestrator.project import projectfile, recipe, section
from orchestrator.project.document import Position, YamlDocument
from orchestrator.project.section import Section
from orchestrator.reading import read_json

Model = TypeVar("Model", bound=Section)

FOLDER = "recipes"


def recall(path: Path, content: bytes, model: type[Model]) -> tuple[YamlDocument, Model] | None:
    """Return the document and its values if these bytes were found right before."""
    try:
        kept = read_json(_file(path))
        if kept["key"] != _key(content, model):
            return None
        values = _from_json(kept["values"])
        if isinstance(values, model):
            positions = {tuple(place): Position(*spot) for place, spot in kept["positions"]}
            return YamlDocument(path, _from_json(kept["document"]), positions), values
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def remember(document: YamlDocument, content: bytes, values: Section) -> None:
    """Keep the values of a file; what JSON cannot hold (a date, say) is not kept."""
    kept: dict[str, object] = {"key": _key(content, type(values))}
    try:
        kept["document"] = _to_json(document.value)
        kept["positions"] = [
            (place, (spot.line, spot.column)) for place, spot in document.positions.items()
        ]
        kept["values"] = _to_json(values)
        # What it is of may name passwords: nobody else reads it.
        write_atomic(_file(document.path), json.dumps(kept), private=True)
    except (OSError, TypeError, ValueError):
        pass


def _file(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return paths.user_cache() / FOLDER / f"{name[:32]}.json"


def _key(content: bytes, model: type[Section]) -> str:
    digest = hashlib.sha256(_checks())
    digest.update(model.__name__.encode())
    digest.update(content)
    return digest.hexdigest()


@cache
def _checks() -> bytes:
    """Return the digest of the code that says what is right."""
    digest = hashlib.sha256()
    for module in (section, recipe, projectfile):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.digest()


# --- sections as JSON, exactly -------------------------------------------------------------------


def _to_json(value: object) -> Any:
    if isinstance(value, Section):
        held = {one.name: _to_json(getattr(value, one.name)) for one in fields(cast("Any", value))}
        return {"$section": type(value).__name__, "$values": held}
    if isinstance(value, tuple):
        return {"$tuple": [_to_json(one) for one in value]}
    if isinstance(value, list):
        return [_to_json(one) for one in value]
    if isinstance(value, dict):
        if any(name.startswith("$") for name in value):
            msg = "a key that begins with $"
            raise ValueError(msg)
        return {name: _to_json(one) for name, one in value.items()}
    if value is None or type(value) in (str, bool, int, float):
        return value
    msg = f"a value cannot be kept: {type(value).__name__}"
    raise TypeError(msg)


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$tuple" in value:
        return tuple(_from_json(one) for one in value["$tuple"])
    if "$section" in value:
        known = {one.__name__: one for one in Section.__subclasses__()}
        held = {name: _from_json(one) for name, one in value["$values"].items()}
        return known[value["$section"]](**held)
    return {name: _from_json(one) for name, one in value.items()}
