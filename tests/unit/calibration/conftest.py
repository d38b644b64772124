"""Pictures and requests for the calibration tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationRequest
from PIL import Image

Draw = Callable[[int], np.ndarray]
MakeFolder = Callable[..., Path]
MakeRequest = Callable[..., CalibrationRequest]


def scene(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture (H, W, 3) with large shapes, different for every seed."""
    chance = np.random.RandomState(seed)
    grid = chance.randint(0, 256, (6, 8, 3)).astype(np.uint8)
    large = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    noise = chance.normal(0, 3, (height, width, 3))
    return np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def draw() -> Draw:
    return scene


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write ``count`` different pictures into a folder of the test."""

    def make(name: str = "pictures", count: int = 12, start: int = 0, suffix: str = ".png") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(start, start + count):
            Image.fromarray(scene(index)).save(folder / f"{index:04d}{suffix}")
        return folder

    return make


@pytest.fixture
def make_request() -> MakeRequest:
    """A request for one input ``image`` of 32x32 RGB; keyword arguments override."""

    def make(sources: object, **changes: Any) -> CalibrationRequest:
        preprocess = {"size": [32, 32], "resize": "letterbox", **changes.pop("preprocess", {})}
        data: dict[str, Any] = {
            "inputs": [{"name": "image", "preprocess": preprocess}],
            "sources": str(sources) if isinstance(sources, Path) else sources,
            "count": 8,
            "minimum": 4,
            "level": 0,
            "workers": 0,
        }
        return CalibrationRequest.from_dict({**data, **changes})

    return make
