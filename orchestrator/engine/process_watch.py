"""Sees the end of a container's first process, where the engine and we share a kernel.

An engine notes the end of a container when it has taken down its control groups and mounts: on
cgroup v1, after a job with a gigabyte of files, a second later. The kernel ends every process of
a container before its first one is gone, so from that moment nothing in it can write any more.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path


class ProcessWatch:
    """Watches one process; :meth:`close` must be called."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def gone(self, seconds: float) -> bool:
        """Tell whether the process has ended, now or in so many seconds."""
        if self._descriptor < 0 or sys.platform == "win32":
            return False
        polling = select.poll()
        polling.register(self._descriptor, select.POLLIN)
        return bool(polling.poll(seconds * 1000))

    def close(self) -> None:
        """Let go of the process."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def watch(container: str, pid: int) -> ProcessWatch | None:
    """Return a watch on the process that runs as ``pid`` in a container (its full id).

    ``None`` where that number does not stand for a process of that container here: the engine
    is in a virtual machine or far away, or the system has no such descriptors.
    """
    if pid <= 0 or not container or not hasattr(os, "pidfd_open"):
        return None
    try:
        watched = ProcessWatch(os.pidfd_open(pid))
    except OSError:
        return None
    with contextlib.suppress(OSError):
        # Looked at while the descriptor is held: the number cannot mean another process now.
        if container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
            return watched
    watched.close()
    return None
