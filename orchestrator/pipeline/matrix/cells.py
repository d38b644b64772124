"""The cells of a matrix: models, chips and parameter sets, as ``hef.yaml`` and the command say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.archs import named_archs, pick_archs
from orchestrator.pipeline.tune.tuning import Variant, applied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hefsmith_worker.contract.options import AnalyzeOptions

    from orchestrator.errors import HefsmithError
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.projectfile import MatrixEntry
    from orchestrator.project.recipe import Arch

#: Folder, beside the builds of a model, with those of its parameter sets.
SETS = "sets"


@dataclass(frozen=True)
class Asked:
    """What the command line names; empty means what ``matrix:`` says, else everything."""

    models: tuple[str, ...] = ()
    archs: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True)
class Cell:
    """One build of a matrix. ``set`` names a parameter set, ``None`` for the recipe as it is.

    ``loaded`` has the set's values. ``wrong`` is why there is nothing to build. A trial of a
    search has its own ``changes``, and ``analysis`` when no HEF is to be made; ``set`` names it.
    """

    model: str
    arch: Arch | None
    set: str | None = None
    loaded: LoadedRecipe | None = field(default=None, repr=False)
    wrong: HefsmithError | None = None
    changes: Mapping[str, object] | None = None
    analysis: AnalyzeOptions | None = None

    @property
    def name(self) -> str:
        """What to call it on a screen."""
        return " ".join(word for word in (self.model, self.arch, self.set) if word)

    def to_build(self) -> tuple[LoadedRecipe, Arch]:
        """Return the recipe and the chip; raises what is wrong with the cell."""
        if self.wrong is not None:
            raise self.wrong
        assert self.loaded is not None
        assert self.arch is not None
        return self.loaded, self.arch

    def folder_in(self, artifacts: Path) -> Path:
        """Return where its build stands."""
        _, arch = self.to_build()
        return folder_of(artifacts, self.model, self.set, arch)


def folder_of(artifacts: Path, model: str, set_name: str | None, arch: str) -> Path:
    """Return where the build of a model for a chip, with a parameter set, stands."""
    base = artifacts / model
    return base / arch if set_name is None else base / SETS / set_name / arch


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """Return nested values of a parameter set by their dotted keys."""
    found: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{before}{key}."))
        else:
            found[f"{before}{key}"] = value
    return found


def named_sets(
    matrix: MatrixEntry, asked: Sequence[str]
) -> tuple[tuple[str | None, Mapping[str, Any]], ...]:
    """Return the parameter sets to build with; raises :class:`ConfigError` for one not there."""
    words = [part.strip() for text in asked for part in text.split(",") if part.strip()]
    for word in words:
        if word not in matrix.sets:
            known = ", ".join(matrix.sets) or "none"
            msg = f"--set: hef.yaml has no parameter set {escape_control(word)!r}"
            raise ConfigError(msg, hint=f"Under matrix: sets: there are: {known}.")
    names = list(dict.fromkeys(words)) or list(matrix.sets)
    return tuple((name, flat(matrix.sets[name])) for name in names) or ((None, {}),)


def wanted_cells(
    asked: Asked,
    matrix: MatrixEntry,
    own: Sequence[str],
    load: Callable[[str], LoadedRecipe],
    archs: Callable[[LoadedRecipe, Sequence[str]], Sequence[Arch]] = pick_archs,
) -> tuple[Cell, ...]:
    """Return the cells, each once, in the order in which they are named.

    ``own`` are the models of the project, ``load`` reads a recipe. What is named by hand must be
    there; one of all recipes that cannot be read is a cell that says why.
    """
    names, chips = asked.models, asked.archs
    if chips:
        named_archs(chips)  # what is no chip is one mistake, not one of every model
    if asked.everything:
        names, chips = names or matrix.models or tuple(own), chips or matrix.arch
    sets = named_sets(matrix, asked.sets) if asked.everything or asked.sets else ((None, {}),)
    found: dict[tuple[str, str | None, str | None], Cell] = {}
    for name in names:
        try:
            loaded = load(name)
            targets = archs(loaded, chips)
        except ConfigError as error:
            if name in asked.models or len(names) == 1:
                raise
            found[name, None, None] = Cell(name, None, wrong=error)
            continue
        for set_name, changes in sets:
            try:
                recipe = applied(loaded, Variant(set_name or "", changes))
            except ConfigError as error:
                wrong = ConfigError(
                    f"matrix: sets: {error.message}", hint=error.hint, code="matrix.set"
                )
                for chip in targets:
                    cell = Cell(loaded.name, chip, set_name, loaded, wrong)
                    found[loaded.name, chip, set_name] = cell
                continue
            for chip in targets:
                found[loaded.name, chip, set_name] = Cell(loaded.name, chip, set_name, recipe)
    return tuple(found.values())
