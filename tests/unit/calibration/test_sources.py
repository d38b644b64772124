"""Every kind of source, and every way in which one can be bad."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import (
    CalibrationError,
    InputSpec,
    Source,
    arrays,
    build_calibration,
    kind_of,
    look_around,
)
from hefsmith_worker.calibration.flat_yaml import read_flat_yaml
from hefsmith_worker.calibration.items import read_bytes
from hefsmith_worker.calibration.samples import list_for_samples
from hefsmith_worker.calibration.sources import has_validation, list_source
from hefsmith_worker.pictures import PictureError, Preprocess
from PIL import Image

SPEC = InputSpec("image", Preprocess((8, 8)))


def names(source: Source | str | Path, scratch: Path, spec: InputSpec = SPEC) -> list[str]:
    given = source if isinstance(source, Source) else Source(str(source))
    return [item.name for item in list_source(given, spec, scratch, 100).items]


def jpeg(value: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 9, 9)).save(out, "JPEG")
    return out.getvalue()


def test_a_folder_is_searched_to_all_depths_and_for_suffixes_in_any_case(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("a.JPG", "b/c.Png", "b/d/e.jpeg", "f.txt", ".hidden.jpg", "b/._c.png", "g.TIFF"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg())

    assert names(root, tmp_path) == ["a.JPG", "b/c.Png", "b/d/e.jpeg", "g.TIFF"]


def test_a_link_loop_ends_and_links_to_other_folders_are_followed(tmp_path: Path) -> None:
    root, other = tmp_path / "set", tmp_path / "other"
    (root / "a").mkdir(parents=True)
    other.mkdir()
    (root / "a" / "1.png").write_bytes(jpeg())
    (other / "2.png").write_bytes(jpeg())
    (root / "a" / "up").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "link").symlink_to(other)

    assert names(root, tmp_path) == ["a/1.png", "link/2.png"]


def test_a_source_that_is_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(CalibrationError, match="loop: a link that leads nowhere or in a circle"):
        names(tmp_path / "loop", tmp_path)


def test_a_picture_that_is_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.png").symlink_to("x.png")
    item = list_source(Source(str(tmp_path / "set")), SPEC, tmp_path, 9).items[0]

    with pytest.raises(PictureError, match="symbolic links"):
        read_bytes(item)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_with_a_pictures_name_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    os.mkfifo(tmp_path / "set" / "x.png")
    item = list_source(Source(str(tmp_path / "set")), SPEC, tmp_path, 9).items[0]

    with pytest.raises(PictureError, match="not a regular file"):
        read_bytes(item)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", ["set.zip", "set.npy", "set.npz", "set.tar", "set.mp4", "set.txt"])
@pytest.mark.parametrize("kind", ["auto", "named"])
def test_a_pipe_in_the_place_of_a_data_set_is_not_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    """``hef calib check <(curl ...)`` hung."""
    os.mkfifo(tmp_path / name)
    form = {"mp4": "video", "txt": "list"}.get(name[4:], name[4:]) if kind == "named" else kind
    with pytest.raises(CalibrationError, match="a pipe, not a regular file"):
        list_source(Source(str(tmp_path / name), kind=form), SPEC, tmp_path, 9)


def test_a_glob_crosses_folders(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/2.jpg", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg())

    assert names(f"{tmp_path}/**/*.jpg", tmp_path) == ["a/1.jpg", "b/2.jpg"]
    with pytest.raises(CalibrationError, match="no picture matches"):
        names(f"{tmp_path}/*.bmp", tmp_path)


@pytest.mark.parametrize(
    "text",
    ["a b.jpg\nc.jpg\n", "\ufeffa b.jpg\n# note\n\nc.jpg\n", "a b.jpg\tcat\nc.jpg\tdog\n",
     "path,label\na b.jpg,cat\nc.jpg,dog\n", "a b.jpg 3\nc.jpg 12\n"],
)  # fmt: skip
def test_a_list_file_names_pictures_beside_it_and_maybe_labels(text: str, tmp_path: Path) -> None:
    for name in ("a b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")

    items = list_source(Source(str(tmp_path / "list.txt")), SPEC, tmp_path, 9).items

    assert [item.name for item in items] == ["a b.jpg", "c.jpg"]
    assert [item.label for item in items] in ([None, None], ["cat", "dog"], ["3", "12"])


def test_a_list_with_missing_files_says_which_line(tmp_path: Path) -> None:
    (tmp_path / "here.jpg").write_bytes(jpeg())
    (tmp_path / "list.txt").write_text("here.jpg\ngone.jpg\n")

    notes = list_source(Source(str(tmp_path / "list.txt")), SPEC, tmp_path, 9).notes

    assert notes[0].code == "calib.list.missing"
    assert "line 2: gone.jpg" in notes[0].message
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    with pytest.raises(CalibrationError, match="none of its 1 files exist"):
        names(tmp_path / "list.txt", tmp_path)


def test_paths_of_the_host_in_a_list_are_found_where_they_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.jpg").write_bytes(jpeg())
    (tmp_path / "list.txt").write_text("/home/me/photos/a.jpg\n")
    source = Source(
        str(tmp_path / "list.txt"), mounts=(("/home/me/photos", str(tmp_path / "inside")),)
    )

    assert list_source(source, SPEC, tmp_path, 9).items[0].path == str(tmp_path / "inside/a.jpg")


def elsewhere(source: Source, tmp_path: Path) -> Source:
    """Put a list and all that it points into where a container would see it, and nowhere else."""
    own = Path(source.path).parent
    around = look_around(source)
    mounts = [(str(own), str(tmp_path / "in" / "own"))]
    for number, folder in enumerate(around.outside):
        mounts.append((folder, str(tmp_path / "in" / str(number))))
    for named, real in around.linked:
        inside = next(place for folder, place in mounts if Path(real).is_relative_to(folder))
        mounts.append((named, inside))
    for folder, place in mounts:
        shutil.copytree(folder, place, dirs_exist_ok=True)
    for folder, _ in mounts:
        if not Path(folder).is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    if around.relative:
        mounts = [(os.path.relpath(folder, own), place) for folder, place in mounts]
    return replace(source, path=f"{tmp_path}/in/own/{Path(source.path).name}", mounts=tuple(mounts))


COCO = """{{"images": [{{"id": 1, "file_name": "a.jpg"}}, {{"id": 2, "file_name": "b.jpg"}}],
"annotations": [], "categories": []}}"""


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("list.txt", "../photos/a.jpg\n../photos/deep/../b.jpg 3\n", "list"),
        ("list.txt", "{root}/sets/../photos/a.jpg\n{root}/photos/b.jpg\n", "list"),
        ("list.txt", "../link/a.jpg\n{root}/link/b.jpg\n", "list"),
        ("data.yaml", "path: ../photos\ntrain: .\n", "yolo"),
        ("data.yaml", "train: ../photos\n", "yolo"),
        ("data.yaml", "path: {root}\ntrain: photos\n", "yolo"),
        ("instances_photos.json", COCO, "coco"),
    ],
)  # fmt: skip
def test_pictures_outside_of_a_list_are_found_in_a_container(
    tmp_path: Path, name: str, content: str, kind: str
) -> None:
    for folder in ("sets", "photos/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for picture in "ab":
        (tmp_path / "photos" / f"{picture}.jpg").write_bytes(jpeg())
    file = tmp_path / "sets" / name
    file.write_text(content.format(root=tmp_path))
    source = elsewhere(Source(str(file), kind=kind), tmp_path)

    items = list_source(source, SPEC, tmp_path, 9).items

    assert sorted(Path(item.path).name for item in items) == ["a.jpg", "b.jpg"]
    assert all(Path(item.path).is_file() for item in items)


def test_a_list_that_names_its_own_folder_is_followed_there(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.jpg").write_bytes(jpeg())
    listing = tmp_path / "own" / "list.txt"
    listing.write_text("a.jpg\n")
    assert look_around(Source(str(listing))).relative
    listing.write_text(f"{tmp_path}/own/a.jpg\n")
    assert not look_around(Source(str(listing))).relative
    inside = elsewhere(Source(str(listing)), tmp_path / "box")
    assert Path(list_source(inside, SPEC, tmp_path, 9).items[0].path).is_file()


@pytest.mark.parametrize(
    ("line", "relative"),
    [
        ("path: ../photos", True),
        ("path: 'C:/photos'", False),
        ("path: /photos", False),
        ("names: [a/b, c]", True),
        ("train: [/x, ../photos]", False),
    ],
)
def test_a_data_file_is_relative_when_all_of_its_values_are(
    tmp_path: Path, line: str, relative: bool
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg())
    file = tmp_path / "data.yaml"
    file.write_text(f"val: photos\n{line}\n")
    found = look_around(Source(str(file), kind="yolo", split="val"))
    assert found.relative is relative


def test_a_data_sets_validation_part_comes_along_where_there_is_one(tmp_path: Path) -> None:
    for place in ("far/train/images", "far/valid/images", "sets"):
        (tmp_path / place).mkdir(parents=True)
        if place != "sets":
            (tmp_path / place / "a.jpg").write_bytes(jpeg())
    file = tmp_path / "sets" / "data.yaml"
    file.write_text("path: ../far\ntrain: train/images\nval: valid/images\n")
    source = Source(str(file))
    assert has_validation(source)
    around = look_around(source)
    assert any("valid" in place or place.endswith("far") for place in around.outside)
    file.write_text("path: ../far\ntrain: train/images\nval: gone\n")
    assert look_around(source).relative
    file.write_text("path: ../far\ntrain: train/images\n")
    assert not has_validation(source)
    assert not has_validation(Source(str(tmp_path / "far")))
    listed = list_for_samples([SPEC], {"image": source}, 9, tmp_path)
    assert [Path(item.path).parts[-3] for item in listed[0].items] == ["train"]


def test_folders_outside_of_a_list_are_known_to_the_host(tmp_path: Path) -> None:
    for name in ("lists/here.jpg", "far/one.jpg", "far/deep/two.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jpeg())
    listing = tmp_path / "lists" / "list.txt"
    listing.write_text(f"here.jpg\n{tmp_path}/far/deep/two.jpg\n{tmp_path}/far/one.jpg\n")

    assert look_around(Source(str(listing))).outside == (str(tmp_path / "far"),)


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archives_give_their_pictures_without_unpacking_by_name(kind: str, tmp_path: Path) -> None:
    members = {
        "x/a.jpg": jpeg(1),
        "x/b.JPG": jpeg(2),
        "notes.txt": b"no",
        "__MACOSX/._a.jpg": b"no",
    }
    path = tmp_path / f"set.{kind}"
    if kind == "zip":
        make_zip(path, members)
    else:
        make_tar(path, members, {"tar": "w"}.get(kind, "w:" + kind.rsplit(".", maxsplit=1)[-1]))
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    items = list_source(Source(str(path)), SPEC, scratch, 9).items

    assert [item.name for item in items] == ["x/a.jpg", "x/b.JPG"]
    assert [read_bytes(item) for item in items] == [jpeg(1), jpeg(2)]


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/evil.jpg", "a/../../evil.jpg", "C:/evil.jpg"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_that_climbs_out_of_an_archive_is_refused(
    kind: str, name: str, tmp_path: Path
) -> None:
    make = make_zip if kind == "zip" else make_tar
    path = make(tmp_path / f"set.{kind}", {"ok.jpg": jpeg(), name: jpeg()})

    with pytest.raises(CalibrationError, match="the member") as caught:
        names(path, tmp_path)
    assert caught.value.code == "calib.archive.path"
    assert str(path) in str(caught.value)


def test_a_zip_bomb_is_refused_by_what_it_claims(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "set.zip", {"bomb.png": bytes(18 * 1024 * 1024)})

    with pytest.raises(CalibrationError, match=r"bomb\.png unpacks to .* times its stored size"):
        names(path, tmp_path)


def test_a_compressed_tar_may_not_unpack_without_end(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "set.tar.gz", {"bomb.png": bytes(18 * 1024 * 1024)}, "w:gz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    with pytest.raises(CalibrationError, match="decompression bomb"):
        names(path, scratch)


@pytest.mark.slow
def test_a_picture_that_unpacks_to_a_huge_one_is_one_bad_picture(
    make_request: Any, make_folder: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=8)
    Image.new("1", (12_000, 9_000)).save(folder / "bomb.png")

    made = build_calibration(make_request(folder, count=20), tmp_path / "out")

    assert made.unreadable == ("bomb.png: 12000x9000 is 108 megapixels, more than 64",)
    assert made.used == 8


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
def test_a_damaged_archive_is_told(kind: str, tmp_path: Path) -> None:
    (tmp_path / f"set.{kind}").write_bytes(b"\x1f\x8b" + bytes(100))

    with pytest.raises(CalibrationError, match="cannot be read as an archive"):
        names(tmp_path / f"set.{kind}", tmp_path)


@pytest.mark.parametrize(
    ("array", "code", "words"),
    [
        (np.zeros((5, 3, 8, 8), np.uint8), "calib.layout", "NCHW"),
        (np.zeros((5, 8, 8, 1), np.uint8), "calib.channels", "1 channels"),
        (np.zeros((5, 16, 20, 3), np.uint8), "calib.shape", "20x16"),
        (np.zeros((8, 8, 3), np.uint8), "calib.shape", "single picture"),
        (np.zeros((5, 7), np.uint8), "calib.shape", r"\(5, 7\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), "calib.empty", "no rows"),
        (np.zeros((5, 8, 8, 3), bool), "calib.dtype", "bool"),
        (np.full((5, 8, 8, 3), np.nan), "calib.nan", "NaN"),
        (np.array([None] * 4), "calib.array", "Python objects"),
        (np.array(3), "calib.shape", "single number"),
    ],
)  # fmt: skip
def test_an_array_of_the_wrong_kind_is_told_with_its_name(
    array: np.ndarray, code: str, words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "set.npy", array, allow_pickle=True)

    with pytest.raises(CalibrationError, match=words) as caught:
        names(tmp_path / "set.npy", tmp_path)
    assert caught.value.code == code
    assert "set.npy" in str(caught.value)


@pytest.mark.parametrize(
    ("scale", "normalize", "code"),
    [(1 / 255, "chip", "calib.normalised-twice"), (1 / 255, "host", None),
     (1.0, "host", "calib.range"), (1.0, "chip", "calib.dtype"),
     (-1.0, "chip", "calib.normalised-twice")],
)  # fmt: skip
def test_the_range_of_a_float_array_tells_who_normalised(
    scale: float, normalize: str, code: str | None, tmp_path: Path
) -> None:
    pixels = np.random.RandomState(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "set.npy", pixels * np.float32(scale))
    spec = InputSpec("image", Preprocess((8, 8), normalize=normalize))

    notes = list_source(Source(str(tmp_path / "set.npy")), spec, tmp_path, 9).notes

    assert [note.code for note in notes] == ([] if code is None else [code])


def test_an_npz_gives_each_input_its_own_array(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "set.npz", left=np.zeros((3, 8, 8, 3), np.uint8),
        right=np.zeros((4, 8, 8, 3), np.uint8),
    )  # fmt: skip
    right = InputSpec("right", Preprocess((8, 8)))

    assert len(names(tmp_path / "set.npz", tmp_path, right)) == 4
    with pytest.raises(CalibrationError, match="left, right; none is named like the input image"):
        names(tmp_path / "set.npz", tmp_path)


def packed_array(path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an npz of zeros, and let 1 MB be much."""
    np.savez_compressed(path, np.zeros(shape, np.uint8))
    monkeypatch.setattr(arrays, "RATIO_FROM_BYTES", 1 << 20)
    return path


