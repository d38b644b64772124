"""What a stage needs of the machine that it runs on: builds side by side must not starve it.

``suite``: the vendor's own check asks for 16 GB for its compiler. ``emulator``: estimates
for models of this project's size; a large network takes more. A project that knows better says
so in ``limits.memory`` of its ``hef.yaml``, which counts instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

MIB = 1 << 20


@dataclass(frozen=True)
class Need:
    """Bytes of memory that a stage takes, with each kind of toolchain."""

    suite: int
    emulator: int


#: A stage that has no row takes what the least known one takes.
OTHER = Need(suite=4096 * MIB, emulator=1024 * MIB)

NEEDS: Mapping[str, Need] = {
    "export": Need(suite=2048 * MIB, emulator=1024 * MIB),
    "calibrate": Need(suite=1024 * MIB, emulator=512 * MIB),
    "parse": Need(suite=4096 * MIB, emulator=768 * MIB),
    "optimize": Need(suite=16384 * MIB, emulator=1536 * MIB),
    "compile": Need(suite=16384 * MIB, emulator=768 * MIB),
    "evaluate": Need(suite=8192 * MIB, emulator=1024 * MIB),
}


def memory_for(stages: Sequence[str], emulated: bool) -> int:
    """Return the bytes that a job needs which runs these stages, one after the other."""
    found = [NEEDS.get(stage, OTHER) for stage in stages]
    return max((need.emulator if emulated else need.suite for need in found), default=0)
