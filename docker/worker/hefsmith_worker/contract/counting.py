"""Numbers in messages: ``1 warning``, ``2 warnings``; ``a, b and 7 more``."""

from __future__ import annotations

from typing import Optional, Sequence


def counted(number: int, one: str, many: Optional[str] = None) -> str:
    """Return a number with what it counts; ``many`` where the plural is not ``one`` and an s."""
    return "%d %s" % (number, one if number == 1 else many or one + "s")


def some(words: Sequence[str], most: int) -> str:
    """Return the first ``most`` words, and how many more there are."""
    shown = ", ".join(map(str, words[:most]))
    more = len(words) - most
    return "%s and %d more" % (shown, more) if more > 0 else shown
