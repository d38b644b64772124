"""Which optimisation level really runs (facts: hailo.md 3.4, user_pains.md C and A09).

Without a level in the script the default is 2; fewer than 1024 images lower it to 1, no GPU to
0. A level of 1 or below in the script is kept. Higher levels need training (fine-tuning,
AdaRound), which the emulator does not have: without an (emulated) GPU they are lowered to 0
with the vendor's own line, as the vendor's compiler does on most machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.contract.options import DEFAULT_LEVEL, FULL_IMAGES

if TYPE_CHECKING:
    from hailo_emulator.options import Options


@dataclass(frozen=True)
class Levels:
    """What was asked (None: nothing) and what runs; ``lines`` are (level, text) to log."""

    asked: int | None
    optimization: int
    compression: int
    lines: tuple[tuple[str, str], ...] = ()


def decide_levels(options: Options, images: int, *, gpu: bool) -> Levels:
    """Decide on levels for a calibration set of ``images`` images."""
    asked = options.optimization_level
    level = DEFAULT_LEVEL if asked is None else asked
    compression = options.compression_level or 0
    lines: list[tuple[str, str]] = []
    if asked is None:
        lines.append(("info", f"Using default optimization level of {DEFAULT_LEVEL}"))
    few = images < FULL_IMAGES
    if (asked is not None and asked < 2) or (gpu and (not few or asked is not None)):
        return Levels(asked, level, compression, tuple(lines))
    data = f"there's less data than the recommended amount ({FULL_IMAGES})"
    if gpu:
        lines.append(("warning", f"Reducing optimization level to 1 because {data}"))
        return Levels(asked, 1, compression, tuple(lines))
    why = f"{data}, and there's no available GPU" if few else "there's no available GPU"
    lines.append(
        (
            "warning",
            (
                "Reducing optimization level to 0 (the accuracy won't be optimized and "
                f"compression won't be used) because {why}"
            ),
        )
    )
    return Levels(asked, 0, 0, tuple(lines))
