"""Draws labelled pictures for the tests: five shapes, warm or cool, in a warm world.

Every picture is 96x72, RGB, with a textured sandy background (red always well above blue)
and sensor-like noise. The world's colour cast is deliberate: swapped channels move the
pictures far from what the network has seen, as they do with real cameras.

`numpy.random.RandomState` is used because its stream is frozen across numpy versions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 96, 72
SCALE = 3
FORMS = ("circle", "square", "triangle", "star", "cross")
LABELS = tuple(f"{tone} {form}" for tone in ("warm", "cool") for form in FORMS)


def _texture(chance: np.random.RandomState) -> np.ndarray:
    """Return smooth clouds and stripes (HEIGHT, WIDTH), about -1..1."""
    field = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for cells, weight in ((4, 0.5), (9, 0.35), (24, 0.25)):
        grid = chance.uniform(-1, 1, (cells, cells)).astype(np.float32)
        cloud = Image.fromarray(grid).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        field += weight * np.asarray(cloud)
    angle, wave = chance.uniform(0, math.pi), chance.uniform(0.15, 0.6)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    stripes = np.sin(wave * (rows * math.sin(angle) + columns * math.cos(angle)))
    return field + chance.uniform(0, 0.35) * stripes.astype(np.float32)


def _outline(form: str, radius: float, turn: float) -> list[tuple[float, float]]:
    """Return the corners of a form around the origin."""
    if form == "square":
        angles, radii = [turn + math.pi / 4 + i * math.pi / 2 for i in range(4)], [radius] * 4
    elif form == "triangle":
        angles, radii = [turn + i * 2 * math.pi / 3 for i in range(3)], [radius * 1.15] * 3
    elif form == "star":
        angles = [turn + i * math.pi / 5 for i in range(10)]
        radii = [radius * (1.15 if i % 2 == 0 else 0.48) for i in range(10)]
    else:
        arm = 0.32 * radius
        plus = [
            (arm, arm), (radius, arm), (radius, -arm), (arm, -arm), (arm, -radius), (-arm, -radius),
            (-arm, -arm), (-radius, -arm), (-radius, arm), (-arm, arm), (-arm, radius),
            (arm, radius),
        ]  # fmt: skip
        c, s = math.cos(turn), math.sin(turn)
        return [(x * c - y * s, x * s + y * c) for x, y in plus]
    return [(r * math.cos(a), r * math.sin(a)) for a, r in zip(angles, radii, strict=True)]


def _mask(form: str, chance: np.random.RandomState) -> np.ndarray:
    """Return the shape's coverage (HEIGHT, WIDTH) in 0..1, with smooth edges."""
    radius = chance.uniform(13, 27)
    x = chance.uniform(radius, WIDTH - radius)
    y = chance.uniform(radius * 0.95, HEIGHT - radius * 0.95)
    canvas = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE))
    pen = ImageDraw.Draw(canvas)
    if form == "circle":
        flat = chance.uniform(0.8, 1.0)
        box = [x - radius, y - radius * flat, x + radius, y + radius * flat]
        pen.ellipse([v * SCALE for v in box], fill=255)
    else:
        corners = _outline(form, radius, chance.uniform(0, 2 * math.pi))
        pen.polygon([((x + dx) * SCALE, (y + dy) * SCALE) for dx, dy in corners], fill=255)
    small = canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255.0


def draw(label: int, chance: np.random.RandomState) -> np.ndarray:
    """Return one picture (72, 96, 3) uint8 RGB of class ``label``."""
    base = np.array(
        [chance.uniform(150, 225), chance.uniform(95, 150), chance.uniform(25, 75)], np.float32
    )
    picture = base + _texture(chance)[..., None] * np.array([40, 34, 20], np.float32)
    if label < len(FORMS):
        bright = chance.uniform() < 0.5
        ink = [250, 205, 90] if bright else [120, 28, 12]
    else:
        bright = chance.uniform() < 0.5
        ink = [70, 165, 190] if bright else [22, 48, 110]
    colour = np.array(ink, np.float32) + chance.uniform(-18, 18, 3).astype(np.float32)
    cover = _mask(FORMS[label % len(FORMS)], chance)[..., None] * chance.uniform(0.85, 1.0)
    shade = 1.0 + 0.18 * _texture(chance)[..., None]
    picture = picture * (1 - cover) + colour * shade * cover
    picture *= chance.uniform(0.75, 1.15)
    picture += chance.normal(0, chance.uniform(2, 12), picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` pictures (N, 72, 96, 3) uint8 and labels (N,), classes in turn."""
    chance = np.random.RandomState(seed)
    labels = np.arange(count) % len(LABELS)
    return np.stack([draw(int(label), chance) for label in labels]), labels


#: Seeds of the three disjoint parts.
TRAINING_SEED, CALIBRATION_SEED, VALIDATION_SEED = 11, 22, 33


def write(folder: Path, *, count: int, seed: int) -> None:
    """Write ``folder/<label>/NNNN.png``, ``count`` pictures in all."""
    images, labels = pictures(count, seed)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / LABELS[label].replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index:04d}.png")


def prepare(folder: Path, *, calibration: int = 1024, validation: int = 200) -> None:
    """Write ``folder/calibration`` and ``folder/validation`` when they are not there yet."""
    for part, count, seed in (
        ("calibration", calibration, CALIBRATION_SEED),
        ("validation", validation, VALIDATION_SEED),
    ):
        if not (folder / part).is_dir():
            write(folder / part, count=count, seed=seed)