def test_a_packed_array_of_nothing_is_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed_array(tmp_path / "set.npz", (20_000, 8, 8, 3), monkeypatch)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(CalibrationError, match="looks like a decompression bomb"):
        names(path, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_packed_array_of_another_shape_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed_array(tmp_path / "set.npz", (3, 100, 100, 3), monkeypatch)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(CalibrationError, match="100x100"):
        names(path, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_packed_array_needs_room_to_be_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed_array(tmp_path / "set.npz", (3, 8, 8, 3), monkeypatch)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(CalibrationError, match=r"unpacks to 0 MiB, but .* has room for 0 MiB"):
        names(path, tmp_path)


def coco(folder: Path, **changes: Any) -> Path:
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    (folder / "val2017" / "1.jpg").write_bytes(jpeg())
    document = {
        "images": [{"id": 7, "file_name": "1.jpg", "width": 8, "height": 8}],
        "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 8, 8], "iscrowd": 1},
        ],
        **changes,
    }
    path = folder / "annotations" / "instances_val2017.json"
    path.write_text(json.dumps(document))
    return path


def test_coco_finds_its_pictures_and_numbers_classes_by_id(tmp_path: Path) -> None:
    listing = list_source(Source(str(coco(tmp_path))), SPEC, tmp_path, 9)

    assert listing.classes == ("person", "car")
    assert listing.items[0].path == str(tmp_path / "val2017" / "1.jpg")
    assert listing.items[0].boxes == ((2.0, 1.0, 6.0, 4.0, 1),)


@pytest.mark.parametrize(
    "change",
    [{"images": 5}, {"images": [{"id": 1}]}, {"annotations": [{"bbox": [1], "image_id": 7}]}],
)
def test_a_json_that_is_not_coco_is_told(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="not an annotation file in COCO's form"):
        names(coco(tmp_path, **change), tmp_path)


def yolo(folder: Path, yaml: str) -> Path:
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        (folder / "images" / split / f"{split}.jpg").write_bytes(jpeg())
        (folder / "labels" / split / f"{split}.txt").write_text("1 0.5 0.5 0.5 0.25\n")
    (folder / "data.yaml").write_text(yaml)
    return folder / "data.yaml"


@pytest.mark.parametrize(
    "yaml",
    [
        "path: .\ntrain: images/train\nval: images/val  # held out\nnames: [cat, dog]\n",
        "train: ./images/train\nval: images/val\nnc: 2\nnames:\n  0: cat\n  1: 'dog'\n",
        "path: ../datasets/gone\ntrain: [images/train]\nval: images/val\nnames: {0: cat, 1: dog}\n",
        "train: ../images/train\nval: ../images/val\nnames:\n- cat\n- dog\ndownload: |\n  y: z\n",
    ],
)  # fmt: skip
def test_yolo_data_files_of_all_styles_are_read(yaml: str, tmp_path: Path) -> None:
    path = yolo(tmp_path / "set", yaml)

    listing = list_source(Source(str(path), split="val"), SPEC, tmp_path, 9)

    assert [item.name for item in listing.items] == ["val.jpg"]
    assert listing.classes == ("cat", "dog")
    assert listing.items[0].boxes == ((0.375, 0.25, 0.625, 0.75, 1),)
    assert listing.items[0].relative


@pytest.mark.parametrize(
    ("line", "yaml"),
    [
        ("1 0.5 0.5 0.5 0.25", ""),
        # A polygon, and the four corners of an oriented box.
        ("1 0.5 0.375 0.75 0.5 0.25 0.625", ""),
        ("1 0.25 0.375 0.75 0.375 0.75 0.625 0.25 0.625", ""),
        # Key points behind the box: one of three numbers, two, and two of two numbers.
        ("1 0.5 0.5 0.5 0.25 0.9 0.1 0", ""),
        ("1 0.5 0.5 0.5 0.25 0.9 0.1 2 0.1 0.9 0", ""),
        ("1 0.5 0.5 0.5 0.25 0.9 0.1 1 0.1 0.9 1", "kpt_shape: [2, 3]\n"),
        ("1 0.5 0.5 0.5 0.25 0.9 0.1 0.1 0.9", "kpt_shape: [2, 2]\n"),
    ],
)
def test_every_form_of_a_yolo_line_has_its_box(line: str, yaml: str, tmp_path: Path) -> None:
    path = yolo(tmp_path / "set", "path: .\ntrain: images/train\nval: images/val\n" + yaml)
    (tmp_path / "set/labels/val/val.txt").write_text(line + "\n")

    listing = list_source(Source(str(path), split="val"), SPEC, tmp_path, 9)

    assert listing.items[0].boxes == ((0.375, 0.25, 0.625, 0.75, 1),)
    assert not listing.notes


def test_a_yolo_folder_is_known_by_images_and_labels(tmp_path: Path) -> None:
    yolo(tmp_path / "set", "")

    assert kind_of(Source(str(tmp_path / "set"))) == "yolo"
    assert kind_of(Source(str(tmp_path / "set" / "images" / "val"))) == "yolo"
    assert names(tmp_path / "set", tmp_path) == ["train.jpg"]
    assert names(tmp_path / "set" / "images" / "val", tmp_path) == ["val.jpg"]


def test_flat_yaml_agrees_with_pyyaml_on_what_it_reads() -> None:
    import yaml

    text = "a: b\nc: [1, 'x, y', \"z\"]\nd:\n  0: p\n  1: q # r\ne:\n  - s\n  - t\nf: 'it''s'\n"
    ours, theirs = read_flat_yaml(text), yaml.safe_load(text)

    assert ours["a"] == theirs["a"]
    assert ours["c"] == [str(value) for value in theirs["c"]]
    assert ours["d"] == {str(key): value for key, value in theirs["d"].items()}
    assert ours["e"] == theirs["e"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: root / "gone", "does not exist"),
        (lambda root: (root / "empty").mkdir() or root / "empty", "no pictures"),
        (lambda root: (root / "one.jpg").write_bytes(b"x") and root / "one.jpg", "single picture"),
        (lambda root: (root / "x.docx").write_bytes(b"x") and root / "x.docx", "not a kind"),
        (lambda root: root / ("n" * 300), "does not exist"),
    ],
)
def test_a_source_that_is_none_is_told_with_its_name(make: Any, words: str, tmp_path: Path) -> None:
    path = make(tmp_path)

    with pytest.raises(CalibrationError, match=words) as caught:
        names(path, tmp_path)
    assert str(path) in str(caught.value)


def test_a_folder_without_permission_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "set").mkdir()
    # Tests may run as root, who may read all; what the system says is put in its mouth.
    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(CalibrationError, match="set: no permission to look into this folder"):
        names(tmp_path / "set", tmp_path)
