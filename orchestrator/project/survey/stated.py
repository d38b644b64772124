"""How pictures were prepared in training, as somebody has written it down.

Means and deviations are told in units of 0..255, sizes as (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from hefsmith_worker.contract.trials import OF_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Stated:
    """What is written of the preprocessing; ``None`` where nothing is. ``where`` says by whom.

    ``hidden`` is the place of a scaling whose numbers are known only when the code runs; ``sides``
    are those of a size of which nobody knows which is the height.
    """

    size: tuple[int, int] | None = None
    resize: str | None = None
    resize_to: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None
    hidden: str | None = None
    sides: tuple[int, int] | None = None
    where: tuple[str, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether it is known how pixels become numbers."""
        return self.mean is not None and self.std is not None

    def over(self, other: Stated) -> Stated:
        """Return this with what it leaves open taken from another."""
        values = {
            one.name: getattr(self, one.name)
            if getattr(self, one.name) is not None
            else getattr(other, one.name)
            for one in fields(self)
            if one.name != "where"
        }
        return Stated(**values, where=tuple(dict.fromkeys((*self.where, *other.where))))


def stated_for(found: Stated, channels: int) -> Stated:
    """Return what can be meant for a network of so many channels.

    A folder's scripts also make other pictures: gray ones say nothing of a network that takes
    three channels, nor do three means of one that takes gray ones.
    """
    kept = found
    if found.color is not None and (found.color == "gray") != (channels == 1):
        kept = replace(kept, color=None)
    lengths = {len(part) for part in (found.mean, found.std) if part is not None}
    if not lengths <= {1, channels}:
        kept = replace(kept, mean=None, std=None)
    nothing = replace(kept, hidden=None, sides=None, where=()) == Stated()
    return Stated() if nothing else kept


def stated_in_graph(own: Mapping[str, Sequence[float]]) -> Stated:
    """Return what a network that scales its own input by mean and std wants: 0..255, or 0..1."""
    pixels = min(own["std"]) >= OF_PIXELS
    numbers = " ".join(f"{one:g}" for one in own["std"])
    where = f"the network itself, which divides its input by {numbers}"
    return Stated(mean=(0.0,), std=(1.0 if pixels else 255.0,), where=(where,))
