"""Files to models: every mistake becomes ``file:line:column: field: what is wrong``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.errors import ConfigError, escape_control
from orchestrator.project.recipe import MODEL_NAME, Recipe
from orchestrator.project.yaml_source import YamlDocument, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from orchestrator.project.yaml_source import Location

Model = TypeVar("Model", bound=BaseModel)

RECIPE_FILE = "model.yaml"


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, its name, and where it was read (paths in it are relative to ``folder``)."""

    name: str
    recipe: Recipe
    document: YamlDocument

    @property
    def folder(self) -> Path:
        """The folder of ``model.yaml``."""
        return self.document.path.parent

    @property
    def zoo(self) -> str | None:
        """What the file says under ``source.zoo``; the recipe may be filled in from there."""
        document = self.document.value
        source = document.get("source") if isinstance(document, dict) else None
        zoo = source.get("zoo") if isinstance(source, dict) else None
        return zoo if isinstance(zoo, str) else None

    def where(self, *location: str | int) -> str:
        """Return ``file:line:column`` of a field."""
        return self.document.where(location)

    def path(self, written: str) -> Path:
        """Return a path of the recipe as an absolute one."""
        return (self.folder / written).resolve()


def load_recipe(path: Path) -> LoadedRecipe:
    """Read a recipe from ``model.yaml`` or from the folder that holds it."""
    file = path / RECIPE_FILE if path.is_dir() else path
    document = read_yaml(file)
    recipe = validate(document, Recipe)
    name = recipe.name or file.parent.resolve().name
    if not MODEL_NAME.match(name):
        msg = (
            f"{file}: the folder's name {escape_control(name)!r} cannot be a model name "
            "(letters, digits, - and _, starting with a letter)"
        )
        raise ConfigError(msg, hint="Rename the folder, or write name: in the recipe.")
    return LoadedRecipe(name, recipe, document)


def validate(document: YamlDocument, model: type[Model]) -> Model:
    """Return the document as a model, or raise one :class:`ConfigError` with every mistake."""
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        # Members of a union each complain; the first about a place is the useful one.
        seen: set[str] = set()
        lines: list[str] = []
        for detail in error.errors():
            line = _line(document, detail, model)
            where = line.split(": ", 1)[0]
            if where not in seen:
                seen.add(where)
                lines.append(line)
        hint = None if len(lines) == 1 else f"{len(lines)} mistakes; all are listed."
        raise ConfigError("\n".join(lines), hint=hint, code="config.invalid") from None


def _line(document: YamlDocument, detail: ErrorDetails, model: type[BaseModel]) -> str:
    location = _real_location(document, tuple(detail["loc"]))
    field = ".".join(str(part) for part in location) or "recipe"
    if detail["type"] == "extra_forbidden":
        where = document.where((*location, "<key>"))
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
        advice = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
        return f"{where}: {escape_control(field)}: unknown key; {advice}"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = detail.get("input")
    if detail["type"] == "missing":
        message = "this key is needed"
    elif detail["type"] != "value_error" and isinstance(given, str | int | float | bool):
        message = f"{message} (got {escape_control(str(given))})"
    return f"{document.where(location)}: {escape_control(field)}: {message}"


def _real_location(document: YamlDocument, raw: Location) -> Location:
    """Drop the parts of a pydantic location that name union members, not keys of the file."""
    value: Any = document.value
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


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys that are allowed at a place of the model."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None or not isinstance(part, str):
            continue
        info = next(
            (f for name, f in current.model_fields.items() if part in (name, f.alias)), None
        )
        current = _section_in(info.annotation) if info else current
    if current is None:
        return []
    return [info.alias or name for name, info in current.model_fields.items()]


def _section_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _section_in(argument)) is not None:
            return found
    return None
