"""Values to sections: every mistake becomes ``file:line:column: field: what is wrong``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_type_hints

from hefsmith_worker.contract.families import META_ARCHS
from hefsmith_worker.contract.presets import PRESETS
from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import ConfigError, shorten
from orchestrator.project.section import Section

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from orchestrator.project.document import Location, YamlDocument

Model = TypeVar("Model", bound=Section)


#: Made once for each kind of file: making one takes longer than using it.
_ADAPTERS: dict[type[Section], TypeAdapter[Any]] = {}


def _checked(value: object, model: type[Model]) -> Model:
    if model not in _ADAPTERS:
        _ADAPTERS[model] = TypeAdapter(model)
    checked: Model = _ADAPTERS[model].validate_python(value)
    return checked


#: Mistakes that are listed: what fits a screen.
MOST_SHOWN = 40


class Mistake(ValueError):
    """The first thing that is wrong with values that stand in no file."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


def section_from(value: object, model: type[Model]) -> Model:
    """Return values as a section; raises :class:`Mistake`."""
    try:
        return _checked(value, model)
    except ValidationError as error:
        found = _problem(value, error.errors()[0], model)
        raise Mistake(found.field, found.text) from None


def json_schema(model: type[Section]) -> dict[str, object]:
    """Return the JSON schema of a file, for editors: what may stand where, and what by default."""
    schema = TypeAdapter(model).json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    _complete(schema)
    return schema


#: Names that a function checks: an editor offers them all.
_NAMED = {"preset": tuple(PRESETS), "family": tuple(META_ARCHS)}


def _complete(node: object) -> None:
    """Add what the types alone do not say: known names, and one value in the place of a list."""
    if isinstance(node, list):
        for one in node:
            _complete(one)
    if not isinstance(node, dict):
        return
    properties = node.get("properties")
    for name, entry in properties.items() if isinstance(properties, dict) else ():
        if name in _NAMED:
            entry["examples"] = list(_NAMED[name])
        if name == "arch" and entry.get("type") == "array":
            single = entry.get("items", {})
            kept = {key: entry.pop(key) for key in ("type", "items") if key in entry}
            entry["anyOf"] = [single, kept]
    for one in node.values():
        _complete(one)


def validate(document: YamlDocument, model: type[Model]) -> Model:
    """Return the document as a section, or raise one :class:`ConfigError` with every mistake."""
    try:
        return _checked(document.value, model)
    except ValidationError as error:
        # Members of a union each complain; the first about a place is the useful one.
        found: dict[str, str] = {}
        for detail in error.errors():
            problem = _problem(document.value, detail, model)
            where = document.where(problem.location)
            found.setdefault(where, f"{where}: {problem.field}: {problem.text}")
        lines = [found[where] for where in sorted(found, key=_line_and_column)]
        hint = None if len(lines) == 1 else f"{len(lines)} mistakes; all are listed."
        if len(lines) > MOST_SHOWN:
            hint = f"{len(lines)} mistakes; the first {MOST_SHOWN} are listed."
            del lines[MOST_SHOWN:]
        raise ConfigError("\n".join(lines), hint=hint, code="config.invalid") from None


def _line_and_column(where: str) -> tuple[int, int]:
    _, line, column = where.rsplit(":", 2)
    return int(line), int(column)


@dataclass(frozen=True)
class _Problem:
    location: Location
    field: str
    text: str


def _problem(value: object, detail: ErrorDetails, model: type[Section]) -> _Problem:
    """Return what pydantic has found as people say it, and the key that it is about."""
    location = _real_location(value, tuple(detail["loc"]))
    field = shorten(".".join(str(part) for part in location) or "recipe", 100)
    if detail["type"] == "unexpected_keyword_argument":
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
        advice = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
        return _Problem((*location, "<key>"), field, f"unknown key; {advice}")
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = detail.get("input")
    if detail["type"] == "missing":
        message = "this key is needed"
        if location and isinstance(location[-1], int):
            # A list that is too short: its own place is in the file, that of what lacks is not.
            lacking = int(location[-1])
            location = location[:-1]
            field = shorten(".".join(str(part) for part in location) or "recipe", 100)
            message = f"{lacking + 1} values are needed, {lacking} given"
    elif detail["type"] in ("dataclass_type", "dict_type"):
        message = "expected a mapping (key: value)"
        if isinstance(given, str | int | float):
            message = f"{message}, got {shorten(str(given), 100)}"
    elif detail["type"] in ("tuple_type", "list_type"):
        message = "expected a list ([A, B])"
        if isinstance(given, str | int | float):
            message = f"{message}, got {shorten(str(given), 100)}"
    elif detail["type"] != "value_error" and isinstance(given, str | int | float | bool):
        message = f"{message} (got {shorten(str(given), 100)})"
        if detail["type"] == "literal_error" and (meant := _meant(str(given), detail)):
            message = f"{message}; did you mean {meant}?"
    return _Problem(location, field, message)


def _meant(given: str, detail: ErrorDetails) -> str | None:
    """Return the word of a closed list that a word is nearly, whatever its case and hyphens."""
    known = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
    plain = re.sub(r"[\s_-]", "", given.lower())
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.7)
    return close[0] if close else None


def _real_location(value: Any, raw: Location) -> Location:
    """Drop the parts of a pydantic location that name union members, not keys of the file."""
    kept: list[str | int] = []
    for index, part in enumerate(raw):
        last = index == len(raw) - 1
        if isinstance(value, dict) and isinstance(part, str):
            if part in value:
                value = value[part]
                kept.append(part)
            elif last:
                kept.append(part)
        elif isinstance(value, list) and isinstance(part, int):
            kept.append(part)
            value = value[part] if part < len(value) else None
    return tuple(kept)


def _known_keys(model: type[Section], location: Location) -> list[str]:
    """Return the keys that are allowed at a place of the model."""
    current: type[Section] | None = model
    for part in location:
        if current is not None and isinstance(part, str):
            hints = get_type_hints(current)
            current = _section_in(hints[part]) if part in hints else current
    return [] if current is None else [one.name for one in fields(cast("Any", current))]


def _section_in(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for argument in get_args(annotation):
        if (found := _section_in(argument)) is not None:
            return found
    return None
