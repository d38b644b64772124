"""A project with one small model that tells colours apart, made in a moment, no training.

The network is a 3x3 mean, a ReLU and a linear layer that scores the distance to each colour:
sensitive to channel order, range and normalisation, which is what the tests break.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {
    "red": (220, 40, 30),
    "green": (40, 200, 50),
    "blue": (30, 50, 215),
    "yellow": (225, 215, 40),
    "cyan": (35, 205, 210),
}
SIDE = 16
MEAN, STD = 127.5, 64.0

MODEL = """
import torch


class Colours(torch.nn.Module):
    def __init__(self, swap_on_export=False, takes_bgr=False):
        super().__init__()
        self.swap, self.takes_bgr = swap_on_export, takes_bgr
        self.register_buffer("order", torch.eye(3).flip(0).reshape(3, 3, 1, 1), persistent=False)
        self.smooth = torch.nn.Conv2d(3, 6, 3, padding=1)
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.score = torch.nn.Linear(6, 5)

    def forward(self, image):
        if self.swap and torch.onnx.is_in_onnx_export():
            # A wrapper's "helpful" RGB to BGR, as a 1x1 convolution that the chip can do.
            image = torch.nn.functional.conv2d(image, self.order)
        if self.takes_bgr:
            image = torch.nn.functional.conv2d(image, self.order)
        found = self.pool(torch.relu(self.smooth(image)))
        return self.score(found.flatten(1))


def build(swap_on_export=False, takes_bgr=False):
    return Colours(swap_on_export, takes_bgr)
"""


def weights() -> dict[str, Any]:
    """Return a state dictionary: positive and negative part of each channel, then distances."""
    import torch

    smooth = torch.zeros(6, 3, 3, 3)
    for channel in range(3):
        smooth[channel, channel] = 1 / 9
        smooth[channel + 3, channel] = -1 / 9
    centres = (torch.tensor(list(COLOURS.values()), dtype=torch.float32) - MEAN) / STD
    return {
        "smooth.weight": smooth,
        "smooth.bias": torch.zeros(6),
        "score.weight": torch.cat([centres, -centres], 1),
        "score.bias": -0.5 * (centres**2).sum(1),
    }


def write_project(root: Path) -> None:
    """Write pictures and weights; recipes are added by :func:`add_model`."""
    import torch

    random = np.random.default_rng(0)
    for part, count in (("calibration", 12), ("validation", 10)):
        for name, colour in COLOURS.items():
            folder = root / "calib" / "colours" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                shade = np.array(colour) * random.uniform(0.8, 1.1)
                pixels = shade + random.normal(0, 12, (SIDE, SIDE, 3))
                picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                picture.save(folder / f"{part}{index:02}.png")
    noise = root / "calib" / "noise"
    noise.mkdir()
    for index in range(40):
        grey = 127 + random.normal(0, 6, (SIDE, SIDE, 1)) + random.normal(0, 2, (SIDE, SIDE, 3))
        Image.fromarray(grey.astype(np.uint8)).save(noise / f"{index:02}.png")
    (root / "hef.yaml").write_text("schema: 1\n", encoding="utf-8")
    torch.save(weights(), root / "colours.pt")


def add_model(root: Path, name: str, **changes: Any) -> None:
    """Write a recipe; ``changes`` replace whole sections (``labels`` the list of labels)."""
    folder = root / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    (folder / "colours.pt").write_bytes((root / "colours.pt").read_bytes())
    labels = changes.pop("labels", list(COLOURS))
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    recipe = {
        "schema": 1,
        "source": {"torch": "model.py:build", "weights": "colours.pt"},
        "inputs": {"image": [1, 3, SIDE, SIDE]},
        "preprocessing": {
            "size": [SIDE, SIDE],
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "normalize": "chip",
        },
        "calibration": {"source": "calib/colours/calibration", "count": 60, "minimum": 8},
        "optimization": {"level": 0},
        "arch": ["hailo8l"],
        "postprocess": {"task": "classification", "labels": "labels.txt"},
        "validation": {"source": "calib/colours/validation", "samples": 50},
        **changes,
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
