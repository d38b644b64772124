"""Files to recipes and project files."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from orchestrator.errors import ConfigError, escape_control
from orchestrator.project import remembered
from orchestrator.project.document import LARGEST
from orchestrator.project.recipe import MODEL_NAME, Recipe
from orchestrator.project.section import Section
from orchestrator.reading import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.document import YamlDocument

Model = TypeVar("Model", bound=Section)

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
    document, recipe = load_section(file, Recipe)
    name = recipe.name or file.parent.resolve().name
    if not MODEL_NAME.match(name):
        msg = (
            f"{file}: the folder's name {escape_control(name)!r} cannot be a model name "
            "(letters, digits, - and _, starting with a letter; no device of Windows as aux)"
        )
        raise ConfigError(msg, hint="Rename the folder, or write name: in the recipe.")
    return LoadedRecipe(name, recipe, document)


def load_section(path: Path, model: type[Model]) -> tuple[YamlDocument, Model]:
    """Read a file as a section; one that was found right before is not checked again.

    Raises :class:`ConfigError` with every mistake in it.
    """
    content: bytes | None = None
    with suppress(OSError):  # the parser says why it cannot be read
        content = read_regular(path, limit=LARGEST)
        if (known := remembered.recall(path, content, model)) is not None:
            return known
    from orchestrator.project.checking import validate
    from orchestrator.project.yaml_source import read_yaml

    document = read_yaml(path, content)
    section = validate(document, model)
    if content is not None:
        remembered.remember(document, content, section)
    return document, section
