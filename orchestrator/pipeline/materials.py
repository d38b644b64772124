"""What a build is made of: files of this machine under the names that the worker knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract import names

from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.project.loading import LoadedRecipe


@dataclass(frozen=True)
class BuildInput:
    """One input of a build: the name that the worker knows, and where it is on this machine.

    ``files`` limits a folder to these relative names (the factory's own code).
    """

    name: str
    path: Path
    files: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Described:
    """A part of the recipe as the worker reads it, and the names of the materials in it."""

    plan: Mapping[str, object]
    materials: tuple[str, ...] = ()


def as_on_this_machine(text: str, materials: Iterable[BuildInput]) -> str:
    """Return what the worker says with the user's own paths in place of the names that it knows.

    ``calibration.npy`` becomes ``calib/mine.npy``. A folder's name may be any word, and one of the
    build's own: it is taken where a file of that folder follows it.
    """
    for material in sorted(materials, key=lambda one: -len(one.name)):
        name = re.escape(material.name)
        if material.path.is_dir():
            pattern = rf"(?<![\w./-]){name}/(?P<rest>[\w./-]{{0,200}}\w)"
        elif "." in material.name:
            pattern = rf"(?<![\w./-]){name}(?P<rest>)(?![\w/-]|\.\w)"
        else:  # A word without a dot may stand for anything.
            continue
        text = re.sub(pattern, partial(_place, material.path), text)
    return text


def _place(path: Path, named: re.Match[str]) -> str:
    """Return where on this machine a name leads, as short as it can be written here."""
    whole = path / named["rest"]
    if not whole.exists():
        return named[0]
    here = Path.cwd()
    return escape_control(str(whole.relative_to(here) if whole.is_relative_to(here) else whole))


class Collector:
    """Gathers materials under names that do not collide."""

    def __init__(self, loaded: LoadedRecipe, project: Path) -> None:
        self.loaded = loaded
        self.project = project
        self.materials: dict[str, BuildInput] = {}
        #: What was found for the recipe, whether it is handed over or only read here (labels,
        #: a script): both end in what is built.
        self.found: list[Path] = []

    def find(self, written: str, *location: str | int) -> Path:
        """Return a path of the recipe that exists, else say where it was looked for."""
        where = self.loaded.where(*location)
        field = ".".join(map(str, location))
        if "\0" in written or not written:
            msg = f"{where}: {field}: not a path"
            raise ConfigError(msg, code="recipe.path")
        candidates = [self.loaded.folder / Path(written).expanduser(), self.project / written]
        for candidate in candidates:
            try:
                if candidate.exists():
                    self.found.append(candidate.resolve())
                    return self.found[-1]
            except OSError:
                continue
        msg = f"{where}: {field}: no such file or folder: {escape_control(written)}"
        if "://" in written:
            hint = "A recipe names files of this machine: download it, and give its path."
            raise ConfigError(msg, hint=hint, code="recipe.missing")
        looked = dict.fromkeys(str(candidate.resolve()) for candidate in candidates)
        raise ConfigError(
            msg, hint="Looked for " + "\nand for ".join(looked), code="recipe.missing"
        )

    def find_file(self, written: str, *location: str | int) -> Path:
        """Return a file of the recipe, else say what is in its place."""
        path = self.find(written, *location)
        if not path.is_file():
            where, field = self.loaded.where(*location), ".".join(map(str, location))
            msg = f"{where}: {field}: {escape_control(written)} is a folder, and a file is needed"
            if not path.is_dir():
                msg = f"{where}: {field}: {escape_control(written)} is not a regular file"
            raise ConfigError(msg, hint="Name a file, such as one in it.", code="recipe.path")
        return path

    def add(self, name: str, path: Path, files: tuple[str, ...] | None = None) -> str:
        """Hand over a file or folder under ``name``; the same path keeps its first name."""
        for material in self.materials.values():
            if material.path == path and material.files == files:
                return material.name
        # A file of the user may be called as no input can be; it is lent under another name.
        name = names.tame(name)
        free, number = name, 2
        while free in self.materials:
            stem, dot, suffix = name.partition(".")
            free, number = f"{stem}-{number}{dot}{suffix}", number + 1
        self.materials[free] = BuildInput(free, path, files)
        return free
