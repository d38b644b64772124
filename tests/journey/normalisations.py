"""Networks trained under different normalisations: does ``hef init`` find out which it was?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.integration.main_job.first_hour import MODEL, Way, trained
from tests.journey.walk import Walker


def find(way: Way, photos: Path, root: Path) -> dict[str, Any]:
    """Return what ``hef init`` says of weights, the network's class and labelled photographs.

    There are no transforms that it could read: only what the network gets right tells.
    """
    import torch

    home, folder = root / "home", root / "waste"
    home.mkdir(parents=True)
    folder.mkdir()
    shutil.copytree(photos, folder / "photos")
    (folder / "net.py").write_text(MODEL, encoding="utf-8")
    torch.save(trained(photos, way).state_dict(), folder / "waste.pt")
    channels = 1 if way.color == "gray" else 3
    done = Walker(home, folder).type(
        f"hef init --json --size {channels},48,48", HEFSMITH_ENGINE="local"
    )
    if done.code:
        raise RuntimeError(done.err)
    return dict(json.loads(done.out))


def is_found(found: dict[str, Any], way: Way) -> bool:
    """Tell whether colour, mean and deviation are those of the training."""
    from hefsmith_worker.pictures import Preprocess

    channels = 1 if way.color == "gray" else 3
    mean, std = Preprocess.from_dict(found["preprocessing"]).offset_and_scale
    wanted = [value for one in (way.mean, way.std) for value in _wide(one, channels)]
    given = [*list(mean)[:channels], *list(std)[:channels]]
    near = [abs(a - b) < 0.5 for a, b in zip(given, wanted, strict=True)]
    return found["preprocessing"]["color"] == way.color and all(near)


def _wide(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * (channels if len(values) == 1 else 1)
