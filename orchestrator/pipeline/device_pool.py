"""The process's connections to devices; the embedded one runs where its libraries are.

A base installation has none of the emulator's libraries, the image of the Docker engine has: there
the programs of the embedded device run in a container, as builds do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.device.boxed import Carrier
    from orchestrator.device.connection_pool import ConnectionPool
    from orchestrator.pipeline.observer import Observer
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace


def open_pool(
    workspace: Workspace | None = None,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> ConnectionPool:
    """Return the process's pool; asks no engine before the embedded device is used.

    The settings say which engine; without them those of the current folder do.
    """
    from orchestrator.device.connection_pool import default_pool
    from orchestrator.installation import missing_modules

    pool = default_pool()
    if pool.box is None and missing_modules():
        pool.box = _Boxes(workspace, settings, observer)
    return pool


@dataclass(frozen=True)
class _Boxes:
    """Starts programs of the embedded device on the engine that builds run on."""

    workspace: Workspace | None
    settings: Settings | None
    observer: Observer | None
    _engines: list[object] = field(default_factory=list)

    def __call__(self, program: str, env: Mapping[str, str], /) -> Carrier:
        from orchestrator.engine.base import PYTHON
        from orchestrator.installation import install_command
        from orchestrator.pipeline.observer import Silent
        from orchestrator.pipeline.targets import open_engine
        from orchestrator.project.settings import resolve
        from orchestrator.project.workspace import open_workspace

        workspace = self.workspace or open_workspace()
        settings = self.settings or resolve(workspace)
        observer = self.observer or Silent()
        engine = open_engine(settings, workspace, Silent())
        image = engine.ready_image("emulator")
        if image is None:
            observer.note("building the emulator's image for the embedded device; once, minutes")
            image = engine.ensure_image("emulator")
        carrier = engine.open_program(image.id, (PYTHON, "-c", program), env)
        if carrier is None:
            msg = "the embedded device needs the emulator's libraries, which are not installed"
            raise EngineError(msg, hint=install_command("emulator"), code="install.extra")
        # The connection of the engine lives as long as the program.
        self._engines.append(engine)
        return carrier
