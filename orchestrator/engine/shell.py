"""The command line that opens a shell in the box; a terminal needs Docker's own client."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from orchestrator.engine.base import Box, Input, Job
from orchestrator.engine.box import shell_line

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.engine.docker import DockerEngine


def plan_shell(
    engine: DockerEngine,
    image: str,
    command: tuple[str, ...],
    folder: Path | None,
    *,
    terminal: bool,
    limits: Box | None = None,
) -> tuple[str, ...]:
    """Return the words of ``docker run``; ``folder`` is readable as ``/hefsmith/in/model``."""
    from pathlib import Path

    inputs = (Input("model", folder),) if folder is not None else ()
    argv = command or ("bash",)
    job = Job("shell", image, argv, Path("/nowhere"), inputs=inputs, limits=limits or Box())
    spec = engine.plan_bare(job)
    words = shlex.split(shell_line(spec))
    address = engine.connection.address
    if terminal:
        words.insert(words.index("-i") + 1, "-t")
    return (words[0], "-H", address.url, *words[1:])
