"""What killed runs left on an engine: found by our labels, removed at the next start.

Touched is only what carries our owner's label, was not detached, and belongs to a process that
is no more.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from orchestrator.engine import volumes
from orchestrator.engine.box import LABEL
from orchestrator.engine.failures import all_errors
from orchestrator.engine.owner import owner_id
from orchestrator.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.engine.client import Connection


def choose_orphans(
    containers: Iterable[Any], *, owner: str, alive: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the ids of orphans among containers as the engine lists them (JSON)."""
    chosen = []
    for one in containers:
        labels = one.get("Labels") or {}
        if labels.get(f"{LABEL}.owner") != owner or labels.get(f"{LABEL}.detached") != "0":
            continue
        process = labels.get(f"{LABEL}.process")
        if process and not alive(process):
            chosen.append(str(one["Id"]))
    return tuple(chosen)


def choose_orphan_volumes(
    listed: Iterable[Any],
    containers: Iterable[Any],
    *,
    owner: str,
    alive: Callable[[str], bool],
) -> tuple[str, ...]:
    """Return the names of volumes of results that no run waits for any more.

    A detached build's volume is one when its container is gone: somebody removed that by hand.
    """
    builds = {(one.get("Labels") or {}).get(f"{LABEL}.build") for one in containers}
    chosen = []
    for one in listed:
        labels = one.get("Labels") or {}
        build = labels.get(f"{LABEL}.work")
        if labels.get(f"{LABEL}.owner") != owner or build is None:
            continue
        process = labels.get(f"{LABEL}.process")
        if labels.get(f"{LABEL}.detached") == "1" and build in builds:
            continue
        if process and not alive(process):
            chosen.append(str(one["Name"]))
    return tuple(chosen)


def remove_orphans(connection: Connection) -> int:
    """Remove orphans of this user and return how many; trouble here never stops a build."""
    owner = owner_id()
    removed = 0
    with contextlib.suppress(*all_errors()):
        api = connection.api
        wanted = {"label": f"{LABEL}.owner={owner}"}
        found = api.containers(all=True, filters=wanted)
        for container in choose_orphans(found, owner=owner, alive=is_alive):
            with contextlib.suppress(*all_errors()):
                api.remove_container(container, force=True, v=True)
                removed += 1
        listed = api.volumes(filters=wanted).get("Volumes") or []
        # Asked again: a container that was removed just now no longer holds its volume.
        found = api.containers(all=True, filters=wanted)
        for volume in choose_orphan_volumes(listed, found, owner=owner, alive=is_alive):
            with contextlib.suppress(*all_errors()):
                api.remove_volume(volume, force=True)
        volumes.remove_old(api, {f"{LABEL}.owner": owner})
    return removed
