"""Mistakes in the command line, with the exit codes of CLI11, the vendor's option parser."""

from __future__ import annotations

from typing import Final

VALIDATION: Final = 105
REQUIRED: Final = 106
REQUIRES: Final = 107
EXCLUDES: Final = 108
EXTRAS: Final = 109


class UsageError(Exception):
    """A mistake in the command line; ``code`` is the exit status."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
