"""What every room does with files: removed although they resist, written with known line ends."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import files


def tree(folder: Path) -> Path:
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_text("x")
    (folder / "a/link").symlink_to(folder.parent / "kept")
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    place = tmp_path / "kept"
    place.mkdir()
    (place / "mine").write_text("mine")
    place.chmod(0o500)
    return place


def test_a_folder_that_may_not_be_written_to_is_removed_and_what_links_name_is_not(
    tmp_path: Path, kept: Path
) -> None:
    folder = tree(tmp_path / "f")
    (folder / "a/b/file").chmod(0o400)
    (folder / "a/b").chmod(0o500)
    (folder / "a").chmod(0o000)
    assert files.remove_tree(folder)
    assert not folder.exists()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o500
    kept.chmod(0o700)
    assert (kept / "mine").read_text() == "mine"


def test_read_only_files_go_where_the_system_refuses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows: DeleteFile of a file with the attribute answers ERROR_ACCESS_DENIED."""
    folder = tree(tmp_path / "f")
    (folder / "a/b/file").chmod(0o400)
    real = os.unlink

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        mode = os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode
        if not mode & 0o200:
            raise PermissionError(13, "Access is denied", path)
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    assert files.remove_tree(folder)


def test_what_cannot_be_removed_is_told_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tree(tmp_path / "f")
    (folder / "other").write_text("y")

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        if str(path).endswith("file"):
            raise PermissionError(13, "it is being used by another process", path)
        real(path, dir_fd=dir_fd)

    real = os.unlink
    monkeypatch.setattr(os, "unlink", unlink)
    assert not files.remove_tree(folder)
    assert not (folder / "other").exists()
    assert files.remove_tree(tmp_path / "never there")


def test_a_link_is_no_folder(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "link").symlink_to(kept)
    assert not files.remove_tree(tmp_path / "link")
    assert (kept / "mine").exists()


def writers(path: Path) -> Iterator[str]:
    """Yield the calls of a file that write text and name no line ends."""
    text = path.read_text(encoding="utf-8")
    if "write_text" not in text and "open(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or any(one.arg == "newline" for one in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [one.value for one in node.args if isinstance(one, ast.Constant)]
        opens = name in ("open", "fdopen") and any(
            isinstance(one, str) and one[:1] in ("w", "a", "x") and "b" not in one for one in given
        )
        if name == "write_text" or opens:
            yield f"{path.name}:{node.lineno}: {name}"


def test_texts_have_the_same_line_ends_on_every_system(repository: Path, tmp_path: Path) -> None:
    """Python turns them into those of Windows there, unless it is told not to."""
    code = [*(repository / "orchestrator").rglob("*.py")]
    ours = [path for path in code if not {"jobs", "agent"} & set(path.parts)]
    assert [found for path in ours for found in writers(path)] == []
    (tmp_path / "x.py").write_text("p.write_text('a')\nopen('f', 'w')\nopen('f', 'wb')\n")
    assert len(list(writers(tmp_path / "x.py"))) == 2


def test_a_write_that_fails_leaves_no_folder_behind_that_it_made_and_all_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: ``hef init`` left an empty models/NAME, which the next look took for a model."""
    (tmp_path / "models").mkdir()

    def full(path: str, *_: object) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(files, "_move", full)
    with pytest.raises(OSError, match=r"No space.* are needed, .* are free"):
        files.write_atomic(tmp_path / "models/net/deep/model.yaml", "x")
    assert [one.name for one in tmp_path.iterdir()] == ["models"]
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_a_failed_write_made_stays_where_another_put_something_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, *_: object) -> None:
        (tmp_path / "models/theirs").write_text("theirs")
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(files, "_move", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(tmp_path / "models/net/model.yaml", "x")
    assert [one.name for one in (tmp_path / "models").iterdir()] == ["theirs"]


def test_folders_that_were_made_before_one_was_refused_go_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        files.write_atomic(tmp_path / "models" / ("n" * 300) / "model.yaml", "x")
    assert list(tmp_path.iterdir()) == []
