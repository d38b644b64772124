"""Writes the handwritten digits of ``scans.gz`` as PNG files, in two fixed parts.

1,797 scans of 8x8 points, 0 (paper) to 16 (ink), with their labels. Of every class each
fifth scan, in the order of the file, is for validation and never trained or calibrated on.
The standard library suffices: `hef up digits` needs an engine, and nothing beside it.

The scans are the test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and
C. Kaynak (1998), from the UCI Machine Learning Repository, licence CC BY 4.0; scikit-learn
carries the same ones. ``scans.gz`` has 65 bytes for each, unchanged: 64 points, then the label.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

SCANS = Path(__file__).parent / "scans.gz"
SIDE = 8
INK = 16
VALIDATION_EVERY = 5
PARTS = ("calibration", "validation")


class Scan(NamedTuple):
    """One scan: SIDE x SIDE points in 0..255 row by row, its label, and what it is for."""

    points: bytes
    label: int
    held_out: bool


def load() -> list[Scan]:
    """Return the scans in the order of the file."""
    packed = gzip.decompress(SCANS.read_bytes())
    length = SIDE * SIDE + 1
    seen: Counter[int] = Counter()
    scans = []
    for start in range(0, len(packed), length):
        *points, label = packed[start : start + length]
        grey = bytes(round(point * 255 / INK) for point in points)
        scans.append(Scan(grey, label, held_out=seen[label] % VALIDATION_EVERY == 0))
        seen[label] += 1
    return scans


def png(points: bytes, side: int) -> bytes:
    """Return a square grey picture as a PNG file."""
    rows = b"".join(b"\0" + points[at : at + side] for at in range(0, len(points), side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def prepare(folder: Path) -> None:
    """Write ``folder/{calibration,validation}/<label>/NNNN.png``, once and as a whole.

    The number is the scan's place in the file. The folder appears complete or not at all.
    """
    folder = Path(folder)
    if all((folder / part).is_dir() for part in PARTS):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / folder.name
        for index, scan in enumerate(load()):
            place = made / PARTS[int(scan.held_out)] / str(scan.label)
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{index:04d}.png").write_bytes(png(scan.points, SIDE))
        # A folder with only one part is what an older or broken run left; ours replaces it.
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


if __name__ == "__main__":
    import sys

    prepare(Path(sys.argv[1]))
