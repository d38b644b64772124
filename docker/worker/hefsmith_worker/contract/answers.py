"""Checks of the contact test whose answer a build uses: it takes the other form at once.

Apart from the list of what is used (``surface.py``): that one may grow without making a stage new.
"""

from __future__ import annotations

COMPILED_INFERENCE = "compiled-inference"
LEVEL_ONE = "level-1"


def nms_check(meta_arch: str) -> str:
    """Return the check for the one form of an NMS that no public script shows."""
    return "nms-" + meta_arch
