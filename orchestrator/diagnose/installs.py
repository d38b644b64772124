"""Notes where an installation or a build stopped for a reason that nothing in the list knows.

What it would have brought is not there afterwards, and the lines that say so are no causes: a
command that is not found, a module, an element, a driver.
"""

from __future__ import annotations

import re

from orchestrator.diagnose.catalogue import having

#: How apt, dpkg, pip, uv, CMake, make, BuildKit and shell scripts begin the line at which they end.
_STOPS = re.compile(
    r"(?:E: |dpkg: error|error: |ERROR: |CMake Error|failed to solve: |make(?:\[\d+\])?: \*\*\* "
    r"|\S+\.sh: (?:line )?\d+: |fatal: )"
)
#: One of these is in each such line.
STOPS = ("E: ", "rror: ", "ERROR: ", "CMake Error", "failed to solve: ", "*** ", ".sh: ", "fatal: ")


class Installs:
    """Takes in lines that show nothing of the list; tells which one stopped an installation."""

    def __init__(self) -> None:
        self._stopped: list[int] = []

    def feed(self, number: int, bare: str) -> None:
        """Take in one line (without prefix) that sounds bad and that nothing in the list knows."""
        if _STOPS.match(bare):
            self._stopped = [*self._stopped[-63:], number]

    def before(self, entry: str, number: int) -> int | None:
        """Return the line at which an installation stopped before line ``number``, where
        ``entry`` (an id) misses there what it may have brought."""
        if entry not in having("brought"):
            return None
        return next((line for line in reversed(self._stopped) if line < number), None)
