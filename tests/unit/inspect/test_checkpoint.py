"""Checkpoints tell what they are by the names in them; nothing is loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from orchestrator.inspect.checkpoint import read_checkpoint
from orchestrator.project.checking import section_from
from orchestrator.project.recipe import Recipe
from orchestrator.project.starter import Pictures, ultralytics_recipe

LAYERS = (("torch.nn.modules.conv", "Conv2d"), ("collections", "OrderedDict"))


def checkpoint(folder: Path, *names: tuple[str, str], extra: str = "") -> Path:
    """Write the zip of ``torch.save`` around a pickle that refers to ``names``."""
    pickled = b"\x80\x02"
    for module, name in names:
        pickled += b"c" + module.encode() + b"\n" + name.encode() + b"\n0"
    with zipfile.ZipFile(folder / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", pickled + b"N.")
        if extra:
            archive.writestr(extra, b"")
    return folder / "net.pt"


@pytest.mark.parametrize(
    ("network", "task"),
    [("DetectionModel", "detection"), ("PoseModel", "pose"), ("OBBModel", "obb")],
)
def test_a_network_of_ultralytics_tells_its_task(tmp_path: Path, network: str, task: str) -> None:
    found = read_checkpoint(checkpoint(tmp_path, *LAYERS, ("ultralytics.nn.tasks", network)))
    assert (found.kind, found.task) == ("ultralytics", task)


def test_protocol_4_names_are_read_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        text = b"\x80\x04"
        for word in (b"ultralytics.nn.tasks", b"SegmentationModel"):
            text += b"\x8c" + bytes([len(word)]) + word + b"\x94"
        archive.writestr("net/data.pkl", text + b"\x93.")
    assert read_checkpoint(tmp_path / "net.pt").task == "segmentation"


def test_other_checkpoints_are_told_apart(tmp_path: Path) -> None:
    own = read_checkpoint(checkpoint(tmp_path, *LAYERS, ("model", "Net")))
    assert (own.kind, own.classes) == ("network", ("model.Net",))
    plain = read_checkpoint(checkpoint(tmp_path, ("torch._utils", "_rebuild_tensor_v2")))
    assert plain.kind == "weights"
    script = read_checkpoint(checkpoint(tmp_path, extra="net/code/__torch__.py"))
    assert script.kind == "torchscript"
    (tmp_path / "old.pth").write_bytes(b"\x80\x02\x8a\nl\xfc")
    assert read_checkpoint(tmp_path / "old.pth").kind == "weights"


@pytest.mark.parametrize(
    ("task", "size", "preset"),
    [("detection", 640, "ultralytics"), ("classification", 224, "ultralytics-classify")],
)
def test_the_recipe_has_the_settings_of_its_training(task: str, size: int, preset: str) -> None:
    written = ultralytics_recipe("yolo.pt", task, pictures=Pictures("photos"), arch="hailo8")
    recipe = section_from(written, Recipe)
    assert recipe.inputs == {"images": (1, 3, size, size)}
    assert recipe.export.packages == ("ultralytics",)
    assert recipe.postprocess.task == task
    assert written["preprocessing"] == {"preset": preset, "size": [size, size]}
