"""Networks with the heads of detectors, which find coloured squares, and pictures with such.

A square is 16 pixels wide and has a cell of the finest map (stride 8) in its middle; red ones are
class 0, green ones class 1. The two coarser maps find nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.lies.networks import Builder, f32

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

SIDE, CLASSES, BINS = 64, 2, 16
STRIDES = (8, 16, 32)
#: The middle of a square is its cell's: one stride to each side.
REACH = 1
#: Numbers a cell has beside box and classes, by task: two key points, an angle, mask weights.
MORE = {"detection": 0, "pose": 6, "obb": 1, "segmentation": 32}


def head(
    task: str = "detection",
    *,
    blind: bool = False,
    everywhere: bool = False,
    swapped: bool = False,
    reach: int = REACH,
) -> onnx.ModelProto:
    """Return a network cut already at its head, as exporters for this compiler leave it.

    ``blind`` finds nothing, ``everywhere`` the same in every picture, ``swapped`` takes red for
    green, and with another ``reach`` every box has another size than its square.
    """
    builder = Builder()
    random = np.random.default_rng(11)
    # Channels 0..2: how red, green, blue a cell is; the others give the rest something to say.
    mean = np.zeros((8, 3, 8, 8))
    for colour in range(3):
        mean[colour, colour] = 1 / 64
    mean[3:] = random.normal(0, 1 / 64, (5, 3, 1, 1))
    builder.add("Conv", f32(mean), f32(np.zeros(8)), kernel_shape=[8, 8], strides=[8, 8])
    maps = [builder.add("Relu")]
    for _ in STRIDES[1:]:
        half = np.zeros((8, 8, 2, 2))
        half[range(8), range(8)] = 1 / 4
        builder.add("Conv", f32(half), f32(np.zeros(8)), kernel_shape=[2, 2], strides=[2, 2])
        maps.append(builder.add("Relu"))
    outputs: dict[str, list[int]] = {}
    for level, (tensor, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        cells = SIDE // stride
        finds = level == 0 and not blind

        def end(weights: Any, bias: Any, tensor: str = tensor, cells: int = cells) -> None:
            # A tower of its own before each end, as the families have it.
            builder.tensor = tensor
            eye = f32(np.eye(8).reshape(8, 8, 1, 1))
            builder.add("Conv", eye, f32(np.zeros(8)), kernel_shape=[1, 1])
            builder.add("Relu")
            name = builder.add("Conv", f32(weights), f32(bias), kernel_shape=[1, 1])
            outputs[name] = [1, len(bias), cells, cells]

        box = np.full((4, BINS), -9.0)
        box[:, reach] = 9.0
        end(random.normal(0, 0.5, (4 * BINS, 8, 1, 1)), box.ravel())
        category = np.zeros((CLASSES, 8, 1, 1))
        if finds and not everywhere:
            for number in range(CLASSES):
                category[number, 1 - number if swapped else number] = 40
        start = 3.0 if finds and everywhere else -30.0 if finds else -12.0
        # Weights that change nothing, so that what finds nothing still has values of its own.
        category += random.normal(0, 0.01, category.shape) * (not everywhere)
        end(category, np.full(CLASSES, start))
        if MORE[task]:
            more = MORE[task]
            end(random.normal(0, 1, (more, 8, 1, 1)), random.normal(0, 0.2, more))
    if task == "segmentation":
        builder.tensor = maps[0]
        kernel = f32(random.normal(0, 0.3, (8, 8, 2, 2)))
        builder.add("ConvTranspose", kernel, f32(np.zeros(8)), kernel_shape=[2, 2], strides=[2, 2])
        builder.add("Relu")
        weights = f32(random.normal(0, 1, (32, 8, 1, 1)))
        builder.add("Conv", weights, f32(np.zeros(32)), kernel_shape=[1, 1])
        outputs[builder.add("Relu")] = [1, 32, 16, 16]
    return builder.of({"image": [1, 3, SIDE, SIDE]}, outputs)


def draw(folder: Path, count: int, seed: int, *, labelled: bool = True) -> None:
    """Write pictures, ``images/N.png``, and their YOLO labels, ``labels/N.txt``."""
    random = np.random.default_rng(seed)
    for part in ("images", "labels") if labelled else ("images",):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = random.integers(0, 40, (SIDE, SIDE, 3))
        row, column = (random.integers(1, 7, 2) * 8 + 4).tolist()
        kind = number % CLASSES
        pixels[row - 8 : row + 8, column - 8 : column + 8, kind] = 250
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"images/{number}.png")
        if labelled:
            square = [column / SIDE, row / SIDE, 16 / SIDE, 16 / SIDE]
            line = " ".join(str(value) for value in [kind, *square])
            (folder / f"labels/{number}.txt").write_text(line + "\n")
