"""Whether two sets of pictures were prepared alike: red and blue, and the scale of values. Pure.

The calibration pictures set the ranges of the network, the held-out ones are what it sees later.
Arrays that a script made (``.npy``) tell nobody how: their values do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from hefsmith_worker.contract.findings import ERROR, WARNING, Finding

if TYPE_CHECKING:
    import numpy as np

    from hefsmith_worker.pictures import Preprocess

#: Fewer pictures than this on either side tell nothing.
LEAST = 8
#: Values of one set spread so many times further than those of the other.
SCALE = 6.0
#: How sure it must be that red and blue differ between the sets (in standard errors), and which
#: share of the difference may be left when they are exchanged.
SURE, LEFT = 6.0, 0.35


def values_of(
    arrays: np.ndarray[Any, Any], preprocess: Preprocess
) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return some values of pictures (N, ...) as the network gets them, and in 0..255.

    Bytes are normalised on their way, floats were normalised by who made them.
    """
    import numpy as np

    some = arrays
    if arrays.ndim == 4:
        step = max(1, min(arrays.shape[1:3]) // 32)
        some = arrays[:, ::step, ::step]
    mean, std = (np.asarray(part, np.float32) for part in preprocess.offset_and_scale)
    values = some.astype(np.float32)
    if arrays.dtype == np.uint8:
        return (values - mean) / std, values
    return values, values * std + mean


def turned(arrays: np.ndarray[Any, Any], preprocess: Preprocess) -> np.ndarray[Any, Any]:
    """Return pictures (N, H, W, 3) with red and blue exchanged, before they are normalised."""
    import numpy as np

    if arrays.dtype == np.uint8:
        return np.ascontiguousarray(arrays[..., ::-1])
    mean, std = (np.asarray(part, np.float32) for part in preprocess.offset_and_scale)
    return np.ascontiguousarray(((arrays * std + mean)[..., ::-1] - mean) / std)


def other_scale(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> Optional[Finding]:
    """Return what says that values of ``ours`` (N, ...), as the network gets them, are others."""
    if min(len(ours), len(theirs)) < LEAST:
        return None
    mine, other = (_ends(side) for side in (ours, theirs))
    spread = [max(high - low, 1e-12) for low, high in (mine, other)]
    ratio = spread[0] / spread[1]
    # Values below zero are no picture's: a mean was taken off, on one side only.
    below = [low < -0.02 * width for (low, _), width in zip((mine, other), spread)]
    if 1.0 / SCALE < ratio < SCALE and below[0] == below[1]:
        return None
    factor = max(ratio, 1.0 / ratio)
    again = ", as if divided by 255 once more" if 150.0 < factor < 400.0 else ""
    side = "these" if ratio < 1.0 else "the held-out ones"
    why = f" (a factor of {factor:.3g} in {side}{again})" if factor >= SCALE else ""
    shown = [f"{low:.3g} to {high:.3g}" for low, high in (mine, other)]
    return Finding(
        "calib.scale",
        ERROR,
        f"the network gets {shown[0]} from these pictures, {shown[1]} from the held-out ones{why}",
        "One of the two was normalised in another way: prepare both alike, and let "
        "preprocessing.mean and std say how (uint8 arrays are normalised by them, float arrays "
        "are taken as they are).",
        shown[1],
        shown[0],
    )


def _ends(values: np.ndarray[Any, Any]) -> List[float]:
    import numpy as np

    flat = np.asarray(values).reshape(len(values), -1)
    some = flat[:, :: max(1, flat.shape[1] // 2048)].astype(np.float64)
    return [float(end) for end in np.percentile(some, (1, 99))]


def swapped_colours(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> bool:
    """Say whether colours of ``ours`` (N, H, W, 3) are those of ``theirs``, red for blue.

    That is a suspicion only: pictures of something else may have other colours, too.
    """
    import numpy as np

    if ours.ndim != 4 or theirs.ndim != 4 or ours.shape[-1] != 3 or theirs.shape[-1] != 3:
        return False
    if min(len(ours), len(theirs)) < LEAST:
        return False
    means = [side.reshape(len(side), -1, 3).mean(1, dtype=np.float64) for side in (ours, theirs)]
    warm = [side[:, 0] - side[:, 2] for side in means]
    middle = [float(side.mean()) for side in warm]
    error = float(np.sqrt(sum(side.var() / len(side) for side in warm))) + 1e-9
    apart = abs(middle[0] - middle[1])
    return apart > SURE * error and abs(middle[0] + middle[1]) < LEFT * apart


def swapped_finding(share: Optional[float]) -> Finding:
    """Return what is said of swapped colours; ``share`` is how much nearer swapping brings them.

    ``share`` is the distance to the held-out pictures in the network, swapped against as they
    are; ``None`` where no network was asked.
    """
    near = "" if share is None else f"; swapped they come {1 - share:.0%} nearer in the network"
    return Finding(
        "calib.colours",
        WARNING,
        f"red and blue of these pictures look swapped against the held-out ones{near}",
        "Arrays that OpenCV read are BGR: turn them round before they are saved, or set "
        "preprocessing.color for both sets alike.",
    )
