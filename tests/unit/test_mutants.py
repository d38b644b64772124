"""The folder of ``tests.mutants --keep``: made anew by a second run, and never a stranger's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import clear


def test_a_kept_copy_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    for _ in range(2):
        clear(folder)
        assert not (folder / "src").is_symlink()
        assert not (folder / "mutants").exists()
        (folder / "src").symlink_to("docker/worker")
        (folder / "mutants").mkdir()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SystemExit, match="name another folder"):
        clear(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"
