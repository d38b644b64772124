"""The page about recipes names every key that a recipe or a project file may have."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import pytest

from orchestrator.project.loading import load_recipe
from orchestrator.project.projectfile import ProjectFile
from orchestrator.project.recipe import Recipe
from orchestrator.project.section import Section


def keys(model: type[Section]) -> set[str]:
    found: set[str] = set()
    hints = get_type_hints(model)
    for one in fields(cast("Any", model)):
        found.add(one.name)
        for inner in sections(hints[one.name]):
            found |= keys(inner)
    return found


def sections(annotation: object) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for part in get_args(annotation) for found in sections(part)]


@pytest.mark.parametrize("model", [Recipe, ProjectFile])
def test_every_key_is_documented(repository: Path, model: type[Section]) -> None:
    words = set(re.findall(r"[a-z0-9_]+", (repository / "docs" / "recipe.md").read_text()))
    assert keys(model) <= words


def test_the_recipe_in_the_readme_is_valid(repository: Path, tmp_path: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    recipe = text.partition("```yaml\n")[2].partition("```")[0]
    folder = tmp_path / "mynet"
    folder.mkdir()
    (folder / "model.yaml").write_text(recipe, encoding="utf-8")
    assert load_recipe(folder).recipe.optimization.level == "auto"
