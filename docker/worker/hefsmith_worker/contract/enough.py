"""Whether there are as many pictures as an optimisation level works with."""

from __future__ import annotations

from typing import Optional

from hefsmith_worker.contract.findings import WARNING, Finding
from hefsmith_worker.contract.options import DEFAULT_LEVEL, FINE_TUNE_LEVEL, IMAGES_OF_LEVEL


def too_few(level: Optional[int], used: int) -> Optional[Finding]:
    """Return what is wrong with ``used`` pictures for a level; ``None`` is the default level."""
    named = DEFAULT_LEVEL if level is None else level
    wanted = IMAGES_OF_LEVEL[named]
    if used >= wanted:
        return None
    if named < FINE_TUNE_LEVEL:
        effect = "ranges become a guess"
    elif level is None:
        effect = "the compiler lowers its default level to 1, or to 0 without a GPU"
    else:
        effect = "it is trained on them all the same, and can end worse than untrained"
    return Finding(
        "calib.count.level",
        WARNING,
        f"optimisation level {named} works with {wanted} images and gets {used}: {effect}",
        f"Provide {wanted} images, or ask for a lower optimization.level.",
        str(wanted),
        str(used),
    )
