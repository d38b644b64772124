"""Masks of samples: which class each pixel of a picture shows, as segmentation is labelled.

A mask is a picture of class numbers, grey or with a palette, called like its picture. 255 stands
for "nobody says" (as in Pascal VOC), but in a set of only 0 and 255 (or another light grey) the
light one is class 1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from hefsmith_worker.calibration.items import Item, is_picture_name
from hefsmith_worker.calibration.model import CalibrationError
from hefsmith_worker.contract.findings import ERROR, WARNING, Finding
from hefsmith_worker.contract.layout import MASK_UNKNOWN
from hefsmith_worker.pictures import PictureError
from hefsmith_worker.pictures.decode import open_picture
from hefsmith_worker.pictures.geometry import Placement

if TYPE_CHECKING:
    import numpy as np

#: A lone value from here on is a colour to look at, no class number.
_LIGHT = 127
#: What labelling tools put behind a picture's name.
_ENDINGS = re.compile(
    r"[_\-. ]?(masks?|labels?|gt|seg(mentation)?|labelids|gtfine|trainids|l)$", re.IGNORECASE
)
_MOST_MASKS = 500_000


def find_masks(folder: str) -> Dict[str, Path]:
    """Return the masks of a folder by their relative names without suffix, and by their stems.

    Raises :class:`CalibrationError` for a folder without any.
    """
    root = Path(folder)
    found: Dict[str, Path] = {}
    twice = set()
    for number, path in enumerate(sorted(root.rglob("*"))):
        if number > _MOST_MASKS:
            break
        if not is_picture_name(path.name) or not path.is_file():
            continue
        whole = path.relative_to(root).with_suffix("").as_posix()
        found[_key(whole)] = path
        stem = _key(path.stem)
        if found.setdefault(stem, path) != path:
            twice.add(stem)
    for stem in twice:
        # A name that lies in several folders is found by all of it only.
        del found[stem]
    if not found:
        msg = f"{folder}: no masks in it"
        fix = "A mask is a picture (PNG) of class numbers, called like its picture."
        raise CalibrationError(msg, "samples.masks", fix, folder)
    return found


def mask_of(item: Item, masks: Mapping[str, Path]) -> Optional[Path]:
    """Return the mask of a picture."""
    whole = Path(item.name).with_suffix("").as_posix()
    return masks.get(_key(whole)) or masks.get(_key(Path(item.name).stem))


def _key(name: str) -> str:
    return _ENDINGS.sub("", name.casefold()) or name.casefold()


def read_mask(path: Path, placement: Placement) -> np.ndarray:
    """Return a mask as its picture was prepared: int16 (H, W), padding is -1.

    Raises :class:`PictureError` for what holds no class numbers.
    """
    import numpy as np
    from PIL import Image

    picture = open_picture(str(path))
    handle = picture.handle
    if handle.mode not in ("1", "L", "P", "I", "I;16"):
        values = np.asarray(handle.convert("RGB"))
        if (values != values[..., :1]).any():
            msg = "a mask in colours; save class numbers, grey or with a palette"
            raise PictureError(msg)
        values = values[..., 0]
    else:
        values = np.asarray(handle)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.ndim != 2 or values.min() < 0 or values.max() > MASK_UNKNOWN:
        msg = "a mask whose values are not class numbers of 0..255"
        raise PictureError(msg)
    high, wide = values.shape
    if abs(high * placement.source[1] - wide * placement.source[0]) > max(high, wide):
        msg = "a mask of %dx%d for a picture of %dx%d" % (wide, high, *placement.source[::-1])
        raise PictureError(msg)
    scaled = Image.fromarray(values.astype(np.uint8)).resize(
        placement.scaled[::-1], Image.Resampling.NEAREST
    )
    canvas = np.full(placement.target, -1, np.int16)
    top, left, bottom, right = placement.covered
    y, x = placement.offset
    canvas[top:bottom, left:right] = np.asarray(scaled)[top - y : bottom - y, left - x : right - x]
    return canvas


def masks_of_samples(
    folder: str, kept: Sequence[Tuple[Item, Placement]]
) -> Tuple[List[Optional[np.ndarray]], List[Finding]]:
    """Return the mask of each sample, uint8 (H, W), ``None`` without one, and what is wrong."""
    import numpy as np

    table = find_masks(folder)
    found: List[Optional[np.ndarray]] = []
    missing, broken = [], []
    for item, placement in kept:
        path = mask_of(item, table)
        mask = None
        if path is None:
            missing.append(item.name)
        else:
            try:
                mask = read_mask(path, placement)
            except PictureError as error:
                broken.append("%s: %s" % (path.name, error.reason))
        found.append(mask)
    findings = []
    if missing or broken:
        some = [*broken, *("%s: no mask" % name for name in missing)]
        findings.append(
            Finding(
                "samples.masks",
                ERROR if not any(mask is not None for mask in found) else WARNING,
                "%d of %d samples have no mask that can be used: %s"
                % (len(some), len(kept), ", ".join(some[:3])),
                fix="A mask is a picture (PNG) of class numbers, called like its picture.",
            )
        )
    values: Set[int] = set()
    for mask in found:
        if mask is not None:
            values |= set(np.unique(mask).tolist())
    drawn = values - {0, -1}
    light = next(iter(drawn)) if len(drawn) == 1 and min(drawn) >= _LIGHT else None
    return [None if mask is None else _plain(mask, light) for mask in found], findings


def _plain(mask: np.ndarray, light: Optional[int]) -> np.ndarray:
    import numpy as np

    numbers = mask if light is None else np.where(mask == light, 1, mask)
    return np.where(numbers < 0, MASK_UNKNOWN, numbers).astype(np.uint8)
