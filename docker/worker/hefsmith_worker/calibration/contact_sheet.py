"""A contact sheet: what the network is really given, as one PNG.

Tiles show rows of the array itself, after preprocessing and before normalisation: pixel for
pixel when they are small (enlarged by a whole number), else reduced by averaging. BGR arrays
are shown with their colours put right; the header names the order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration.data import (
    PIXELS,
    Range,
    as_steps,
    curve_points,
    false_colours,
    is_data,
)
from hefsmith_worker.calibration.model import CalibratedInput, CalibrationSet, InputSpec
from hefsmith_worker.calibration.work import as_pixels

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageDraw

PAPER, INK, FAINT, PANEL = (250, 250, 248), (24, 24, 27), (113, 113, 122), (235, 235, 231)
CURVES = {"rgb": ("#d03a2f", "#2c8a4b", "#2f5fd0"), "bgr": ("#2f5fd0", "#2c8a4b", "#d03a2f"),
          "gray": ("#3f3f46",), "data": ("#2f5fd0", "#d03a2f", "#2c8a4b")}  # fmt: skip
TILE, GAP, CAPTION, MARGIN, HEADER, CHART = 144, 12, 30, 20, 64, 150
MOST_TILES = 64
WIDTH = 1300


@dataclass(frozen=True)
class Tile:
    """Row ``row`` of the array stands at x, y of the sheet, width by height pixels large."""

    row: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class ContactSheet:
    """The picture and where its tiles are."""

    image: Image.Image
    tiles: Tuple[Tile, ...]


def draw_contact_sheet(
    calibration: CalibrationSet,
    spec: InputSpec,
    folder: Path,
    most: int = MOST_TILES,
    width: int = WIDTH,
) -> ContactSheet:
    """Draw one input of a finished set whose arrays lie in ``folder``.

    Up to ``most`` tiles in about ``width`` pixels, so that the text can be read as it is.

    The rows that the float model was tried on come first, with its answers below them.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    entry = next(item for item in calibration.inputs if item.name == spec.name)
    array = np.load(str(folder / entry.file), mmap_mode="r")
    rows = _rows(len(array), most)
    tile_width, height = _tile_size(spec)
    cell = max(tile_width, TILE)
    columns = max(3, min(8, len(rows), width // (cell + GAP)))
    lines = math.ceil(len(rows) / columns)
    sheet_width = max(MARGIN * 2 + columns * (cell + GAP) - GAP, 640)
    sheet_height = HEADER + lines * (height + CAPTION + GAP) + CHART + MARGIN * 2
    image = Image.new("RGB", (sheet_width, sheet_height), PAPER)
    pen = ImageDraw.Draw(image)
    _draw_header(pen, calibration, entry, spec)
    tiles = []
    span = _span(entry)
    for place, row in enumerate(rows):
        x = MARGIN + place % columns * (cell + GAP)
        y = HEADER + place // columns * (height + CAPTION + GAP)
        values = np.asarray(array[row])
        pixels = _looked_at(values, spec, span)
        image.paste(tile_image(pixels, spec), (x, y))
        tiles.append(Tile(row, x, y, tile_width, height))
        answer = _answer(calibration, row)
        shown = values if is_data(spec) else pixels
        second = answer or f"mean {shown.mean():.4g}, spread {shown.std():.3g}"
        _text(pen, (x, y + height + 2), calibration.names[row], INK, cell, keep_end=True)
        _text(pen, (x, y + height + 15), second, FAINT, cell)
    _draw_histogram(pen, entry, spec, sheet_width, sheet_height - CHART - MARGIN)
    return ContactSheet(image, tuple(tiles))


def save_contact_sheet(sheet: ContactSheet, path: Path) -> None:
    """Write the sheet as PNG, or as JPEG under that suffix: as a whole or not at all."""
    draft = path.with_name("." + path.name + ".part")
    try:
        if path.suffix == ".jpg":
            sheet.image.save(str(draft), "JPEG", quality=82, optimize=True)
        else:
            sheet.image.save(str(draft), "PNG")
        draft.replace(path)
    finally:
        if draft.exists():
            draft.unlink()


def _span(entry: CalibratedInput) -> Range:
    """Return the least and the largest value of all channels."""
    return (
        min(channel.minimum for channel in entry.channels),
        max(channel.maximum for channel in entry.channels),
    )


def _looked_at(row: np.ndarray[Any, Any], spec: InputSpec, span: Range) -> np.ndarray[Any, Any]:
    """Return a row as uint8: pixels, or the steps of data between the least and the largest."""
    if is_data(spec):
        return as_steps(row, (span[0], max(span[1], span[0] + 1e-9)))
    return as_pixels(row, spec)


def tile_image(pixels: np.ndarray[Any, Any], spec: InputSpec) -> Image.Image:
    """Return what a row (H, W, C) uint8 looks like on the sheet; features and signals as lines."""
    from PIL import Image

    if is_data(spec) and 1 in (pixels.ndim, *pixels.shape[:2]):
        return _curves(pixels, *_tile_size(spec))
    if is_data(spec):
        shown = Image.fromarray(false_colours(pixels))
    elif spec.preprocess.channels == 1:
        shown = Image.fromarray(pixels[:, :, 0]).convert("RGB")
    elif spec.preprocess.color == "bgr":
        shown = Image.fromarray(pixels[:, :, ::-1].copy())
    else:
        shown = Image.fromarray(pixels)
    size = _tile_size(spec)
    if size == shown.size:
        return shown
    resampling = getattr(Image, "Resampling", Image)
    enlarged = size[0] > shown.size[0]
    return shown.resize(size, resampling.NEAREST if enlarged else resampling.BOX)


def _curves(steps: np.ndarray[Any, Any], width: int, height: int) -> Image.Image:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), PANEL)
    pen = ImageDraw.Draw(image)
    for colour, points in zip(CURVES["data"], curve_points(steps, width, height)):
        pen.line([*points, points[-1]], fill=colour)
    return image


