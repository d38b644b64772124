"""What the charts of all pages share: a frame with a scale, its grid, lines through points. SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture of ``width`` x ``height``, its margins, and the values from ``low`` to ``high``."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    low: float
    high: float

    @property
    def end(self) -> int:
        """Where the field ends to the right."""
        return self.width - self.right

    def x(self, share: float) -> float:
        """Return how far to the right a share (0..1) of the field is."""
        return self.left + share * (self.end - self.left)

    def y(self, value: float) -> float:
        """Return how far down a value is; one beyond the scale stands at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def grid(self, value: float, shown: str) -> str:
        """Return a line across the field with its value, ``shown`` is markup, to the left."""
        level = self.y(value)
        return (
            f'<line class="grid" x1="{self.left}" x2="{self.end}" y1="{level:.1f}" '
            f'y2="{level:.1f}"/><text class="tick" x="{self.left - 8}" y="{level + 4:.1f}" '
            f'text-anchor="end">{shown}</text>'
        )


def polyline(style: str, spots: Iterable[tuple[float, float]]) -> str:
    """Return a line from spot to spot."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return f'<polyline class="{style}" points="{path}"/>'


def span_of(low: float, high: float) -> tuple[float, float]:
    """Return limits with room around, never of no width."""
    room = max((high - low) * 0.08, abs(high) * 0.01, 1e-6)
    return low - room, high + room
