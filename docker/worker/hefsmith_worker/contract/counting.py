"""Numbers in messages: ``1 warning``, ``2 warnings``."""

from __future__ import annotations

from typing import Optional


def counted(number: int, one: str, many: Optional[str] = None) -> str:
    """Return a number with what it counts; ``many`` where the plural is not ``one`` and an s."""
    return "%d %s" % (number, one if number == 1 else many or one + "s")
