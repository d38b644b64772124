"""What a maker has: photographs in class folders, and a small network trained on them in torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
COLOURS = (
    (150, 110, 60),
    (40, 140, 60),
    (150, 150, 165),
    (220, 215, 205),
    (60, 90, 200),
    (60, 45, 40),
)

#: The network as its file has it: one class, and a function that it needs.
MODEL = """\
from torch import nn


def block(before, after, stride):
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before),
        nn.ReLU6(), nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU6(),
    )


class WasteNet(nn.Module):
    def __init__(self, channels=3, classes=6):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()
        )
        self.features = nn.Sequential(block(16, 32, 2), block(32, 48, 2))
        self.classifier = nn.Linear(48, classes)

    def forward(self, x):
        return self.classifier(self.features(self.stem(x)).mean((2, 3)))
"""


@dataclass(frozen=True)
class Way:
    """How a training prepares its pictures; mean and deviation of 0..255, in order of ``color``."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: str = "rgb"
    resize: str = "stretch"


IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
WAYS = (
    Way("imagenet", *IMAGENET),
    Way("unit", (0.0,), (255.0,)),
    Way("signed", (127.5,), (127.5,)),
    Way("raw", (0.0,), (1.0,)),
    Way("unit-bgr", (0.0,), (255.0,), "bgr"),
    Way("imagenet-bgr", IMAGENET[0][::-1], IMAGENET[1][::-1], "bgr"),
    Way("signed-crop", (127.5,), (127.5,), resize="shorter_then_crop"),
    Way("unit-letterbox", (0.0,), (255.0,), resize="letterbox"),
    Way("caffe", IMAGENET[0][::-1], (1.0,), "bgr"),
    Way("unit-gray", (0.0,), (255.0,), "gray"),
)


def photographs(folder: Path, *, train: int = 30, val: int = 12, seed: int = 0) -> Path:
    """Draw pictures of six things on grounds of any colour, in class folders."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    for part, count in (("train", train), ("val", val)):
        for number, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True)):
            place = folder / part / name
            place.mkdir(parents=True)
            for index in range(count):
                width, height = (int(side) for side in rng.integers(70, 130, 2))
                ground = tuple(int(one) for one in rng.integers(80, 210, 3))
                picture = Image.new("RGB", (width, height), ground)
                draw = ImageDraw.Draw(picture)
                fill = np.clip(np.asarray(colour) + rng.integers(-30, 31, 3), 0, 255)
                left, top = (int(one) for one in rng.integers(5, 25, 2))
                side = int(rng.integers(35, 60))
                box = [left, top, left + side, top + side]
                shape = (draw.ellipse, draw.rectangle, draw.pieslice)[number % 3]
                more = {"start": 20, "end": 300} if number % 3 == 2 else {}
                shape(box, fill=tuple(int(one) for one in fill), **more)
                noise = rng.integers(-14, 15, (height, width, 3))
                pixels = np.clip(np.asarray(picture).astype(int) + noise, 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{index:03}.jpg")
    return folder


def arrays(folder: Path, way: Way, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures as the network gets them in training, and their classes.

    Prepared here, by Pillow and numpy: what finds the way must not be what made it.
    """
    from PIL import Image

    rows, truth = [], []
    for number, name in enumerate(sorted(path.name for path in folder.iterdir())):
        for path in sorted((folder / name).iterdir()):
            picture = Image.open(path).convert("L" if way.color == "gray" else "RGB")
            row = np.asarray(_fit(picture, way.resize, size), np.float32)
            row = row[..., None] if row.ndim == 2 else row
            if way.color == "bgr":
                row = row[..., ::-1]
            row = (row - np.asarray(way.mean)) / np.asarray(way.std)
            rows.append(row.transpose(2, 0, 1).astype(np.float32))
            truth.append(number)
    return np.stack(rows), np.asarray(truth)


def _fit(picture: Any, resize: str, size: int) -> Any:
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    if resize == "stretch":
        return picture.resize((size, size), bilinear)
    wide, high = picture.size
    if resize == "letterbox":
        scale = size / max(wide, high)
        small = picture.resize((round(wide * scale), round(high * scale)), bilinear)
        ground = Image.new(picture.mode, (size, size), 114 if picture.mode == "L" else (114,) * 3)
        ground.paste(small, ((size - small.size[0]) // 2, (size - small.size[1]) // 2))
        return ground
    scale = size / min(wide, high)
    large = picture.resize((round(wide * scale), round(high * scale)), bilinear)
    left, top = (large.size[0] - size) // 2, (large.size[1] - size) // 2
    return large.crop((left, top, left + size, top + size))


def trained(photos: Path, way: Way, size: int = 48, *, epochs: int = 14, seed: int = 1) -> Any:
    """Return the network, trained for a few seconds on the pictures prepared in one way."""
    import torch

    torch.manual_seed(seed)
    names: dict[str, Any] = {}
    exec(MODEL, names)
    net = names["WasteNet"](channels=1 if way.color == "gray" else 3)
    data, truth = arrays(photos / "train", way, size)
    inputs, labels = torch.from_numpy(data), torch.from_numpy(truth)
    optimiser = torch.optim.Adam(net.parameters(), 4e-3)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(24):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(inputs[rows]), labels[rows])
            loss.backward()
            optimiser.step()
    return net.eval()
