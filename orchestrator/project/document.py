"""A configuration file that was read: its values, and where in it each of them stood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Bytes of one file; the longest recipe that we know, with a list of a thousand labels, has 20 KB.
LARGEST = 512 << 10

#: Where a value stands: the keys and indices that lead to it.
Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Position:
    """A place in a file, counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True)
class YamlDocument:
    """One YAML file: its values and the position of every one of them."""

    path: Path
    value: Mapping[str, Any]
    positions: Mapping[Location, Position] = field(repr=False)

    def where(self, location: Location) -> str:
        """Return ``file:line:column`` of a value, or of the nearest thing around it."""
        for length in range(len(location), -1, -1):
            if (position := self.positions.get(location[:length])) is not None:
                return f"{self.path}:{position.line}:{position.column}"
        return f"{self.path}:1:1"
