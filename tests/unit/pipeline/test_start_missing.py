"""A first recipe says at once where the pictures that were named are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from orchestrator.pipeline.start.recipe import Draft
from orchestrator.project.starter import Network
from orchestrator.project.survey.pictures import Shown

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "told"),
    [("empty", "is empty"), ("missing", "is not there"), ("full", ""), ("ful*/*.png", "")],
)
def test_pictures_that_are_named_and_not_there_are_told(
    tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.png").write_bytes(b"x")
    given, folder = SimpleNamespace(name="net"), SimpleNamespace(root=tmp_path)
    nobody: Any = None
    draft = Draft(cast("Any", given), cast("Any", folder), tmp_path / "models" / "net", nobody)
    draft._miss_named(tmp_path / name)
    assert [told in note for note in draft.notes] == ([True] if told else [])
    assert bool(draft.first) == bool(told)


@pytest.mark.parametrize(("count", "told"), [(3, "only 3 pictures in few"), (64, "")])
def test_pictures_that_are_too_few_to_calibrate_on_are_told(
    tmp_path: Path, count: int, told: str
) -> None:
    (tmp_path / "few").mkdir()
    for number in range(count):
        (tmp_path / "few" / f"{number}.png").write_bytes(b"x")
    given, folder = SimpleNamespace(name="net"), SimpleNamespace(root=tmp_path)
    nobody: Any = None
    draft = Draft(cast("Any", given), cast("Any", folder), tmp_path / "models" / "net", nobody)
    network = Network({"image": (1, 3, 8, 8)}, {})
    recipe = {"calibration": {"source": "../../few"}, "preprocessing": {}}
    draft._look_at_samples(recipe, network, Shown(tmp_path / "few"))
    assert [note.partition(":")[0] for note in draft.notes] == ([told] if told else [])
