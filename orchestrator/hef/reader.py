"""Read HEF files: header, checks, metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.hef.errors import HefError
    from orchestrator.hef.model import Check, Header, Hef


@dataclass(frozen=True)
class Examination:
    """All that could be learned of a file, good or bad.

    ``hef`` is ``None`` when the metadata cannot be read; ``header`` is ``None`` when even that
    cannot. ``problems`` are in the order in which they were found; empty means a sound file.
    ``vendor_status`` is what ``hailortcli parse-hef`` would return, ``None`` where it crashes.
    """

    size: int
    header: Header | None
    checks: tuple[Check, ...]
    hef: Hef | None
    problems: tuple[HefError, ...]
    vendor_status: int | None


def read_hef(source: Path | bytes, *, verify: bool = True) -> Hef:
    """Read a HEF from a file or from its bytes.

    ``verify`` computes every checksum that the header version has (the whole file is read
    once); without it only lengths are checked. Raises the :class:`HefError` of the first
    problem; nothing else, whatever the bytes are.
    """
    raise NotImplementedError


def examine_hef(source: Path | bytes, *, verify: bool = True) -> Examination:
    """Like :func:`read_hef`, but never raises for bad content: problems are in the answer."""
    raise NotImplementedError
