"""Sizes as people write them."""

from __future__ import annotations

from orchestrator.errors import ConfigError, escape_control

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def read_size(text: str, origin: str) -> int:
    """Return ``12g``, ``512m``, ``4GiB`` or a plain number as bytes.

    Raises :class:`ConfigError`, which names ``origin``, for anything else and for zero.
    """
    plain = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = _UNITS.get(plain[-1:], 1)
    number = plain[:-1] if unit > 1 else plain
    try:
        size = int(float(number) * unit)
    except (ValueError, OverflowError):
        size = 0
    if size <= 0:
        msg = f"{origin}: {escape_control(text)!r} is not a size; write 12g or 512m"
        raise ConfigError(msg)
    return size
