"""JPEG files with the statistics of photographs, for the benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 1080, 1920

#: (quality, subsampling) as cameras, phones and web sites write them.
KINDS = ((75, 2), (85, 2), (90, 1), (95, 0))


def natural_scene(seed: int) -> np.ndarray:
    """Return (1080, 1920, 3) uint8: a 1/f amplitude spectrum, a lens' blur, related channels."""
    chance = np.random.RandomState(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None])
    frequency[0, 0] = 1.0
    shape = np.exp(-((frequency / 0.3) ** 2)) / frequency**1.2
    planes = []
    for _ in range(3):
        noise = chance.normal(size=frequency.shape) + 1j * chance.normal(size=frequency.shape)
        plane = np.fft.irfft2(noise * shape, s=(HEIGHT, WIDTH))
        planes.append((plane - plane.mean()) / plane.std())
    luma = planes[0]
    channels = [luma + 0.25 * plane for plane in (planes[1], planes[2], planes[1] - planes[2])]
    picture = np.stack(channels, axis=-1) * 48 + np.array([118, 112, 104])
    picture += chance.normal(0, 1.0, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def write_photographs(folder: Path, count: int) -> list[Path]:
    """Write ``count`` different 1080p JPEGs: scenes are rolled, their edges fit together."""
    folder.mkdir(parents=True)
    scenes = [natural_scene(seed) for seed in range(3)]
    chance = np.random.RandomState(99)
    paths = []
    for number in range(count):
        scene = scenes[number % len(scenes)]
        rolled = np.roll(scene, (chance.randint(HEIGHT), chance.randint(WIDTH)), axis=(0, 1))
        quality, subsampling = KINDS[number % len(KINDS)]
        path = folder / f"{number:04d}.jpg"
        Image.fromarray(rolled).save(path, quality=quality, subsampling=subsampling)
        paths.append(path)
    return paths
