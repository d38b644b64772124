"""The size that all pictures have in common, and where that tells nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.project.survey.pictures import Shown
from orchestrator.project.survey.sizes import common_size

Image = pytest.importorskip("PIL.Image")


def pictures(folder: Path, *sizes: tuple[int, int], ending: str = "png") -> Path:
    folder.mkdir(parents=True)
    for number, size in enumerate(sizes):
        Image.new("RGB", size).save(folder / f"{number}.{ending}")
    return folder


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "ppm"])
def test_height_comes_first(ending: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", *[(96, 64)] * 4, ending=ending)
    assert common_size(Shown(folder)) == (64, 96)


def test_every_class_is_looked_into(tmp_path: Path) -> None:
    pictures(tmp_path / "a", *[(64, 64)] * 40)
    pictures(tmp_path / "b", *[(64, 64)] * 4)
    assert common_size(Shown(tmp_path, folders=("a", "b"))) == (64, 64)
    pictures(tmp_path / "c", (64, 72))
    assert common_size(Shown(tmp_path, folders=("a", "b", "c"))) is None


@pytest.mark.parametrize(
    "sizes",
    [
        [(64, 64)] * 3,
        [(64, 64)] * 4 + [(65, 64)],
        [(1920, 1080)] * 4,
        [(100, 100)] * 4,
        [],
    ],
    ids=["few", "mixed", "camera", "odd", "none"],
)
def test_what_tells_nothing(sizes: list[tuple[int, int]], tmp_path: Path) -> None:
    assert common_size(Shown(pictures(tmp_path / "photos", *sizes))) is None


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", *[(64, 64)] * 4)
    (folder / "9.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    assert common_size(Shown(folder)) is None
    (folder / "9.png").write_bytes(b"")
    assert common_size(Shown(folder)) is None
    assert common_size(Shown(folder / "0.png")) is None


@pytest.mark.parametrize(
    ("images", "size"),
    [
        ([{"width": 96, "height": 64}] * 4, (64, 96)),
        ([{"width": 96, "height": 64}] * 3, None),
        ([{"width": 96, "height": 64}] * 3 + [{"width": 64, "height": 64}], None),
        ([{"file_name": "a.jpg"}] * 4, None),
        ("none", None),
    ],
)
def test_a_coco_data_set_states_the_sizes_of_its_pictures(
    images: object, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images}))
    assert common_size(Shown(path, task="detection")) == size
