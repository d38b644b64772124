"""Which optimisation level really runs (facts: hailo.md 3.4, first_contact.md 2.1).

Without a level in the script the default is 2; fewer than 1024 images lower it to 1, no GPU to
0. A level in the script runs as named, whatever that takes: with the vendor's compiler hours on
a CPU. The emulator goes the same way in small: ``training.py`` bounds what it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.contract.options import DEFAULT_LEVEL, FULL_IMAGES

if TYPE_CHECKING:
    from hailo_emulator.options import ScriptOptions


@dataclass(frozen=True)
class Levels:
    """What was asked (None: nothing) and what runs; ``lines`` are (level, text) to log."""

    asked: int | None
    optimization: int
    compression: int
    lines: tuple[tuple[str, str], ...] = ()


def decide_levels(options: ScriptOptions, images: int, *, gpu: bool) -> Levels:
    """Decide on levels for a calibration set of ``images`` images."""
    asked = options.optimization_level
    compression = options.compression_level or 0
    if asked is not None:
        return Levels(asked, asked, compression)
    default = ("info", f"Using default optimization level of {DEFAULT_LEVEL}")
    few = images < FULL_IMAGES
    data = f"there's less data than the recommended amount ({FULL_IMAGES})"
    if gpu and not few:
        return Levels(None, DEFAULT_LEVEL, compression, (default,))
    if gpu:
        reduced = ("warning", f"Reducing optimization level to 1 because {data}")
        return Levels(None, 1, compression, (default, reduced))
    why = f"{data}, and there's no available GPU" if few else "there's no available GPU"
    reduced = (
        "warning",
        (
            "Reducing optimization level to 0 (the accuracy won't be optimized and "
            f"compression won't be used) because {why}"
        ),
    )
    return Levels(None, 0, 0, (default, reduced))
