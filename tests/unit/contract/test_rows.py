"""The recipes of CONTRIBUTING for a preset, a head family and a command, walked with rows more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.project.loading import load_recipe
from tests.unit.contract.copies import add_rows, copy_tree, walk

CONTRACT = "docker/worker/hefsmith_worker/contract"
#: File, the text before which the row goes, the row.
ROWS = (
    (f"{CONTRACT}/presets.py", '    "imagenet": Preset(',
     '    "walked": Preset("a test\'s", resize="letterbox", pad=(7,), mean=(1.0,), std=(2.0,)),\n'),
    (f"{CONTRACT}/families.py", '        HeadFamily("other", DISTANCES),',
     '        HeadFamily("yolo99", DISTANCES, "yolo99"),\n'),
    (f"{CONTRACT}/families.py", '        MetaArch("yolo", on_chip=True),',
     ('        MetaArch("yolo99", layers=_PAIR, extra=("regression_length",), in_hef="yolov8",\n'
     '                 vendor=_vendor(0.2, 0.7, 100)),\n')),
    ("docker/emulator/packages/hailo_emulator/nms/suppress.py", '    "yolov5": _yolov5, "yolov6"',
     '    "yolo99": _yolov8,\n'),
    (f"{CONTRACT}/commands.py", '    "remove_node":',
     '    "sharpen": CommandSpec("needed", (_LAYER, _INT), 2, seen=("5.4", "5.4")),\n'),
)  # fmt: skip
RECIPE = """\
source: {onnx: net.onnx}
preprocessing: {preset: walked, size: [32, 32]}
calibration: {source: pictures}
postprocess: {nms: {family: yolo99, max_boxes: 9}}
"""


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    found = copy_tree(repository, tmp_path / "tree")
    add_rows(found, ROWS)
    return found


@pytest.mark.slow
def test_rows_alone_carry_a_preset_a_family_and_a_command_through_all_rooms(
    models: Any, tree: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    b = models.Builder()
    x = b.conv(b.conv(b.input("x", [1, 3, 32, 32]), 8, stride=2, name="/a"), 8, stride=2, name="/b")
    ends = [b.conv(x, width, stride=2, name=f"/c{width}") for width in (64, 3)]
    (folder / "net.onnx").write_bytes(b.build(ends).SerializeToString())
    (folder / "model.yaml").write_text(RECIPE, encoding="utf-8")
    said = walk("walk_rows.py", tree, folder)
    assert said == {
        "preset": ["walked", [1.0], 7],
        "family in recipe": "yolo99",
        "nms in script": ['nms_postprocess("nms_config.json", meta_arch=yolo99, engine=cpu)'],
        "lint of script": [],
        "judged": True,
        "hef": ["yolov8_nms_op"],
        "boxes": [8, 3, 5, 9],
        "command": [],
        "command misspelt": ["unknown-command"],
        "command on 3.x": ["other-line"],
        "command emulated": ["s = sharpen(conv1, 3)"],
    }


def test_without_the_rows_all_three_are_refused(tmp_path: Path) -> None:
    from hailo_emulator.script import read_script
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendScriptParserException

    (tmp_path / "model.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path)
    assert "preprocessing.preset" in str(caught.value)
    assert "postprocess.nms.family" in str(caught.value)
    with pytest.raises(BackendScriptParserException):
        read_script("s = sharpen(conv1, 3)\n")
