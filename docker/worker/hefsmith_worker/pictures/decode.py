"""Opens one picture of any common kind as an upright 8-bit RGB or grey Pillow image.

What is done with odd kinds, and why:

* alpha is dropped, colours kept, as training loaders do (``Image.convert("RGB")``);
* 16-bit grey is scaled by 255/65535 and rounded; 16-bit RGB comes from Pillow as 8-bit;
* EXIF orientation is applied, as cameras' pictures were seen in training;
* JPEGs far larger than needed are decoded at 1/2, 1/4 or 1/8 in the DCT domain.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Tuple, Union

from hefsmith_worker.pictures.quiet import without_warnings

if TYPE_CHECKING:
    from PIL import Image

#: Suffixes that are looked for in folders and archives, in any case.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm",
    ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif",
)  # fmt: skip
#: Larger pictures are refused before a pixel is decoded (a phone's 50 Mpixel passes).
MAX_PIXELS = 64_000_000

ORIENTATION_TAG = 0x0112

#: A reduced JPEG must keep this many source pixels for each target pixel, so that the
#: filter afterwards still does the work: the result stays within a level of a full decode.
DRAFT_MARGIN = 1.25

#: Bytes that a decoder is given at once.
WHOLE = 16 << 20

Box = Tuple[float, float, float, float]


class PictureError(Exception):
    """A picture cannot be used; ``reason`` is a short text without the file's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Picture:
    """An opened picture whose pixels are not decoded yet.

    ``size`` is (height, width) of the upright picture; ``kind`` is Pillow's mode as stored.
    """

    handle: Image.Image
    size: Tuple[int, int]
    orientation: int
    kind: str
    frames: int = 1


def open_picture(data: Union[bytes, str]) -> Picture:
    """Read the header of an encoded picture (bytes, or a path). Raises :class:`PictureError`."""
    image_module = _pillow()
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    with without_warnings():
        try:
            handle = image_module.open(source)
        except image_module.UnidentifiedImageError:
            raise PictureError(_what_else(data)) from None
        except image_module.DecompressionBombError:
            msg = f"more than {MAX_PIXELS // 1_000_000} megapixels"
            raise PictureError(msg) from None
        except FileNotFoundError:
            msg = "the file is missing"
            raise PictureError(msg) from None
        except Exception as error:
            raise PictureError(_reason(error)) from None
        width, height = handle.size
        if width * height > MAX_PIXELS:
            msg = (
                f"{width}x{height} is {width * height / 1e6:.0f} megapixels, "
                f"more than {MAX_PIXELS // 1_000_000}"
            )
            raise PictureError(msg)
        if width < 1 or height < 1:
            msg = f"it has {width}x{height} pixels"
            raise PictureError(msg)
        try:
            orientation = int(handle.getexif().get(ORIENTATION_TAG, 1))
        except Exception:
            orientation = 1
    upright = (width, height) if orientation >= 5 and orientation <= 8 else (height, width)
    return Picture(handle, upright, orientation, handle.mode, getattr(handle, "n_frames", 1))


#: Starts of what lies in picture folders without being a picture that can be read.
_IMPOSTORS = (
    (
        re.compile(rb"version https://git-lfs"),
        "a pointer of Git LFS, not the picture (git lfs pull)",
    ),
    (re.compile(rb"\s*<(!doctype|html)", re.I), "a web page, not a picture"),
    (
        re.compile(rb".{4}ftyp(hei|hev|mif1|msf1)", re.S),
        "HEIC, which Pillow does not read by itself; save it as JPEG",
    ),
)


def _what_else(data: Union[bytes, str]) -> str:
    """Say what a file is that Pillow does not know."""
    if isinstance(data, bytes):
        start = data[:64]
    else:
        with open(data, "rb") as file:
            start = file.read(64)
    for pattern, reason in _IMPOSTORS:
        if pattern.match(start):
            return reason
    return "not a picture that Pillow can read"


