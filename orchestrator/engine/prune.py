"""Room on an engine: our own old images, inputs that were sent, what killed runs left.

Our images are tagged by the digest of their files, so that each new version leaves the last one
behind. Touched is only what carries our owner's label; what a container uses stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engine import images, volumes
from orchestrator.engine.box import LABEL
from orchestrator.engine.client import lost_errors
from orchestrator.engine.orphans import remove_orphans
from orchestrator.engine.owner import owner_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from orchestrator.engine.client import Connection

#: Repositories whose tags are digests; the user's own suite images are none of them.
OURS = (images.EMULATOR, f"{images.EMULATOR}-runtime", images.PI)

#: Age from which inputs are removed, in seconds: younger ones may be on their way to a build.
RECENT = 3600.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed (or would be): names of images and volumes, and orphaned containers.

    ``bytes`` is the size of the images; layers that they shared with others count in full.
    """

    images: tuple[str, ...]
    volumes: tuple[str, ...]
    containers: int
    bytes: int


def choose_images(
    listed: Iterable[Any], *, owner: str, current: Collection[str], used: Collection[str]
) -> dict[str, int]:
    """Return the tags (or ids, if untagged) of our old images and their sizes in bytes.

    ``listed`` is the engine's list (JSON), ``current`` the tags of this installation, ``used``
    the ids of images that containers are made from.
    """
    chosen: dict[str, int] = {}
    for one in listed:
        labels = one.get("Labels") or {}
        if labels.get(f"{LABEL}.owner") != owner or f"{LABEL}.built" not in labels:
            continue
        tags = [tag for tag in one.get("RepoTags") or () if tag != "<none>:<none>"]
        ours = all(tag.rpartition(":")[0].removeprefix("localhost/") in OURS for tag in tags)
        kept = any(tag.removeprefix("localhost/") in current for tag in tags)
        if ours and not kept and one["Id"] not in used:
            size = int(one.get("Size") or 0)
            chosen.update({name: size // max(len(tags), 1) for name in tags or [str(one["Id"])]})
    return chosen


def prune(connection: Connection, *, dry_run: bool = False) -> Pruned:
    """Remove our old images, inputs sent more than an hour ago, and orphans.

    What turns out to be in use stays. Raises :class:`EngineError` when the engine is away.
    """
    owner = owner_id()
    plan = images.plan_emulator()
    current = {plan.tag, plan.runtime_tag, images.plan_pi()[0]}
    with connection.calls("making room"):
        api = connection.api
        orphans = 0 if dry_run else remove_orphans(connection)
        used = {one["ImageID"] for one in api.containers(all=True)}
        listed = api.images(filters={"label": f"{LABEL}.owner={owner}"})
        chosen = choose_images(listed, owner=owner, current=current, used=used)
        # What stands on a runtime image goes first.
        names = sorted(chosen, key=lambda name: "-runtime:" in name)
        removed = [name for name in names if dry_run or _removes_image(api, name)]
        mine = {f"{LABEL}.owner": owner}
        if dry_run:
            gone = volumes.choose_old(api, mine, kept_for=RECENT)
        else:
            gone = volumes.remove_old(api, mine, kept_for=RECENT)
    return Pruned(tuple(removed), gone, orphans, sum(chosen[name] for name in removed))


def _removes_image(api: Any, name: str) -> bool:
    import docker.errors

    try:
        api.remove_image(name)
    except docker.errors.APIError:
        # Another image stands on it, or somebody started a container from it just now.
        return False
    except lost_errors():
        raise
    return True
