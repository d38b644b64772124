"""Which samples are for which input of a first recipe, and what arrays say of themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import escape_control
from orchestrator.project.starter import is_array, is_picture
from orchestrator.project.survey.arrays import Facts, array_facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What stands for arrays that the network gets as they are.
AS_THEY_ARE = {"color": "data", "normalize": "host"}


def settle(recipe: dict[str, Any], target: Path) -> tuple[list[str], str]:
    """Change a recipe's preprocessing to what its arrays show.

    Return what to know, and what has to be done before a build, as a clause; empty where nothing.
    """
    inputs: Mapping[str, Sequence[int]] = recipe.get("inputs") or {}
    source = recipe["calibration"]["source"]
    sources = {next(iter(inputs), ""): source} if isinstance(source, str) else source
    several = len(inputs) > 1
    notes: list[str] = []
    first = ""
    for name, shape in inputs.items():
        path = sources.get(name)
        if not isinstance(path, str) or not is_array(path):
            continue
        facts = array_facts(beside(target, path))
        if facts is None:
            continue
        section = recipe["preprocessing"].get(name) if several else recipe["preprocessing"]
        if not isinstance(section, dict):
            continue
        settled, note = _settled(section, tuple(shape), facts)
        if settled is not section:
            (recipe["preprocessing"] if several else recipe).update(
                {name if several else "preprocessing": settled}
            )
        file = escape_control(path.rsplit("/", 1)[-1])
        if note:
            notes.append(f"{file}: {note}")
        if turned(facts.shape, shape):
            notes.append(
                f"{file} has its channels first, {_text(facts.shape)}, and a build takes "
                f"{_text(('N', *rows_of(shape)))}: save array.transpose(0, 2, 3, 1)"
            )
            first = f"turn {file} round"
    return notes, first


def beside(target: Path, path: str) -> Path:
    """Return where a path of the recipe leads; its folder is not there yet."""
    return Path(os.path.normpath(target / path))


def turned(found: Sequence[int], shape: Sequence[int]) -> bool:
    """Tell whether an array (N, C, H, W) is for an input of that shape, and for no other."""
    return len(shape) == 4 and tuple(found[1:]) == tuple(shape[1:]) != rows_of(shape)


def _settled(
    section: dict[str, Any], shape: tuple[int, ...], facts: Facts
) -> tuple[dict[str, Any], str]:
    """Return the preprocessing that fits an array, and what is worth a word."""
    if section.get("normalize") == "chip" and facts.prepared:
        values = f"values {facts.low:.4g}..{facts.high:.4g}"
        if shape[1] == 1 or not is_picture(shape):
            return dict(AS_THEY_ARE), ""
        note = f"{values}: taken as they are, normalised already; check mean and std"
        return {**section, "normalize": "host"}, note
    pixels = facts.kind in "ui" and facts.low >= 0 and 1 < facts.high <= 255
    if section == AS_THEY_ARE and len(shape) == 4 and pixels:
        scaled = {"size": list(shape[2:]), "mean": [0], "std": [255], "color": "data"}
        note = (
            f"whole numbers {facts.low:.0f}..{facts.high:.0f}, divided by 255: not known, check it"
        )
        return {**scaled, "normalize": "chip"}, note
    return section, ""


def _text(sides: Sequence[object]) -> str:
    return f"({', '.join(map(str, sides))})"


def folders_of(pictures: Path, inputs: Sequence[str]) -> dict[str, Path]:
    """Return the folders beside ``pictures``, or in it, that are called like the inputs."""
    if not pictures.is_dir() or len(inputs) < 2:
        return {}
    for above in (pictures, pictures.parent):
        here = {one.name.lower(): one for one in above.iterdir() if one.is_dir()}
        found = {name: here[name.lower()] for name in inputs if name.lower() in here}
        if len(found) == len(inputs):
            return found
    return {}
