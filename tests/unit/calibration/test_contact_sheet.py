from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import build_calibration
from hefsmith_worker.calibration.contact_sheet import draw_contact_sheet, save_contact_sheet
from PIL import Image


@pytest.mark.parametrize(
    ("preprocess", "scale"),
    [
        ({"size": [32, 32]}, 4),
        ({"size": [30, 48], "color": "bgr"}, 3),
        ({"size": [32, 32], "color": "gray"}, 4),
        ({"size": [200, 160]}, 1),
        ({"size": [32, 32], "normalize": "host", "preset": "imagenet"}, 4),
    ],
)
def test_tiles_decode_back_to_the_arrays(
    preprocess: dict[str, Any], scale: int, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    request = make_request(make_folder(), preprocess=preprocess)
    made = build_calibration(request, tmp_path / "out")
    plain = make_request(make_folder(), preprocess={**preprocess, "normalize": "chip"})
    raw = build_calibration(plain, tmp_path / "raw")
    array = np.load(tmp_path / "raw" / raw.inputs[0].file)

    sheet = draw_contact_sheet(made, request.inputs[0], tmp_path / "out")
    save_contact_sheet(sheet, tmp_path / "sheet.png")

    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert len(sheet.tiles) == len(array) == 8
    for tile in sheet.tiles:
        shown = pixels[tile.y : tile.y + tile.height : scale, tile.x : tile.x + tile.width : scale]
        row = array[tile.row]
        if preprocess.get("color") == "bgr":
            row = row[..., ::-1]
        assert np.array_equal(shown, np.broadcast_to(row, shown.shape))


def test_large_inputs_are_reduced_by_averaging(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    request = make_request(make_folder(), preprocess={"size": [640, 640]})
    made = build_calibration(request, tmp_path / "out")
    array = np.load(tmp_path / "out" / made.inputs[0].file)

    sheet = draw_contact_sheet(made, request.inputs[0], tmp_path / "out")

    tile = sheet.tiles[5]
    shown = np.asarray(
        sheet.image.crop((tile.x, tile.y, tile.x + tile.width, tile.y + tile.height))
    )
    reference = Image.fromarray(array[5]).resize((tile.width, tile.height), Image.Resampling.BOX)
    assert np.array_equal(shown, np.asarray(reference))


@pytest.mark.slow
def test_sixty_four_tiles_stand_for_a_large_set_and_none_overlap(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    request = make_request(make_folder(count=90), count=90)
    made = build_calibration(request, tmp_path / "out")

    sheet = draw_contact_sheet(made, request.inputs[0], tmp_path / "out")

    assert len({tile.row for tile in sheet.tiles}) == 64
    assert max(tile.row for tile in sheet.tiles) > 80
    places = {(tile.x, tile.y) for tile in sheet.tiles}
    assert len(places) == 64
    right = max(tile.x + tile.width for tile in sheet.tiles)
    assert right <= sheet.image.width


def test_names_with_control_characters_do_no_harm(
    make_request: Any, draw: Any, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    for index in range(5):
        name = f"{index}\x1b[31m-{'long' * 30}.png"
        Image.fromarray(draw(index)).save(tmp_path / "set" / name)
    request = make_request(tmp_path / "set")

    made = build_calibration(request, tmp_path / "out")

    assert draw_contact_sheet(made, request.inputs[0], tmp_path / "out").image.height > 100
