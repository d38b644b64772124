"""What a folder of pictures shows: its classes, and the part that is held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.project.checking import section_from
from orchestrator.project.picture_folder import look
from orchestrator.project.recipe import Recipe
from orchestrator.project.starter import Network, Pictures, starter_recipe
from orchestrator.project.survey.arrays import arrays_for

if TYPE_CHECKING:
    from pathlib import Path


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("names", "named", "calibration", "held_out", "classes"),
    [
        (["a.jpg"], "", "", None, ()),
        (["cat/1.jpg", "dog/1.png"], "", "", None, ("cat", "dog")),
        (["cat/1.jpg", "dog/1.png", "1.jpg"], "", "", None, ()),
        (["cat/1.jpg", "notes/read.me"], "", "", None, ()),
        (["cat/1.jpg"], "", "", None, ()),
        (["train/b/1.jpg", "train/a/1.jpg", "val/a/1.jpg"], "", "train", "val", ("a", "b")),
        (["train/b/1.jpg", "train/a/1.jpg", "test/a/1.jpg"], "train", "train", "test", ("a", "b")),
        (["train/1.jpg", "valid/1.jpg", "test/1.jpg"], "", "train", "valid", ()),
        # A held-out part alone is no reason to calibrate on the rest.
        (["val/1.jpg", "other/1.jpg"], "", "", None, ()),
    ],
)
def test_a_folder_is_read_by_its_names(
    tmp_path: Path,
    names: list[str],
    named: str,
    calibration: str,
    held_out: str | None,
    classes: tuple[str, ...],
) -> None:
    found = look(tree(tmp_path, *names) / named)
    assert found.calibration == tmp_path / calibration
    assert found.held_out == (None if held_out is None else tmp_path / held_out)
    assert found.classes == classes


HEADS = {
    "as many classes": ({"task": "classification", "classes": 2}, "classification"),
    "another number": ({"task": "classification", "classes": 10}, None),
    "no classifier": ({"task": "detection", "classes": 2, "family": "yolov8"}, None),
    "nothing is known": ({}, "classification"),
}


@pytest.mark.parametrize("head", HEADS)
def test_folders_become_labels_where_they_can_be_classes(head: str) -> None:
    found, task = HEADS[head]
    network = Network({"image": (1, 3, 32, 32)}, found)
    pictures = Pictures("train", "val", classes=("cat", "dog"))
    written = starter_recipe({"onnx": "n.onnx"}, network, pictures=pictures, arch="hailo8")
    recipe = section_from(written, Recipe)
    assert recipe.validation.source == "val"
    assert recipe.postprocess.labels == (("cat", "dog") if task else None)
    if task:
        assert recipe.postprocess.task == task


@pytest.mark.parametrize(
    ("shape", "color"),
    [((1, 3, 8, 8), "rgb"), ((1, 1, 8, 8), "gray"), ((1, 2, 8, 8), "data"), ((1, 64), "data")],
)
def test_what_no_picture_can_have_is_data(shape: tuple[int, ...], color: str) -> None:
    written = starter_recipe(
        {"onnx": "n.onnx"}, Network({"x": shape}), pictures=Pictures("x"), arch="hailo8"
    )
    section_from(written, Recipe)
    assert written["preprocessing"]["color"] == color


def test_each_of_several_inputs_has_its_own_source_and_preparation() -> None:
    network = Network({"x": (1, 64), "image": (1, 3, 8, 8)})
    written = starter_recipe({"onnx": "n.onnx"}, network, pictures=Pictures("x.npy"), arch="hailo8")
    section_from(written, Recipe)
    assert written["calibration"]["source"] == {"x": "x.npy", "image": "calib/image.npy"}
    assert written["preprocessing"]["x"]["color"] == "data"
    assert written["preprocessing"]["image"]["color"] == "rgb"


def test_an_array_of_pictures_is_for_the_input_that_it_fits(tmp_path: Path) -> None:
    network = Network({"pose": (1, 7), "image": (1, 3, 8, 6)})
    np.save(tmp_path / "frames.npy", np.zeros((4, 8, 6, 3), np.uint8))
    np.save(tmp_path / "joints.npy", np.zeros((4, 7), np.float32))
    files = [tmp_path / "frames.npy", tmp_path / "joints.npy"]
    found, _ = arrays_for(network.inputs, files)
    assert {name: path.name for name, path in found.items()} == {
        "pose": "joints.npy",
        "image": "frames.npy",
    }
    alone = Pictures("frames.npy", arrays={"image": "frames.npy"})
    written = starter_recipe({"onnx": "n.onnx"}, network, pictures=alone, arch="hailo8")
    assert written["calibration"]["source"] == {"pose": "calib/pose.npy", "image": "frames.npy"}
