"""Writes the handwritten digits that scikit-learn carries as PNG files, in two fixed parts.

1,797 scans of 8x8 points, 0 (paper) to 16 (ink), with their labels. Of every class each
fifth scan, in the order of the package, is for validation and never trained or calibrated on.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

VALIDATION_EVERY = 5
PARTS = ("calibration", "validation")


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scans (1797, 8, 8) uint8 in 0..255, labels (1797,), and which are for validation."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    scans = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    validation = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        validation[members[::VALIDATION_EVERY]] = True
    return scans, labels, validation


def prepare(folder: Path) -> None:
    """Write ``folder/{calibration,validation}/<label>/NNNN.png``, once and as a whole.

    The number is the scan's index in the package. The folder appears complete or not at all.
    """
    folder = Path(folder)
    if all((folder / part).is_dir() for part in PARTS):
        return
    scans, labels, validation = load()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / folder.name
        for index, (scan, label, held_out) in enumerate(
            zip(scans, labels, validation, strict=True)
        ):
            place = made / PARTS[int(held_out)] / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scan).save(place / f"{index:04d}.png")
        # A folder with only one part is what an older or broken run left; ours replaces it.
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


if __name__ == "__main__":
    import sys

    prepare(Path(sys.argv[1]))
