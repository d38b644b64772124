from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hefsmith_worker.calibration import CalibrationError
from hefsmith_worker.calibration.remote import fetch, is_remote, local_place
from PIL import Image


@pytest.fixture
def bucket() -> Any:
    """An object store in memory, with the same interface as s3 or gs."""
    system = fsspec.filesystem("memory")
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    for name in ("/photos/a.png", "/photos/day/b.JPG", "/photos/notes.txt"):
        system.pipe(name, out.getvalue())
    yield system
    system.rm("/photos", recursive=True)


def test_pictures_of_a_remote_folder_are_copied_once(bucket: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    place = fetch("memory://photos", tmp_path, lambda done, total: told.append((done, total)))

    assert place == local_place("memory://photos", tmp_path)
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*.*")) == [
        "a.png", "day/b.JPG"
    ]  # fmt: skip
    assert told == [(1, 2), (2, 2)]
    before = (place / "a.png").stat().st_mtime_ns
    bucket.pipe("/photos/new.png", b"12345")
    fetch("memory://photos", tmp_path, lambda *_: None)
    assert (place / "a.png").stat().st_mtime_ns == before
    assert (place / "new.png").read_bytes() == b"12345"


def test_a_single_remote_file_keeps_its_suffix(bucket: Any, tmp_path: Path) -> None:
    bucket.pipe("/photos/set.tar.gz", b"packed")

    place = fetch("memory://photos/set.tar.gz", tmp_path, lambda *_: None)

    assert place.name.endswith(".tar.gz")
    assert place.read_bytes() == b"packed"


def test_a_copy_that_breaks_off_leaves_no_file(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(remote: str, local: str) -> None:
        Path(local).write_bytes(b"half")
        raise OSError("connection reset")

    monkeypatch.setattr(bucket, "get_file", break_off)

    with pytest.raises(CalibrationError, match=r"a\.png: cannot be fetched: connection reset"):
        fetch("memory://photos", tmp_path, lambda *_: None)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("address", ["memory://nothing-here", "nosuch://x/y"])
def test_a_wrong_address_is_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=address.split("/", maxsplit=1)[0]):
        fetch(address, tmp_path, lambda *_: None)


def test_addresses_and_paths_are_told_apart() -> None:
    assert is_remote("s3://bucket/x")
    assert is_remote("HTTPS://host/x.zip")
    assert not is_remote("C:/photos")
    assert not is_remote("photos/*.jpg")


def test_no_secret_of_an_address_is_told(tmp_path: Path) -> None:
    """Signed addresses are common for shared data sets; errors of the libraries quote them."""
    signed = "http://me:canary@127.0.0.1:9/set.zip?X-Amz-Signature=canary"
    with pytest.raises(CalibrationError) as caught:
        fetch(signed, tmp_path, lambda *_: None)
    assert "canary" not in f"{caught.value} {caught.value.message} {caught.value.fix}"
    assert "http://me:***@127.0.0.1:9/set.zip?***" in caught.value.message
    assert "canary" not in str(local_place(signed, tmp_path))
