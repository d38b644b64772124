"""A first recipe says at once where the pictures that were named are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from orchestrator.pipeline.start.recipe import Draft

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
