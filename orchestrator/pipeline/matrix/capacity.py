"""How many builds fit on the machine that runs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.pipeline.matrix.schedule import Capacity

if TYPE_CHECKING:
    from orchestrator.pipeline.session import BuildSession

#: Of what is free now, the part that builds may plan with: other programs live here too.
SHARE = 0.9


def find_capacity(session: BuildSession, jobs: int | None) -> Capacity:
    """Return the slots: as many as asked for (``--jobs``, ``matrix: jobs:``), else by the cores.

    A compiler uses several cores at times and one at others; half of them as slots keeps a
    machine busy. Memory is that of this machine; another machine's engine knows its own.
    """
    asked = jobs or session.workspace.file.matrix.jobs
    engine = session.settings.text("engine") or "auto"
    away = "://" in engine or engine in session.workspace.file.engines
    slots = asked or max(1, (os.cpu_count() or 1) // 2)
    return Capacity(slots, None if away else free_memory())


def free_memory(proc: Path = Path("/proc/meminfo")) -> int | None:
    """Return the bytes that builds may take on this machine, ``None`` if the system hides it."""
    try:
        for line in proc.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(int(value.split()[0]) * 1024 * SHARE)
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform == "win32":
        return None
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * SHARE)
    except (ValueError, OSError):
        return None
