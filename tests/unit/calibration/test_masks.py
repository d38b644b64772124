"""Masks of samples: which pixel shows what, in each form in which tools save them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationError, InputSpec, load_samples, read_sources
from hefsmith_worker.pictures import Preprocess
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 32


def picture_set(root: Path, values: Any, *, ending: str = "", mode: str = "L") -> dict[str, str]:
    """Write 8 pictures, brighter on their right half, and masks of that half in ``values``."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(8):
        pixels = np.full((SIZE, 2 * SIZE, 3), 40 + number, np.uint8)
        pixels[:, SIZE:] = 200
        Image.fromarray(pixels).save(root / "images" / f"{number}.jpg")
        mask = np.full((SIZE, 2 * SIZE), values[0], np.uint8)
        mask[:, SIZE:] = values[1]
        Image.fromarray(mask).convert(mode).save(root / "masks" / f"{number}{ending}.png")
    return {"path": str(root / "images"), "masks": str(root / "masks")}


def load(source: dict[str, str], resize: str = "stretch", **more: Any) -> Any:
    spec = InputSpec("image", Preprocess((SIZE, SIZE), resize))
    return load_samples([spec], read_sources(source), None, 0, (), "segmentation", **more)


@pytest.mark.parametrize(
    ("values", "ending", "mode", "classes"),
    [
        ((0, 1), "", "L", {0, 1}),
        ((0, 255), "", "L", {0, 1}),
        ((0, 255), "_mask", "1", {0, 1}),
        ((3, 7), "_labelIds", "P", None),
        ((0, 128), "", "RGB", {0, 1}),
        ((2, 5), "_gt", "L", {2, 5}),
        ((5, 255), "", "L", {5, 255}),
    ],
)
def test_each_form_of_mask_gives_its_classes(
    tmp_path: Path, values: Any, ending: str, mode: str, classes: set[int] | None
) -> None:
    samples = load(picture_set(tmp_path, values, ending=ending, mode=mode))
    found = set(np.unique(np.stack(samples.masks)).tolist())
    assert classes is None or found == classes
    mask = samples.masks[0]
    assert mask.shape == (SIZE, SIZE)
    assert mask.dtype == np.uint8
    assert mask[0, 0] != mask[0, -1]
    assert list(np.flatnonzero(np.diff(mask[0].astype(int)))) == [SIZE // 2 - 1]


def test_padding_is_nobodys_pixel(tmp_path: Path) -> None:
    mask = load(picture_set(tmp_path, (0, 255)), "letterbox").masks[0]
    assert set(mask[0].tolist()) == {255}
    assert set(mask[SIZE // 2].tolist()) == {0, 1}


def test_a_mask_is_cut_as_its_picture(tmp_path: Path) -> None:
    samples = load(picture_set(tmp_path, (0, 1)), "shorter_then_crop")
    bright = samples.arrays["image"][0][..., 0] > 120
    assert np.mean(bright == (samples.masks[0] == 1)) > 0.95


def test_masks_that_are_missing_or_no_masks_are_told(tmp_path: Path) -> None:
    source = picture_set(tmp_path, (0, 1))
    (tmp_path / "masks" / "0.png").unlink()
    Image.fromarray(np.arange(SIZE * 2 * SIZE * 3, dtype=np.uint8).reshape(SIZE, 2 * SIZE, 3)).save(
        tmp_path / "masks" / "1.png"
    )
    Image.new("L", (SIZE, SIZE)).save(tmp_path / "masks" / "2.png")
    (tmp_path / "masks" / "3.png").write_bytes(b"no picture")
    samples = load(source)
    assert sum(mask is None for mask in samples.masks) == 4
    told = next(one for one in samples.findings if one.code == "samples.masks")
    assert told.severity == "warning"
    assert "4 of 8 samples" in told.message


def test_a_folder_without_masks_is_an_error(tmp_path: Path) -> None:
    source = picture_set(tmp_path, (0, 1))
    (tmp_path / "none").mkdir()
    with pytest.raises(CalibrationError, match="no masks in it"):
        load({**source, "masks": str(tmp_path / "none")})


def test_a_name_in_several_folders_is_found_by_all_of_it(tmp_path: Path) -> None:
    for part, value in (("a", 1), ("b", 2)):
        for folder in ("images", "masks"):
            (tmp_path / folder / part).mkdir(parents=True, exist_ok=True)
        for number in range(4):
            shade = np.full((SIZE, SIZE, 3), 60 * value + number, np.uint8)
            Image.fromarray(shade).save(tmp_path / "images" / part / f"{number}.png")
            mask = np.full((SIZE, SIZE), value, np.uint8)
            Image.fromarray(mask).save(tmp_path / "masks" / part / f"{number}.png")
    samples = load({"path": str(tmp_path / "images"), "masks": str(tmp_path / "masks")})
    for name, mask in zip(samples.names, samples.masks, strict=True):
        assert set(mask.ravel().tolist()) == {1 if name.startswith("a/") else 2}
