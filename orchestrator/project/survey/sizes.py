"""The size that all of the user's pictures have: what a network that takes any was trained on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from orchestrator.project.survey.pictures import pictures_of

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.survey.pictures import Shown

#: Pictures whose size is read.
_READ = 32
#: Fewer tell nothing.
_LEAST = 4
#: The largest side that networks take whole; larger pictures come out of a camera so.
_LARGEST = 512


def common_size(shown: Shown) -> tuple[int, int] | None:
    """Return height and width in pixels that pictures have in common, ``None`` where they differ.

    Pictures that a camera made are of one size, too: only sizes that networks are trained on count.
    """
    import imagesize

    found: set[tuple[int, int]] = set()
    files = list(islice(_files(shown), _READ))
    for path in files:
        try:
            wide, high = imagesize.get(str(path))
        except Exception:  # a hostile header can raise anything, and tells nothing
            return None
        found.add((int(high), int(wide)))
    if len(files) < _LEAST or len(found) != 1:
        return None
    size = found.pop()
    fits = all(0 < side <= _LARGEST and side % 8 == 0 for side in size)
    return size if fits else None


def _files(shown: Shown) -> list[Path]:
    root = shown.calibration
    if not root.is_dir():
        return []
    parts = [one for name in shown.folders if (one := root / name).is_dir()] or [root]
    each = max(1, _READ // len(parts))
    return [path for part in parts for path in pictures_of(part)[:each]]
