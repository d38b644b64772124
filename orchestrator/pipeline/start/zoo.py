"""A ``hailomz`` command line as a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files import relative
from orchestrator.project.starter import Network
from orchestrator.project.zoo import load_zoo_yaml, parse_hailomz, recipe_from_zoo
from orchestrator.project.zoo_source import recipe_of_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.project.workspace import Workspace


def recipe_from_hailomz(
    line: str, name: str | None, workspace: Workspace, read: Callable[[Path], Network]
) -> tuple[str, dict[str, Any], Network, list[str]]:
    """Return the model's name, its recipe, what ``read`` sees of its file, and notes.

    Raises :class:`~orchestrator.errors.ConfigError` for what is no such command line.
    """
    command = parse_hailomz(line)
    network = Network()
    if command.checkpoint is not None and command.checkpoint.suffix.lower() == ".onnx":
        network = read(command.checkpoint)
    document, notes = ({}, []) if command.yaml is None else load_zoo_yaml(command.yaml)
    where = None if command.yaml is None else command.yaml.parent
    made = recipe_from_zoo(document, folder=where, command=command)
    model = name or made.name
    folder = workspace.models / model
    recipe = recipe_of_command(command, made)
    if command.yaml is not None:
        recipe["source"]["zoo"] = relative(command.yaml, folder)
        notes.extend(made.notes)
    _make_relative(recipe, folder)
    pictures = [shape for shape in network.inputs.values() if len(shape) == 4 and min(shape) > 0]
    size = made.recipe["preprocessing"].get("size")
    if command.yaml is not None and len(pictures) == 1 and size != list(pictures[0][2:]):
        notes.append(f"the network's own input is {pictures[0][2]} x {pictures[0][3]}: used here")
        recipe["preprocessing"] = {"size": list(pictures[0][2:])}
    return model, recipe, network, notes


def _make_relative(recipe: dict[str, Any], folder: Path) -> None:
    """Let the recipe's paths start where the recipe is; hailomz's start where it is run."""
    places = [
        (recipe.get("source", {}), ("weights",)),
        (recipe.get("calibration", {}), ("source",)),
        (recipe.get("optimization", {}), ("script_file",)),
    ]
    for section, keys in places:
        for key in keys:
            if key in section and Path(section[key]).exists():
                section[key] = relative(Path(section[key]), folder)
