"""Tables of classes and numbers, as competitions and labelling tools write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.project.survey.folder import PictureSet, look_around
from orchestrator.project.survey.pictures import masks_beside, show, to_try
from orchestrator.project.survey.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = 30


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "imgs"
    folder.mkdir()
    found = [folder / f"img_{number:03d}.jpg" for number in range(PICTURES)]
    for path in found:
        path.touch()
    return found


def write(folder: Path, header: str, rows: list[str], name: str = "train.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


KINDS = ("cat", "dog", "emu")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("filename,label", "img_{0:03d}.jpg,{1}"),
        ("id,breed", "img_{0:03d},{1}"),
        ("path;class", "imgs/img_{0:03d}.jpg;{1}"),
        ("index,file,label,label_name", "{0},img_{0:03d}.jpg,{2},{1}"),
        ("file,source,species", "C:\\data\\img_{0:03d}.jpg,camera,{1}"),
        ("image_id,cat,dog,emu", "img_{0:03d},{3},{4},{5}"),
    ],
    ids=["names", "no-suffix", "semicolon", "numbered-too", "windows", "one-hot"],
)
def test_classes_are_read_from_each_form(
    tmp_path: Path, pictures: list[Path], header: str, row: str
) -> None:
    rows = []
    for number in range(PICTURES):
        kind = number % 3
        one_hot = [f"{float(kind == place)}" for place in range(3)]
        rows.append(row.format(number, KINDS[kind], kind, *one_hot))
    table = read_table(write(tmp_path, header, rows), pictures)
    assert table is not None
    assert dict(table.rows)[pictures[4]] in ("dog", "1")
    assert table.classes in (KINDS, ("0", "1", "2"))
    assert len(table.rows) == PICTURES


def test_numbered_classes_are_in_the_order_of_their_numbers(
    tmp_path: Path, pictures: list[Path]
) -> None:
    rows = [f"img_{number:03d}.jpg,{number % 11}" for number in range(PICTURES)]
    table = read_table(write(tmp_path, "file,target", rows), pictures)
    assert table is not None
    assert table.classes == tuple(map(str, range(11)))


def test_a_table_of_which_most_rows_are_of_other_pictures_is_left_alone(
    tmp_path: Path, pictures: list[Path]
) -> None:
    rows = [f"img_{number:03d}.jpg,{KINDS[number % 3]}" for number in range(2 * PICTURES)]
    assert read_table(write(tmp_path, "file,label", rows), pictures) is None


def test_numbers_are_no_classes(tmp_path: Path, pictures: list[Path]) -> None:
    rows = [f"img_{number:03d}.jpg,{number / 7},{number / 3}" for number in range(PICTURES)]
    table = read_table(write(tmp_path, "file,x,y", rows), pictures)
    assert table is not None
    assert (table.rows, table.numbers) == ((), ("x", "y"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n",
        "epoch,loss\n1,0.5\n2,0.25\n",
        '"unclosed,label\nimg_001.jpg',
        "\x00,\x00\n1,2\n",
    ],
    ids=["empty", "header", "another-table", "quote", "zero-bytes"],
)
def test_what_is_no_table_of_the_pictures_is_left_alone(
    tmp_path: Path, pictures: list[Path], text: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    assert read_table(path, pictures) is None


def test_every_fifth_picture_of_each_class_is_held_out(
    tmp_path: Path, pictures: list[Path]
) -> None:
    rows = [f"img_{number:03d}.jpg,{KINDS[number % 3]}" for number in range(PICTURES)]
    path = write(tmp_path, "file,label", rows)
    shown = show(PictureSet("pictures", tmp_path / "imgs", PICTURES), [path])
    assert shown.folders == KINDS
    assert shown.split is not None
    held_out, rest = shown.split
    assert [len(held_out), len(rest)] == [6, 24]
    assert not {one for one, _ in held_out} & {one for one, _ in rest}
    tried = to_try(shown, ("emu", "dog", "cat"))
    assert {number for _, number in tried} == {0, 1, 2}
    assert all(path.is_file() for path, _ in tried)


@pytest.mark.parametrize("kind", ["_mask.png", "_mask.gif", ".PGM"])
def test_masks_beside_pictures_are_found_by_their_names(kind: str, tmp_path: Path) -> None:
    for folder, ending in (("images", ".jpg"), ("masks", kind), ("gt", ".png")):
        (tmp_path / folder).mkdir()
        for number in range(20):
            name = f"other{number}" if folder == "gt" else f"p{number:02d}"
            (tmp_path / folder / f"{name}{ending}").touch()
    shown = show(PictureSet("pictures", tmp_path / "images", 20))
    assert shown.masks == tmp_path / "masks"
    assert shown.split is not None
    held_out, rest = shown.split
    assert (len(held_out), len(rest)) == (4, 16)
    (tmp_path / "masks").rename(tmp_path / "thumbnails")
    assert show(PictureSet("pictures", tmp_path / "images", 20)).masks is None


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [("images/{}", "masks/{}"), ("imgs/{}", "SegmentationClass/{}"), ("{}/images", "{}/masks")],
)
def test_masks_are_paired_part_by_part(tmp_path: Path, pictures: str, masks: str) -> None:
    for part, count in (("train", 20), ("val", 6)):
        for folder in (pictures.format(part), masks.format(part)):
            (tmp_path / folder).mkdir(parents=True)
            for number in range(count):
                (tmp_path / folder / f"{part}{number}.png").touch()
    shown = show(look_around(tmp_path).pictures[0])
    assert shown.calibration == tmp_path / pictures.format("train")
    assert shown.held_out == tmp_path / pictures.format("val")
    assert shown.masks == tmp_path / masks.format("train")
    assert masks_beside(shown.held_out) == tmp_path / masks.format("val")
