"""The page about recipes names every key that a recipe or a project file may have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestrator.project.loading import load_recipe
from orchestrator.project.projectfile import ProjectFile
from orchestrator.project.recipe import Recipe


def keys(model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, info in model.model_fields.items():
        found.add(info.alias or name)
        for inner in sections(info.annotation):
            found |= keys(inner)
    return found


def sections(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in sections(part)]


@pytest.mark.parametrize("model", [Recipe, ProjectFile])
def test_every_key_is_documented(repository: Path, model: type[BaseModel]) -> None:
    words = set(re.findall(r"[a-z0-9_]+", (repository / "docs" / "recipe.md").read_text()))
    assert keys(model) <= words


def test_the_recipe_in_the_readme_is_valid(repository: Path, tmp_path: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    recipe = text.partition("```yaml\n")[2].partition("```")[0]
    folder = tmp_path / "mynet"
    folder.mkdir()
    (folder / "model.yaml").write_text(recipe, encoding="utf-8")
    assert load_recipe(folder).recipe.optimization.level == 2