def _rows(count: int, most: int) -> List[int]:
    """The first eight (the float model's), then evenly through the rest."""
    if count <= most:
        return list(range(count))
    first = list(range(8))
    rest = most - len(first)
    return first + [8 + index * (count - 8) // rest for index in range(rest)]


def _tile_size(spec: InputSpec) -> Tuple[int, int]:
    """(width, height): a whole multiple of small inputs, a reduction of large ones."""
    height, width = spec.preprocess.size
    if is_data(spec) and 1 in (height, width):
        return (TILE, TILE)
    longest = max(height, width)
    if longest <= TILE:
        times = TILE // longest
        return (width * times, height * times)
    if longest <= 2 * TILE:
        return (width, height)
    return (max(1, round(width * TILE / longest)), max(1, round(height * TILE / longest)))


def _answer(calibration: CalibrationSet, row: int) -> Optional[str]:
    check = calibration.float_check
    if check is None or row >= len(check.answers):
        return None
    # Pillow's small font has spaces that are hardly seen: "class 4 0.26" would be 40.26.
    return f"model: {check.answers[row]}".replace(" ", "  ")


def _draw_header(
    pen: ImageDraw.ImageDraw,
    calibration: CalibrationSet,
    entry: CalibratedInput,
    spec: InputSpec,
) -> None:
    preprocess = spec.preprocess
    owner = {"chip": "the chip", "host": "the host", "none": "nobody"}[preprocess.normalize]
    mean, std = preprocess.offset_and_scale
    if is_data(spec):
        what = f"rows of {'x'.join(str(side) for side in preprocess.shape)}"
        how = "arrays as they are"
    else:
        what = f"images, {preprocess.width}x{preprocess.height} {preprocess.color.upper()}"
        how = f"{preprocess.resize}, {preprocess.interpolation}"
    title = f"{entry.name}: {calibration.used} of {calibration.available} {what}"
    detail = f"{how}; {owner} normalises: mean {_numbers(mean)}, std {_numbers(std)}"
    statistics = "; ".join(
        f"{name} {channel.minimum:.4g}..{channel.maximum:.4g}, mean {channel.mean:.4g}, "
        f"spread {channel.std:.3g}"
        for name, channel in zip(preprocess.channel_names[:3], entry.channels)
    )
    for line, (text, colour) in enumerate(((title, INK), (detail, FAINT), (statistics, FAINT))):
        _text(pen, (MARGIN, 8 + 17 * line), text, colour, None, large=line == 0)


def _draw_histogram(
    pen: ImageDraw.ImageDraw,
    entry: CalibratedInput,
    spec: InputSpec,
    sheet_width: int,
    top: int,
) -> None:
    """One curve per channel, 0..255 from left to right; the height is the square root."""
    left, right = MARGIN, sheet_width - MARGIN
    bottom = top + CHART - 16
    pen.rectangle((left, top, right, bottom), fill=PANEL)
    # Padding and clipped pixels make spikes that would flatten the rest; they are cut off.
    peak = max(sorted(channel.histogram)[-3] for channel in entry.channels) or 1
    for colour, channel in zip(CURVES[spec.preprocess.color], entry.channels):
        points = [
            (
                left + (right - left) * level / 255.0,
                bottom - (bottom - top - 6) * math.sqrt(min(1.0, count / peak)),
            )
            for level, count in enumerate(channel.histogram)
        ]
        pen.line(points, fill=colour, width=2)
    low, high = _span(entry) if is_data(spec) else PIXELS
    for level in (0, 64, 128, 192, 255):
        x = left + (right - left) * level / 255.0
        value = f"{low + (high - low) * level / 255.0:.4g}"
        _text(pen, (int(x) - (0 if level == 0 else 6 * len(value)), bottom + 2), value, FAINT, None)


def _numbers(values: Sequence[float]) -> str:
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"


def _text(
    pen: ImageDraw.ImageDraw,
    place: Tuple[int, int],
    text: str,
    colour: Tuple[int, int, int],
    room: Optional[int],
    *,
    keep_end: bool = False,
    large: bool = False,
) -> None:
    """Write text, shortened to ``room`` pixels; names keep their end, which tells them apart."""
    font = _font(14 if large else 11)
    text = "".join(char if char.isprintable() else "?" for char in text)
    if getattr(font, "size", None) is None:
        text = text.encode("latin1", "replace").decode("latin1")  # Pillow's old bitmap font
    while room is not None and len(text) > 4 and pen.textlength(text, font=font) > room:
        text = "..." + text[4:] if keep_end else text[:-4] + "..."
    pen.text(place, text, fill=colour, font=font)


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (TypeError, OSError, ImportError):
        return ImageFont.load_default()
