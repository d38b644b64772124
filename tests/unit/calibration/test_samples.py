from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import (
    CalibrationError,
    InputSpec,
    Samples,
    Source,
    load_samples,
    read_sources,
)
from hefsmith_worker.pictures import Preprocess, prepare
from PIL import Image

SPEC = InputSpec("image", Preprocess((32, 32), "letterbox"))


def classes(root: Path, names: list[str], draw: Any, each: int = 3) -> Path:
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(each):
            Image.fromarray(draw(10 * number + index)).save(root / name / f"{index}.png")
    return root


def by_folder(samples: Samples) -> dict[str, int | None]:
    return {
        name.split("/")[0]: label for name, label in zip(samples.names, samples.labels, strict=True)
    }


def test_samples_are_prepared_pictures_spread_over_the_classes(draw: Any, tmp_path: Path) -> None:
    root = classes(tmp_path / "set", ["a", "b", "c"], draw)

    samples = load_samples([SPEC], read_sources(str(root)), 6, 0, ["a", "b", "c"], "classification")

    assert sorted(label for label in samples.labels if label is not None) == [0, 0, 1, 1, 2, 2]
    for name, row in zip(samples.names, samples.arrays["image"], strict=True):
        assert np.array_equal(row, prepare(str(root / name), SPEC.preprocess))
    assert len(set(samples.digests)) == 6
    assert samples.boxes == (None,) * 6


def test_folder_names_meet_labels_whatever_their_case_and_dashes(draw: Any, tmp_path: Path) -> None:
    root = classes(tmp_path / "set", ["Warm-Star", "cool_cross", "other"], draw)
    labels = ["cool cross", "warm star"]

    samples = load_samples([SPEC], read_sources(str(root)), None, 0, labels, "classification")

    assert by_folder(samples) == {"Warm-Star": 1, "cool_cross": 0, "other": None}
    assert [finding.code for finding in samples.findings] == ["samples.labels.unknown"]


def test_folders_with_other_names_are_numbered_in_sorted_order_and_that_is_told(
    draw: Any, tmp_path: Path
) -> None:
    root = classes(tmp_path / "set", ["n02", "n01"], draw)

    samples = load_samples(
        [SPEC], read_sources(str(root)), None, 0, ["cat", "dog"], "classification"
    )

    assert by_folder(samples) == {"n01": 0, "n02": 1}
    assert samples.findings[0].code == "samples.labels.order"


def test_without_labels_only_classification_takes_folders_as_classes(
    draw: Any, tmp_path: Path
) -> None:
    root = classes(tmp_path / "set", ["b", "a"], draw)

    named = load_samples([SPEC], read_sources(str(root)), None, task="classification")
    plain = load_samples([SPEC], read_sources(str(root)), None, task="segmentation")

    assert by_folder(named) == {"a": 0, "b": 1}
    assert by_folder(plain) == {"a": None, "b": None}


def test_labels_of_a_list_file_may_be_numbers(draw: Any, tmp_path: Path) -> None:
    for index in range(4):
        Image.fromarray(draw(index)).save(tmp_path / f"{index}.png")
    (tmp_path / "val.txt").write_text("0.png 2\n1.png 0\n2.png 2\n3.png 1\n")
    sources = read_sources(str(tmp_path / "val.txt"))

    samples = load_samples([SPEC], sources, None, 0, ["a", "b", "c"], "classification")

    assert dict(zip(samples.names, samples.labels, strict=True)) == {
        "0.png": 2, "1.png": 0, "2.png": 2, "3.png": 1
    }  # fmt: skip


def test_boxes_of_yolo_labels_follow_the_letterbox(draw: Any, tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / "set" / part / "val").mkdir(parents=True)
    Image.fromarray(draw(0, 48, 96)).save(tmp_path / "set/images/val/a.png")
    Image.fromarray(draw(1, 48, 96)).save(tmp_path / "set/images/val/empty.png")
    (tmp_path / "set/labels/val/a.txt").write_text("1 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.2 0.2\n")
    (tmp_path / "set/data.yaml").write_text(
        "train: images/none\nval: images/val\nnames: [cat, dog]\n"
    )

    samples = load_samples(
        [SPEC], read_sources(str(tmp_path / "set/data.yaml")), None, 0, ["dog", "cat"], "detection"
    )

    boxes = dict(zip(samples.names, samples.boxes, strict=True))
    # 96x48 becomes 32x16 with 8 rows of padding above; dog is class 0 of the recipe.
    expected = [[0.25 + 0.25 * 0.5, 0.375, 0.25 + 0.75 * 0.5, 0.625, 0], [0.25, 0.0, 0.35, 0.2, 1]]
    assert np.allclose(boxes["a.png"], expected)
    assert boxes["empty.png"] == []


def test_boxes_of_coco_are_cut_by_the_crop(draw: Any, tmp_path: Path) -> None:
    Image.fromarray(draw(0, 32, 64)).save(tmp_path / "a.png")
    boxes = [[0, 0, 8, 8], [16, 0, 32, 16], [8, 8, 16, 8]]
    document = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 5, "name": "x"}],
        "annotations": [{"image_id": 1, "category_id": 5, "bbox": box} for box in boxes],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))
    crop = InputSpec("image", Preprocess((32, 32), "center_crop"))

    samples = load_samples(
        [crop], read_sources(str(tmp_path / "coco.json")), None, task="detection"
    )

    assert samples.boxes[0] == [[0.0, 0.0, 0.5, 1.0, 0.0], [0.25, 0.0, 0.5, 0.25, 0.0]]


def test_a_random_crop_becomes_the_centre_so_that_a_measurement_repeats(
    draw: Any, tmp_path: Path
) -> None:
    root = classes(tmp_path / "set", ["a"], draw)
    random = InputSpec("image", Preprocess((32, 32), "random_crop"))
    centre = InputSpec("image", Preprocess((32, 32), "center_crop"))

    made = [load_samples([spec], read_sources(str(root)), None) for spec in (random, centre)]

    assert np.array_equal(made[0].arrays["image"], made[1].arrays["image"])


def test_the_host_normalises_later_so_samples_stay_pixels(draw: Any, tmp_path: Path) -> None:
    root = classes(tmp_path / "set", ["a"], draw)
    host = InputSpec("image", Preprocess((32, 32), normalize="host"))

    assert load_samples([host], read_sources(str(root)), 2).arrays["image"].dtype == np.uint8


def test_broken_samples_are_named_and_replaced(draw: Any, tmp_path: Path) -> None:
    root = classes(tmp_path / "set", ["a"], draw, each=5)
    (root / "a" / "1.png").write_bytes(b"broken")

    samples = load_samples([SPEC], read_sources(str(root)), 4)

    assert len(samples.names) == 4
    (finding,) = samples.findings
    assert finding.files == ("a/1.png: not a picture that Pillow can read",)


def test_no_usable_sample_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")

    with pytest.raises(CalibrationError, match="none of the 1 validation images"):
        load_samples([SPEC], {"*": Source(str(tmp_path))}, 4)
