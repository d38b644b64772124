"""A folder of pictures as a build's input: what lies in it must not end the build."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.pipeline.digests import DigestMemory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes as POSIX has them")


def digest(folder: Path, state: Path) -> str:
    memory = DigestMemory(state)
    found = memory.tree(folder)
    memory.save()
    return found


def test_odd_entries_neither_end_nor_change_the_digest(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    plain = digest(folder, tmp_path / "state.json")

    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "nowhere.jpg").symlink_to("gone")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "again").symlink_to(".")
    os.mkfifo(folder / "pipe.jpg")

    assert digest(folder, tmp_path / "state.json") == plain


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are always text")
def test_names_that_are_no_text_count(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    digests = []
    for name in (b"a\xff.jpg", b"a\xfe.jpg"):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.write_bytes(b"a")
        digests.append(digest(folder, tmp_path / "state.json"))
        digests.append(digest(folder, tmp_path / "state.json"))
        path.unlink()

    assert digests[0] == digests[1]
    assert digests[2] == digests[3]
    assert digests[0] != digests[2]


def test_a_file_that_may_not_be_read_is_told_and_in_a_folder_left_to_who_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"x")
    readable = digest(folder, tmp_path / "state.json")

    def refuse(path: Path) -> str:
        if path.name == "b.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return "0" * 64

    monkeypatch.setattr("orchestrator.pipeline.digests.sha256_of", refuse)

    assert digest(folder, tmp_path / "other.json") != readable
    with pytest.raises(ConfigError, match="Permission denied") as caught:
        DigestMemory(tmp_path / "third.json").tree(folder / "b.jpg")
    assert "chmod a+r" in (caught.value.hint or "")
