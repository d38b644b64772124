"""Room on an engine: our own old images, inputs that were sent, what killed runs left.

Our images are tagged by the digest of their files, so that each new version leaves the last one
behind. Touched is only what carries our owner's label; what a container uses stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engine import images, packages, volumes
from orchestrator.engine.base import Pruned
from orchestrator.engine.box import LABEL
from orchestrator.engine.failures import lost_errors
from orchestrator.engine.orphans import remove_orphans
from orchestrator.engine.owner import owner_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from orchestrator.engine.client import Connection

#: Repositories whose tags are digests of all that is in the image.
VERSIONED = (images.EMULATOR, f"{images.EMULATOR}-runtime", images.PI)

#: Layers on top of another image; the user's own suite images are none of them.
LAYERED = (packages.EXPORT, images.SUITE_EXPORT)

#: Age from which inputs are removed, in seconds: younger ones may be on their way to a build.
RECENT = 3600.0

#: What a removed image stood on goes in the next round. With containerd's image store each step
#: of a build shows up by itself when the step after it is gone; no build of ours has so many.
ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Needed:
    """What must stay: ``tags`` of this version, ``ids`` of images that something refers to.

    An export layer stays with the image that it was made for, if that is one of ``ids``.
    """

    tags: Collection[str] = ()
    ids: Collection[str] = ()
    used: Collection[str] = ()


def choose_images(
    listed: Iterable[Any], *, owner: str, needed: Needed, leftovers: Collection[str] = ()
) -> dict[str, int]:
    """Return the tags (or ids, if untagged) of our old images and their sizes in bytes.

    ``listed`` is the engine's list (JSON), ``leftovers`` the ids of untagged images that are
    known to be ours, see :func:`is_leftover`.
    """
    chosen: dict[str, int] = {}
    for one in listed:
        labels = one.get("Labels") or {}
        if labels.get(f"{LABEL}.owner") != owner or one["Id"] in {*needed.used, *needed.ids}:
            continue
        tags = real_tags(one)
        if not (_is_old(tags, labels, needed) if tags else one["Id"] in leftovers):
            continue
        size = int(one.get("Size") or 0)
        chosen.update({name: size // max(len(tags), 1) for name in tags or [str(one["Id"])]})
    return chosen


def _is_old(tags: Sequence[str], labels: Any, needed: Needed) -> bool:
    """Tell whether an image has no names but ours, and none that anybody will ask for again."""
    plain = [tag.removeprefix("localhost/") for tag in tags]
    names = {tag.rpartition(":")[0] for tag in plain}
    if f"{LABEL}.built" not in labels or any(tag in needed.tags for tag in plain):
        return False
    if names <= {packages.EXPORT}:
        return labels.get(f"{LABEL}.base") not in needed.ids
    return names <= {*VERSIONED, *LAYERED}


def real_tags(listed: Any) -> list[str]:
    """Return the tags of an image as the engine lists it."""
    return [tag for tag in listed.get("RepoTags") or () if tag != "<none>:<none>"]


def is_leftover(history: Iterable[str]) -> bool:
    """Tell whether an untagged image was left by a build of ours: a stage, or a failed one.

    ``history`` are the steps that made it, newest first. Labels alone do not tell: whoever
    builds on top of our image inherits them.
    """
    for number, step in enumerate(history):
        if f"{LABEL}.stage" in step:
            return True
        if f"{LABEL}." in step:
            # Our finished image, if nothing was done to it afterwards.
            return number == 0
    return False


def prune(connection: Connection, *, keep: Collection[str] = (), dry_run: bool = False) -> Pruned:
    """Remove our old images, inputs sent more than an hour ago, and orphans.

    ``keep`` are the ids of images that toolchains refer to. What turns out to be in use stays.
    Raises :class:`EngineError` when the engine is away.
    """
    owner = owner_id()
    plan = images.plan_emulator()
    tags = {plan.tag, plan.runtime_tag, images.plan_pi()[0]}
    found = [image for tag in tags if (image := images.find(connection, tag)) is not None]
    ids = {*keep, *(image.id for image in found)}
    with connection.calls("making room"):
        api = connection.api
        orphans = 0 if dry_run else remove_orphans(connection)
        removed: list[str] = []
        size = 0
        for number in range(ROUNDS):
            chosen = _choose(api, owner, tags, ids)
            # A layer goes before what it stands on, the runtime last.
            names = sorted(chosen, key=_rank)
            gone = [name for name in names if dry_run or _removes_image(api, name)]
            removed += gone
            if number == 0:
                size = sum(chosen[name] for name in gone)
            if dry_run or not gone:
                break
        mine = {f"{LABEL}.owner": owner}
        if dry_run:
            sent = volumes.choose_old(api, mine, kept_for=RECENT)
        else:
            sent = volumes.remove_old(api, mine, kept_for=RECENT)
    return Pruned(tuple(removed), sent, orphans, size)


def _choose(api: Any, owner: str, tags: Collection[str], ids: Collection[str]) -> dict[str, int]:
    used = {one["ImageID"] for one in api.containers(all=True)}
    listed = api.images(filters={"label": f"{LABEL}.owner={owner}"})
    leftovers = {
        str(one["Id"])
        for one in listed
        if not real_tags(one)
        and is_leftover(str(step.get("CreatedBy") or "") for step in api.history(one["Id"]))
    }
    needed = Needed(tags, ids, used)
    return choose_images(listed, owner=owner, needed=needed, leftovers=leftovers)


def _rank(name: str) -> int:
    repository = name.removeprefix("localhost/").rpartition(":")[0]
    if repository in LAYERED:
        return 0
    return 2 if repository.endswith("-runtime") else 1


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
