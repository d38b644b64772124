"""Presets are checked where a recipe names them, and documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from hefsmith_worker.contract.presets import PRESETS
from hefsmith_worker.pictures import Preprocess

from orchestrator.errors import ConfigError
from orchestrator.project.loading import load_recipe

RECIPE = """\
source: {onnx: net.onnx}
calibration: {source: pictures}
preprocessing:
  size: [224, 224]
  preset: %s
"""


def load(folder: Path, preset: str) -> object:
    (folder / "model.yaml").write_text(RECIPE % preset, encoding="utf-8")
    return load_recipe(folder).recipe.preprocessing


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_recipe_takes_every_preset_and_the_page_names_it(
    name: str, tmp_path: Path, repository: Path
) -> None:
    section = load(tmp_path, name)
    assert getattr(section, "preset") == name  # noqa: B009
    assert f"`{name}`" in (repository / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert Preprocess.from_dict({"preset": name, "size": [224, 224]}).preset == name


def test_a_misspelt_preset_is_told_with_its_place_when_the_recipe_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "ultralitics")
    said = str(caught.value)
    assert "model.yaml:5:11: preprocessing.preset:" in said
    assert "did you mean ultralytics?" in said
