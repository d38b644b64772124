"""Content that HailoRT refuses, and content on which it crashes."""

from __future__ import annotations

from typing import Final

from orchestrator.hef.errors import HefInvalidError

#: Longest name of a layer or a group in bytes (HailoRT's 128 with the closing zero).
MAX_NAME: Final = 127


def invalid(message: str, status: int = 26, code: str = "hef.invalid") -> HefInvalidError:
    """Return the error for content that HailoRT refuses with ``status``."""
    return HefInvalidError(message, status=status, code=code)


class CrashError(HefInvalidError):
    """Content on which the vendor's own parser crashes: it has no status for it."""

    default_code = "hef.crashes-hailort"
    default_status: int | None = None
