"""Makes network inputs of pictures: fit, order of channels, and (for hosts) normalise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Tuple, Union

from hefsmith_worker.pictures.decode import Box, Picture, PictureError, decode, open_picture
from hefsmith_worker.pictures.geometry import Placement, place
from hefsmith_worker.pictures.preprocess import Preprocess

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True)
class Prepared:
    """A network input and how it came about.

    ``array`` is uint8 (height, width, channels) in the order of ``color``; ``seen`` is the part
    that shows picture, as a Pillow image of mode RGB or L, without padding.
    """

    array: np.ndarray[Any, Any]
    placement: Placement
    seen: Image.Image

    @property
    def padded(self) -> int:
        """Number of pixels that are padding."""
        height, width = self.placement.target
        return height * width - self.seen.size[0] * self.seen.size[1]


def prepare(
    image: Union[Image.Image, np.ndarray[Any, Any], bytes, str],
    preprocess: Preprocess,
    chance: Optional[random.Random] = None,
) -> np.ndarray[Any, Any]:
    """Return the picture as the network gets it: uint8 (height, width, channels).

    ``image`` is an encoded picture (path or bytes), a Pillow image, or an array (H, W) grey or
    (H, W, 3) RGB of uint8. ``chance`` decides random crops. Raises :class:`PictureError`.
    """
    return prepare_with_placement(image, preprocess, chance)[0]


def prepare_with_placement(
    image: Union[Image.Image, np.ndarray[Any, Any], bytes, str],
    preprocess: Preprocess,
    chance: Optional[random.Random] = None,
) -> Tuple[np.ndarray[Any, Any], Placement]:
    """Like :func:`prepare`, with the geometry that takes boxes there and back.

    What is no picture (``color: data``) is an array of the input's shape and stays as it is.
    """
    if preprocess.color == "data":
        size = preprocess.size
        return _as_data(image, preprocess), Placement(size, size, (0, 0), size)
    prepared = prepare_opened(_as_picture(image), preprocess, chance)
    return prepared.array, prepared.placement


def prepare_opened(
    picture: Picture, preprocess: Preprocess, chance: Optional[random.Random] = None
) -> Prepared:
    """Like :func:`prepare`, for a picture whose header was read before."""
    if preprocess.color == "data":
        msg = f"this input takes arrays of shape {preprocess.shape}, not pictures"
        raise PictureError(msg)
    try:
        placement = place(picture.size, preprocess, chance)
    except ValueError as error:
        raise PictureError(str(error)) from None
    gray = preprocess.color == "gray"
    decoded, box = decode(picture, gray, (float(placement.scaled[0]), float(placement.scaled[1])))
    seen = _fit(decoded, box, placement, preprocess)
    return Prepared(_lay(seen, placement, preprocess), placement, seen)


def glance(picture: Picture, preprocess: Preprocess, least: int) -> Image.Image:
    """Return a small copy of what :func:`prepare` would show, without padding: mode L or RGB.

    Its shorter side has about ``least`` pixels. A JPEG is decoded at a fraction of its size, so
    this takes a fraction of the time. Random crops are centre crops. Raises
    :class:`PictureError`.
    """
    try:
        placement = place(picture.size, preprocess)
    except ValueError as error:
        raise PictureError(str(error)) from None
    top, left, bottom, right = placement.covered
    shrink = max(1.0, min(bottom - top, right - left) / least)
    wanted = (placement.scaled[0] / shrink, placement.scaled[1] / shrink)
    decoded, box = decode(picture, preprocess.color == "gray", wanted)
    size = (max(1, round((right - left) / shrink)), max(1, round((bottom - top) / shrink)))
    return _fit(decoded, box, placement, preprocess, size)


def normalise(batch: np.ndarray[Any, Any], preprocess: Preprocess) -> np.ndarray[Any, Any]:
    """Return ``(batch - mean) / std`` as float32, for (N, H, W, C) or (H, W, C).

    This is what the chip does too when ``normalize`` is ``chip``; with ``none`` only the type
    changes. Floats are taken as normalised already when the host is the owner (arrays of the
    user's own), and refused otherwise. Raises :class:`ValueError`.
    """
    import numpy as np

    if batch.shape[-1] != preprocess.channels:
        msg = f"normalise: {batch.shape[-1]} channels, need {preprocess.channels} (NHWC)"
        raise ValueError(msg)
    if batch.dtype.kind == "f":
        if preprocess.normalize != "host":
            msg = "normalise: raw pixels are uint8; floats look normalised already"
            raise ValueError(msg)
        return batch.astype(np.float32, copy=False)
    mean, std = preprocess.offset_and_scale
    result = batch.astype(np.float32)
    result -= np.asarray(mean, dtype=np.float32)
    result /= np.asarray(std, dtype=np.float32)
    return result


def _as_data(array: Any, preprocess: Preprocess) -> np.ndarray[Any, Any]:
    """Return one row of data. Raises :class:`PictureError`."""
    import numpy as np

    if getattr(array, "shape", None) != preprocess.shape:
        msg = f"this input takes an array of shape {preprocess.shape}, not pictures"
        raise PictureError(msg)
    row = np.asarray(array)
    if row.dtype.kind == "f" and preprocess.normalize == "host":
        return row.astype(np.float32)
    if row.dtype != np.uint8 and preprocess.normalize != "host":
        msg = f"an array of {row.dtype}; this input takes uint8, 0..255"
        raise PictureError(msg)
    return row


def _as_picture(image: Any) -> Picture:
    if isinstance(image, (bytes, str)):
        return open_picture(image)
    if hasattr(image, "__fspath__"):
        return open_picture(image.__fspath__())
    if hasattr(image, "shape"):
        image = _from_array(image)
    width, height = image.size
    if width < 1 or height < 1:
        msg = f"it has {width}x{height} pixels"
        raise PictureError(msg)
    return Picture(image, (height, width), 1, image.mode)


def _from_array(array: Any) -> Image.Image:
    from PIL import Image

    if array.dtype.name != "uint8":
        msg = f"an array of {array.dtype.name}; pictures are uint8, 0..255"
        raise PictureError(msg)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        msg = f"an array of shape {tuple(array.shape)}; need (H, W) or (H, W, 3)"
        raise PictureError(msg)
    return Image.fromarray(array)


def _fit(
    image: Image.Image,
    box: Box,
    placement: Placement,
    preprocess: Preprocess,
    size: Optional[Tuple[int, int]] = None,
) -> Image.Image:
    """Scale the part of ``image`` that the network sees; to another (width, height) if given."""
    top, left, bottom, right = placement.covered
    seen_top, seen_left, seen_bottom, seen_right = placement.window
    scale_y = (box[3] - box[1]) / placement.source[0]
    scale_x = (box[2] - box[0]) / placement.source[1]
    window = (
        max(0.0, box[0] + seen_left * scale_x),
        max(0.0, box[1] + seen_top * scale_y),
        min(float(image.size[0]), box[0] + seen_right * scale_x),
        min(float(image.size[1]), box[1] + seen_bottom * scale_y),
    )
    size = size or (right - left, bottom - top)
    whole = (0.0, 0.0, float(image.size[0]), float(image.size[1]))
    if window == whole and size == image.size:
        return image
    return image.resize(size, _filter(preprocess.interpolation), box=window)


def _lay(seen: Image.Image, placement: Placement, preprocess: Preprocess) -> np.ndarray[Any, Any]:
    """Order the channels and lay the picture on the padded canvas."""
    import numpy as np

    pixels = np.asarray(seen)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if preprocess.color == "bgr":
        pixels = pixels[:, :, ::-1]
    if pixels.shape[:2] == placement.target:
        return np.ascontiguousarray(pixels)
    top, left, bottom, right = placement.covered
    pad = [int(value) for value in preprocess.per_channel("pad")]
    # One number fills ten times as fast as one for each channel.
    fill = pad[0] if len(set(pad)) == 1 else np.asarray(pad, dtype=np.uint8)
    canvas = np.empty(preprocess.shape, dtype=np.uint8)
    canvas[:top] = fill
    canvas[bottom:] = fill
    canvas[top:bottom, :left] = fill
    canvas[top:bottom, right:] = fill
    canvas[top:bottom, left:right] = pixels
    return canvas


def _filter(interpolation: str) -> Any:
    from PIL import Image

    names = {
        "nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "area": "BOX",
        "lanczos": "LANCZOS",
    }  # fmt: skip
    return getattr(getattr(Image, "Resampling", Image), names[interpolation])
