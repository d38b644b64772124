"""Draw an answer over its picture: boxes, oriented boxes, masks, key points, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hailo_answers import Answer, Box

#: Colours that differ for people who see red and green alike (Okabe and Ito, 2008).
COLORS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)

#: Lines between key points where there are seventeen, as COCO numbers those of a body.
BODY = (
    (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12),
    (11, 13), (13, 15), (12, 14), (14, 16), (0, 1), (0, 2), (1, 3), (2, 4),
)  # fmt: skip

#: Key points that are less sure than this are not drawn.
SURE = 0.5


def draw(picture: Any, answer: Answer, score: float = 0.0) -> Any:
    """Return a copy of a Pillow picture (RGB) with what the answer says from ``score`` on."""
    from PIL import ImageDraw

    picture = picture.convert("RGB")
    boxes = [box for box in answer.boxes if box.score >= score]
    _tint(picture, answer, boxes)
    pen = ImageDraw.Draw(picture)
    width = max(2, round(min(picture.size) / 240))
    for box in boxes:
        _draw_box(pen, box, width)
    if answer.classes:
        _write(pen, (4, 4), "%s %.0f %%" % (answer.classes[0][0], 100 * answer.classes[0][1]))
    return picture


def color_of(number: int) -> tuple[int, int, int]:
    """Return the colour of a class."""
    return COLORS[number % len(COLORS)]


def _draw_box(pen: Any, box: Box, width: int) -> None:
    color = color_of(box.number)
    if box.corners:
        pen.line([*box.corners, box.corners[0]], fill=color, width=width)
    else:
        pen.rectangle((box.left, box.top, box.right, box.bottom), outline=color, width=width)
    if len(box.points) == 17:
        for one, other in BODY:
            ends = (box.points[one], box.points[other])
            if all(sure >= SURE for _, _, sure in ends):
                pen.line([(x, y) for x, y, _ in ends], fill=color, width=width)
    for x, y, sure in box.points:
        if sure >= SURE:
            pen.ellipse((x - width, y - width, x + width, y + width), fill=(255, 255, 255))
    _write(pen, (box.left, box.top), "%s %.0f %%" % (box.label, 100 * box.score), color)


def _write(
    pen: Any, place: tuple[float, float], text: str, color: tuple[int, int, int] = COLORS[0]
) -> None:
    """Write black on a patch of colour, which is readable on any picture."""
    font = _font(max(11, round(min(pen.im.size) / 28)))
    place = (max(place[0], 2.0), max(place[1], 1.0))
    try:
        patch = pen.textbbox(place, text, font=font)
        pen.rectangle((patch[0] - 2, patch[1] - 1, patch[2] + 2, patch[3] + 1), fill=color)
        pen.text(place, text, fill=(0, 0, 0), font=font)
    except UnicodeEncodeError:
        # Pillow without FreeType has letters of Latin-1 only.
        _write(pen, place, text.encode("ascii", "replace").decode("ascii"), color)


def _font(size: int) -> Any:
    """Return Pillow's own font, in a size where it has one (10.1 and newer)."""
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


def _tint(picture: Any, answer: Answer, boxes: list[Box]) -> None:
    from PIL import Image

    if answer.mask is not None:
        classes = answer.mask_on()
        for number in sorted(set(classes.ravel().tolist()) - {0}):
            mask = Image.fromarray((classes == number).astype("uint8") * 120)
            picture.paste(Image.new("RGB", picture.size, color_of(number)), mask=mask)
    for box in boxes:
        if box.mask is not None and box.mask.any():
            mask = Image.fromarray(box.mask.astype("uint8") * 120)
            tint = Image.new("RGB", mask.size, color_of(box.number))
            picture.paste(tint, (int(box.left), int(box.top)), mask)
