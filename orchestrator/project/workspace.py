"""A project on disk: any folder with ``hef.yaml`` or ``models/``, and the models in it."""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.errors import ConfigError, escape_control
from orchestrator.project.loading import RECIPE_FILE, LoadedRecipe, load_recipe, load_section
from orchestrator.project.projectfile import PROJECT_FILE, ProjectFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.project.document import YamlDocument


#: The model of the first run: it comes with the program.
BUNDLED_MODEL = "digits"


@dataclass(frozen=True)
class Workspace:
    """One project: its root, its ``hef.yaml`` (or the defaults), where things go."""

    root: Path
    file: ProjectFile
    document: YamlDocument | None

    @property
    def models(self) -> Path:
        """Folder of the recipes."""
        return self.root / self.file.models

    @property
    def calibration(self) -> Path:
        """Folder of calibration sets."""
        return self.root / "calib"

    def cache(self, environ: Mapping[str, str]) -> Path:
        """Folder of the cache: the environment's, ``hef.yaml``'s, else the user's own."""
        if "HEFSMITH_CACHE" in environ or self.file.cache is None:
            return paths.user_cache()
        return (self.root / Path(self.file.cache).expanduser()).resolve()

    def model_names(self) -> list[str]:
        """Return the models of this project by name."""
        if not self.models.is_dir():
            return []
        return sorted(
            entry.name for entry in self.models.iterdir() if (entry / RECIPE_FILE).is_file()
        )

    def unnamed_model(self) -> str:
        """Return the model that is meant when none is named: the only one there is.

        Raises :class:`ConfigError` when the project has none or several.
        """
        own = self.model_names()
        if len(own) == 1:
            return own[0]
        if own:
            msg = f"which model? there are {len(own)} in {self.models}"
        else:
            msg = f"there is no model in {self.root} yet"
        hint = _how_to_start(own, self.root)
        raise ConfigError(msg, hint=hint, code="recipe.which" if own else "recipe.none")

    def recipe(self, name: str) -> LoadedRecipe:
        """Return a model's recipe by its name, its folder or its ``model.yaml``.

        Raises :class:`ConfigError` with the closest names when there is no such model.
        """
        folder = self.models / name
        if "/" not in name and "\\" not in name and (folder / RECIPE_FILE).is_file():
            return self._filled_in(load_recipe(folder))
        given = Path(name)
        if given.suffix in (".yaml", ".yml") or (given / RECIPE_FILE).is_file():
            return self._filled_in(load_recipe(given))
        if name == BUNDLED_MODEL:
            return load_recipe(paths.bundled_model(BUNDLED_MODEL))
        known = self.model_names()
        close = difflib.get_close_matches(name, [*known, BUNDLED_MODEL], n=1)
        msg = f"no model {escape_control(name)!r} in {self.models}"
        if folder.is_dir():
            msg = f"{folder}: has no {RECIPE_FILE}"
        hint = f"Did you mean {close[0]}?" if close else _how_to_start(known, self.root)
        raise ConfigError(msg, hint=hint, code="recipe.missing")

    def _filled_in(self, loaded: LoadedRecipe) -> LoadedRecipe:
        """Fill in what a hailomz YAML of the user's says, for the recipe's first chip."""
        if loaded.zoo is None:
            return loaded
        from orchestrator.project import zoo_source

        if not zoo_source.is_path(loaded.zoo):
            return loaded
        yaml = zoo_source.own_yaml(loaded, self.root)
        return zoo_source.expand(loaded, yaml, loaded.recipe.arch[0])[0]


#: Endings of networks, and the command that writes a recipe for one.
STARTS = {
    ".onnx": "hef init --onnx {}",
    ".pt": "hef init --weights {}",
    ".pth": "hef init --weights {}",
    ".ckpt": "hef init --weights {}",
    ".safetensors": "hef init --weights {}",
    ".tflite": "hef init --tflite {}",
}


def _how_to_start(known: list[str], folder: Path) -> str:
    """Return what to do next: name a model, or write the first recipe."""
    if known:
        return f"Models here: {', '.join(known)}."
    from orchestrator.inspect.source_files import ending_of

    networks = sorted(path for path in folder.iterdir() if ending_of(path) in STARTS)[:3]
    shown = [STARTS[ending_of(path)].format(shlex.quote(path.name)) for path in networks]
    first, *others = shown or ["hef init"]
    return "\n".join(
        [
            f"Write a recipe for your network: {first}",
            *(f"or for that one: {other}" for other in others),
            "or try the bundled demo: hef up digits",
        ]
    )


def open_workspace(start: Path | None = None) -> Workspace:
    """Return the project of a folder: itself or the nearest parent that is one.

    A folder that is no project, and has no project above it, becomes one by being used.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            document, file = load_section(folder / PROJECT_FILE, ProjectFile)
            return Workspace(folder, file, document)
        if (folder / "models").is_dir() and any((folder / "models").glob(f"*/{RECIPE_FILE}")):
            return Workspace(folder, ProjectFile(), None)
    return Workspace(here, ProjectFile(), None)
