"""A first recipe takes arrays as what they are, and pairs folders with inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.pipeline.start.arrays import folders_of, settle

if TYPE_CHECKING:
    from pathlib import Path

CHIP = {"size": [4, 6], "resize": "stretch", "mean": [0], "std": [255], "normalize": "chip"}
DATA = {"color": "data", "normalize": "host"}


def settled(
    tmp_path: Path, array: Any, shape: list[int], section: dict[str, Any]
) -> tuple[dict[str, Any], list[str], str]:
    """The folder of the recipe is not there yet, as when one is written first."""
    np.save(tmp_path / "x.npy", array)
    recipe = {
        "inputs": {"x": shape},
        "preprocessing": section,
        "calibration": {"source": "../../x.npy"},
    }
    notes, first = settle(recipe, tmp_path / "models" / "net")
    return recipe["preprocessing"], notes, first


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("array", "channels", "section", "expected"),
    [
        # A spectrogram looks like a grey picture, but for its values.
        (RANDOM.normal(size=(9, 4, 6, 1)) * 20, 1, {**CHIP, "color": "gray"}, DATA),
        (RANDOM.random((9, 4, 6, 1)), 1, {**CHIP, "color": "gray"}, DATA),
        # Metres of a depth camera.
        (RANDOM.random((9, 4, 6, 1)) * 7, 1, {**CHIP, "color": "gray"}, DATA),
        (
            RANDOM.normal(size=(9, 4, 6, 3)),
            3,
            {**CHIP, "color": "rgb"},
            {**CHIP, "color": "rgb", "normalize": "host"},
        ),
        # Pixels stay pixels, as floats too.
        (
            RANDOM.integers(0, 256, (9, 4, 6, 1)).astype(np.uint8),
            1,
            {**CHIP, "color": "gray"},
            {**CHIP, "color": "gray"},
        ),
        (
            RANDOM.random((9, 4, 6, 3)) * 250,
            3,
            {**CHIP, "color": "rgb"},
            {**CHIP, "color": "rgb"},
        ),
        # Whole numbers of 8 bits are divided by 255, in the HEF, and that is said.
        (
            RANDOM.integers(0, 256, (9, 4, 6, 2)).astype(np.uint8),
            2,
            DATA,
            {"size": [4, 6], "mean": [0], "std": [255], "color": "data", "normalize": "chip"},
        ),
        (RANDOM.normal(size=(9, 4, 6, 2)), 2, DATA, DATA),
    ],
)
def test_arrays_decide_who_normalises_them(
    tmp_path: Path, array: Any, channels: int, section: dict[str, Any], expected: dict[str, Any]
) -> None:
    found, _, first = settled(tmp_path, array, [1, channels, 4, 6], dict(section))
    assert found == expected
    assert not first


def test_an_array_with_its_channels_first_is_told(tmp_path: Path) -> None:
    _, notes, first = settled(tmp_path, RANDOM.normal(size=(9, 2, 4, 6)), [1, 2, 4, 6], dict(DATA))
    assert any("array.transpose(0, 2, 3, 1)" in note for note in notes)
    assert first == "turn x.npy round"


def test_folders_are_for_the_inputs_of_their_names(tmp_path: Path) -> None:
    for name in ("Left", "right", "more"):
        (tmp_path / name).mkdir()
    both = folders_of(tmp_path / "Left", ["left", "right"])
    assert both == {"left": tmp_path / "Left", "right": tmp_path / "right"}
    assert folders_of(tmp_path, ["left", "right"]) == both  # the folder that holds them
    assert folders_of(tmp_path / "Left", ["left", "middle"]) == {}


def test_folders_called_like_the_inputs_are_no_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    from PIL import Image

    from orchestrator.cli.app import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.a = nn.Conv2d(3, 4, 3)\n        self.b = nn.Conv2d(1, 4, 3)\n\n"
        "    def forward(self, rgb, depth):\n"
        "        return torch.cat((self.a(rgb), self.b(depth)), 1).mean((2, 3))\n"
    )
    layers = {"a": torch.nn.Conv2d(3, 4, 3), "b": torch.nn.Conv2d(1, 4, 3)}
    torch.save(torch.nn.ModuleDict(layers).state_dict(), "net.pt")
    for name, mode in (("rgb", "RGB"), ("depth", "L")):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new(mode, (32, 24), 40 * number).save(tmp_path / name / f"{number}.png")

    assert run(["init", "pair", "--yes", "--engine", "local"]) == 0

    told = capsys.readouterr().err
    recipe = (tmp_path / "models" / "pair" / "model.yaml").read_text()
    assert "rgb: [1, 3, 24, 32]" in recipe
    assert "depth: [1, 1, 24, 32]" in recipe
    assert "source: {rgb: ../../rgb, depth: ../../depth}" in recipe
    assert "labels" not in recipe
    assert "found by trying: rgb 3, depth 1" in told
    assert "held out" not in told
