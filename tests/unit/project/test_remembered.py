"""A file that was found right before is not parsed again, and nothing else is ever believed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator import paths
from orchestrator.errors import ConfigError
from orchestrator.project import remembered
from orchestrator.project.loading import load_recipe, load_section
from orchestrator.project.projectfile import ProjectFile
from orchestrator.project.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """\
source: {torch: "model.py:build", weights: net.pt, kwargs: {width: 2.0, names: [a, b], deep: {}}}
inputs: {image: [1, 3, 32, 32], flow: [1, 2, 32, 32]}
preprocessing: {image: {mean: [1, 2, 3], std: 2, pad: 114}, flow: {color: data}}
calibration: {source: {image: pictures, flow: {path: flow.npz, kind: npz}}, count: 7}
export: {packages: [timm]}
arch: [hailo8, hailo8l]
postprocess: {task: detection, labels: [cat, dog], nms: {classes: 2}}
validation: {thresholds: {snr_db: -3}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recipe that uses most of what there is."""
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    return folder / "model.yaml"


def kept() -> list[Path]:
    return sorted((paths.user_cache() / remembered.FOLDER).glob("*"))


def test_the_remembered_values_equal_the_checked_ones(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_recipe(file)
    assert len(kept()) == 1
    # Neither the parser nor the checks can be had now.
    monkeypatch.setitem(sys.modules, "orchestrator.project.checking", None)
    second = load_recipe(file)
    assert second.recipe == first.recipe
    assert repr(second.recipe) == repr(first.recipe)  # 1 is not 1.0, a tuple is no list
    assert second.document.value == first.document.value
    assert second.where("calibration", "count") == first.where("calibration", "count")
    assert second.where("calibration", "count").endswith("model.yaml:4:84")


def test_a_changed_file_is_checked_again(file: Path) -> None:
    load_recipe(file)
    file.write_text(RECIPE.replace("count: 7", "count: 0"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"calibration\.count"):
        load_recipe(file)
    file.write_text(RECIPE.replace("count: 7", "count: 9"), encoding="utf-8")
    assert load_recipe(file).recipe.calibration.count == 9
    assert load_recipe(file).recipe.calibration.count == 9


def test_another_versions_checks_count_for_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_recipe(file)
    content = file.read_bytes()
    assert remembered.recall(file, content, Recipe) is not None
    assert remembered.recall(file, content, ProjectFile) is None
    monkeypatch.setattr(remembered, "_checks", lambda: b"other code")
    assert remembered.recall(file, content, Recipe) is None


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"key": 1}',
        lambda kept: {**kept, "values": {"$section": "Nothing", "$values": {}}},
        lambda kept: {**kept, "values": {"$section": "Recipe", "$values": {"source": 1}}},
        lambda kept: {**kept, "values": {"$section": "ProjectFile", "$values": {}}},
        lambda kept: {**kept, "values": 3},
        lambda kept: {"key": kept["key"]},
    ],
)  # fmt: skip
def test_damage_costs_a_reading_and_no_more(file: Path, damage: object) -> None:
    first = load_recipe(file)
    (note,) = kept()
    if callable(damage):
        note.write_text(json.dumps(damage(json.loads(note.read_text()))))
    else:
        assert isinstance(damage, bytes)
        note.write_bytes(damage)
    assert load_recipe(file).recipe == first.recipe
    assert len(kept()) == 1


def test_what_json_cannot_hold_is_read_each_time(file: Path) -> None:
    file.write_text(RECIPE.replace("deep: {}", "born: 2020-01-01"), encoding="utf-8")
    assert load_recipe(file).recipe == load_recipe(file).recipe
    file.write_text(RECIPE.replace("deep: {}", '"$tuple": [1]'), encoding="utf-8")
    assert load_recipe(file).recipe.source.kwargs["$tuple"] == [1]
    assert load_recipe(file).recipe.source.kwargs["$tuple"] == [1]
    assert kept() == []


def test_a_cache_that_cannot_be_written_is_no_error(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("HEFSMITH_CACHE", str(tmp_path / "a-file" / "cache"))
    assert load_recipe(file).recipe == load_recipe(file).recipe


def test_a_project_file_is_remembered_too(tmp_path: Path) -> None:
    file = tmp_path / "hef.yaml"
    file.write_text(
        "devices: {pi: {host: pi5, port: 22}}\ngroups: {all: [pi]}\nlimits: {cpus: 2}\n"
    )
    _, first = load_section(file, ProjectFile)
    document, second = load_section(file, ProjectFile)
    assert second == first
    assert document.where(("devices", "pi", "port")).endswith("hef.yaml:1:33")
