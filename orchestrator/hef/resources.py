"""Take external resources out of a HEF."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_resource(source: Path | bytes, name: str) -> bytes:
    """Return the bytes of external resource ``name``, checked against its XXH3-64.

    Raises ``ResourceNotFoundError`` when there is none of that name or it is damaged, and
    every error of :func:`read_hef` but those of checksums that do not cover it.
    """
    raise NotImplementedError
