"""Will this HEF run there? The rules of HailoRT, by chip and by version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.hef.model import Hef


@dataclass(frozen=True)
class Reason:
    """One thing that HailoRT would say. ``status`` is its number there, ``None`` for a warning."""

    code: str
    message: str
    status: int | None
    hint: str | None = None


@dataclass(frozen=True)
class Compatibility:
    """The answer: ``runs``, why not (``refusals``), and what to know even so (``warnings``)."""

    chip: str
    hailort: str | None
    refusals: tuple[Reason, ...]
    warnings: tuple[Reason, ...]

    @property
    def runs(self) -> bool:
        """True when nothing refuses."""
        return not self.refusals


def check_compatibility(
    hef: Hef, *, chip: str, hailort: str | None = None, emulated_device: bool = False
) -> Compatibility:
    """Say whether ``hef`` runs on ``chip`` (``HAILO8L``; any case) under ``hailort`` (``4.20.0``).

    Without ``hailort`` only the chip is judged, by the rules of every line that drives it.
    ``emulated_device`` is true for a stand-in that says so itself: only that may run an
    emulated HEF, and it runs real ones no better. Raises ``ConfigError`` for a chip or a
    version that is no such thing.
    """
    raise NotImplementedError