def decode(
    picture: Picture, gray: bool, wanted: Optional[Tuple[float, float]] = None
) -> Tuple[Image.Image, Box]:
    """Decode to an upright image of mode ``L`` or ``RGB``.

    ``wanted`` is the (height, width) that the whole upright picture will be scaled to: a JPEG
    may then come reduced. Returns the image and the box (left, top, right, bottom) in it that
    the original picture covers, fractional when the reduction did not divide evenly.
    """
    handle, orientation = picture.handle, picture.orientation
    turned = 5 <= orientation <= 8
    mode = "L" if gray else "RGB"
    box: Box = (0.0, 0.0, float(handle.size[0]), float(handle.size[1]))
    with without_warnings():
        try:
            if (
                wanted is not None
                and handle.format in ("JPEG", "MPO")
                and handle.mode in ("RGB", "L")
            ):
                high, wide = wanted if not turned else (wanted[1], wanted[0])
                least = (int(wide * DRAFT_MARGIN) + 1, int(high * DRAFT_MARGIN) + 1)
                drafted = handle.draft(mode, least)
                if drafted is not None:
                    box = tuple(float(edge) for edge in drafted[1])  # type: ignore[assignment]
            image = _eight_bit(handle, mode)
        except PictureError:
            raise
        except Exception as error:
            raise PictureError(_reason(error)) from None
    return _upright(image, box, orientation)


def _eight_bit(handle: Image.Image, mode: str) -> Image.Image:
    """Load the pixels and bring them to ``L`` or ``RGB`` of 8 bits."""
    if hasattr(handle, "decodermaxblock"):
        # Pillow feeds its decoders 64 KiB at a time; whole files spare it the stitching.
        handle.decodermaxblock = WHOLE
    handle.load()
    if handle.mode == mode:
        return handle
    if handle.mode == "I" or handle.mode.startswith("I;16"):
        gray = _from_sixteen(handle)
        return gray if mode == "L" else gray.convert("RGB")
    if handle.mode == "F":
        msg = "a floating-point picture; its range is unknown, save it as 8 bits"
        raise PictureError(msg)
    if handle.mode in ("P", "PA") or (mode == "L" and handle.mode not in ("1", "LA", "La")):
        # Luma is made of the colours; Pillow's own way from a palette differs by version.
        handle = handle.convert("RGB")
    return handle if handle.mode == mode else handle.convert(mode)


def _from_sixteen(handle: Image.Image) -> Image.Image:
    import numpy as np

    values = np.asarray(handle)
    if values.dtype.kind != "u" and (values.min() < 0 or values.max() > 65535):
        msg = "32-bit grey values beyond 0..65535"
        raise PictureError(msg)
    scaled = (values.astype(np.uint32) * 255 + 32767) // 65535
    image: Image.Image = _pillow().fromarray(scaled.astype(np.uint8))
    return image


def _upright(image: Image.Image, box: Box, orientation: int) -> Tuple[Image.Image, Box]:
    module = _pillow()
    names = {
        2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
        6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
    }  # fmt: skip
    name = names.get(orientation)
    if name is None:
        return image, box
    width, height = image.size
    left, top, right, bottom = box
    method = getattr(getattr(module, "Transpose", module), name)
    mirrored_x = (width - right, width - left)
    mirrored_y = (height - bottom, height - top)
    x, y = (left, right), (top, bottom)
    xs, ys = {
        2: (mirrored_x, y), 3: (mirrored_x, mirrored_y), 4: (x, mirrored_y), 5: (y, x),
        6: (mirrored_y, x), 7: (mirrored_y, mirrored_x), 8: (y, mirrored_x),
    }[orientation]  # fmt: skip
    return image.transpose(method), (xs[0], ys[0], xs[1], ys[1])


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        msg = "Pillow is not installed here; install the package pillow"
        raise PictureError(msg) from None
    return Image
