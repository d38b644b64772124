"""The size that all of the user's pictures have: what a network that takes any was trained on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from orchestrator.project.survey.pictures import pictures_of
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.survey.pictures import Shown

#: Pictures whose size is read.
_READ = 32
#: A larger list of pictures is not read to tell their size.
_LARGEST_JSON = 64 << 20
#: Fewer tell nothing.
_LEAST = 4
#: The largest side that networks take whole; larger pictures come out of a camera so.
_LARGEST = 512


def common_size(shown: Shown, *, usual: bool = True) -> tuple[int, int] | None:
    """Return height and width in pixels that pictures have in common, ``None`` where they differ.

    Pictures that a camera made are of one size, too: only sizes that networks are trained on count.
    ``usual`` leaves out sides that are no multiple of 8, such as crops of number plates have.
    """
    import imagesize

    if shown.calibration.suffix.lower() == ".json":
        return _fitting(_stated(shown.calibration), usual=usual)
    found: list[tuple[int, int]] = []
    for path in islice(_files(shown), _READ):
        try:
            wide, high = imagesize.get(str(path))
        except Exception:  # a hostile header can raise anything, and tells nothing
            return None
        found.append((int(high), int(wide)))
    return _fitting(found, usual=usual)


def _fitting(sizes: list[tuple[int, int]], *, usual: bool) -> tuple[int, int] | None:
    if len(sizes) < _LEAST or len(set(sizes)) != 1:
        return None
    fits = all(0 < side <= _LARGEST and (not usual or side % 8 == 0) for side in sizes[0])
    return sizes[0] if fits else None


def _stated(path: Path) -> list[tuple[int, int]]:
    """Return the sizes that a COCO data set states of its pictures."""
    try:
        document = parse_json(path.read_bytes()) if path.stat().st_size <= _LARGEST_JSON else None
    except (OSError, ValueError, RecursionError):
        return []
    images = document.get("images") if isinstance(document, dict) else None
    found: list[tuple[int, int]] = []
    for one in images if isinstance(images, list) else ():
        high = one.get("height") if isinstance(one, dict) else None
        wide = one.get("width") if isinstance(one, dict) else None
        if not (isinstance(high, int) and isinstance(wide, int)):
            return []
        found.append((high, wide))
    return found


def _files(shown: Shown) -> list[Path]:
    root = shown.calibration
    if not root.is_dir():
        return []
    parts = [one for name in shown.folders if (one := root / name).is_dir()] or [root]
    each = max(1, _READ // len(parts))
    found = [path for part in parts for path in pictures_of(part)[:each]]
    if found:
        return found
    inside = sorted(one for one in root.iterdir() if one.is_dir() and not one.is_symlink())
    return [path for part in inside[:_READ] for path in pictures_of(part)[:_READ]]
