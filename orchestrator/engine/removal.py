"""What a build leaves on an engine, and its removal; nothing here fails for want of an engine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from orchestrator import files
from orchestrator.engine.failures import all_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.engine.base import BuildRecord
    from orchestrator.engine.client import Connection


def remove_container(connection: Connection, record: BuildRecord) -> bool:
    """Remove a build's container, its volume of results and what was staged for it.

    Tells whether the engine's part is gone.
    """
    discard_staged(record)
    return remove_named(connection, record.container, record.volume)


def discard_staged(record: BuildRecord) -> None:
    """Remove the inputs that were laid out for one build."""
    if record.staged is not None:
        files.remove_tree(record.staged)


def remove_named(connection: Connection, container: str, volume: str | None = None) -> bool:
    """Remove a container and a volume; tell whether they are gone."""
    import docker.errors

    try:
        api = connection.api
        with contextlib.suppress(docker.errors.NotFound):
            api.remove_container(container, force=True, v=True)
        if volume is not None:
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_volume(volume, force=True)
    except all_errors():
        return False
    return True


def undisturbed(act: Callable[[], object]) -> None:
    """Run ``act`` to its end although the user presses Ctrl-C again (up to three times)."""
    for _ in range(3):
        try:
            act()
        except KeyboardInterrupt:
            continue
        return
