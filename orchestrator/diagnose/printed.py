"""Reads what another end printed out of the number that a program took it for.

sftp and rsync expect a number of four bytes first. Where a login prints text instead, their message
names these four signs as one large number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Groups that hold such a number, and which of its bytes comes first.
ORDERS: Mapping[str, Literal["big", "little"]] = {"sent_sftp": "big", "sent_rsync": "little"}
_LONGEST = 10


def with_text(captured: dict[str, str]) -> dict[str, str]:
    """Return ``captured`` with the signs that stand for a number, as ``sent``, where they are
    text."""
    for name, order in ORDERS.items():
        number = captured.pop(name, "")
        if number.isascii() and number.isdigit() and len(number) <= _LONGEST:
            signs = signs_of(int(number), order)
            if signs:
                captured["sent"] = signs
    return captured


def signs_of(number: int, order: Literal["big", "little"]) -> str:
    """Return the four signs of ``number``; nothing where they are no plain text."""
    if number >= 1 << 32:
        return ""
    text = number.to_bytes(4, order).decode("latin-1")
    # Behind an end of a line stands the beginning of the next.
    printed = text.strip("\r\n\x1b").partition("\n")[0].rstrip("\r")
    # Blanks alone show nothing to whoever reads the cause.
    seen = len(printed.strip()) > 1 and printed.isascii() and printed.isprintable()
    return printed if seen else ""
