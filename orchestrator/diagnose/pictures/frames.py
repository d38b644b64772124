"""What two numbers of bytes tell of a picture: how many were given, how many an input takes.

A program that hands over floats where bytes are wanted gives exactly four times as much; a picture
with an alpha channel gives four bytes of a pixel in place of three. Such ratios name the cause.
"""

from __future__ import annotations

from math import isqrt, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How many times the bytes that are wanted were given, as (given, wanted).
_RATIOS = {"float32": (4, 1), "float64": (8, 1), "bytes": (1, 4), "rgba": (4, 3), "gray": (1, 3)}
#: A first dimension from here on is the height of a picture, and no number of pictures.
_LEAST_HEIGHT = 32


def _is_square(pixels: int) -> bool:
    return isqrt(pixels) ** 2 == pixels


def _are_two_pictures(got: int, wanted: int, captured: Mapping[str, str]) -> bool:
    """Tell whether the bytes that came are one picture, and those that are wanted another."""
    names = ("width", "height", "in_width", "in_height", "channels")
    if not all(captured.get(name, "").isdigit() for name in names):
        return False
    width, height, in_width, in_height, channels = (int(captured[name]) for name in names)
    return (
        got == width * height * channels
        and wanted == in_width * in_height * channels
        and (width, height) != (in_width, in_height)
    )


def shows(kind: str, captured: Mapping[str, str]) -> bool:
    """Tell whether the bytes that were ``got`` and those that are ``wanted`` are of this kind."""
    got, wanted = int(captured.get("got") or 0), int(captured.get("wanted") or 0)
    if got <= 0 or wanted <= 0:
        return False
    if kind == "pictures":
        return _are_two_pictures(got, wanted, captured)
    if kind == "unbatched":
        # Its height, by which both are counted, is a part of its bytes, too.
        height = wanted // got
        whole = wanted % got == 0 and height >= _LEAST_HEIGHT and got % height == 0
        return whole and got >= _LEAST_HEIGHT**2
    if kind == "shape":
        # The numbers of a shape that the log prints, which the other kinds do not explain.
        shape = [int(number) for number in captured.get("dims", "").replace(" ", "").split(",")]
        others = any(shows(other, captured) for other in _RATIOS)
        return prod(shape) == got != wanted and not others
    given, of = _RATIOS[kind]
    if got * of != wanted * given:
        return False
    # A picture of three channels and another size may have the same ratio (640x480 where 480x480
    # is wanted); a number of bytes that three does not divide is of none.
    if kind == "rgba":
        return got % 3 != 0 and wanted % 3 == 0 and _is_square(wanted // 3)
    return kind != "gray" or (got % 3 != 0 and _is_square(got))
