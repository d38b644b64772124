"""Named volumes for engines that cannot see our files: inputs by content, one for the results.

An input's volume is named by its digest and sent once. Since a volume cannot be renamed when
it is whole, an empty second volume beside it says so; without that one it is sent again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors
from docker.types import Mount as SdkMount

from orchestrator.engine.base import WORK, Job, Report
from orchestrator.engine.box import LABEL, VOLUMES
from orchestrator.engine.context import LEFT_BEHIND
from orchestrator.engine.transfer import ArchiveMember, digest_tree, list_tree, pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker import APIClient

PREFIX = "hefsmith-data-"
WHOLE = "-whole"

#: Inputs that nobody sent again for so long are removed, in seconds: 14 days.
KEPT_FOR = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Parcel:
    """What must be in a volume before a job starts; ``what`` names it in progress."""

    volume: str
    entries: tuple[ArchiveMember, ...]
    what: str


def plan_parcels(job: Job, worker: Path) -> tuple[dict[str, str], tuple[Parcel, ...]]:
    """Return the volumes of a job (``worker`` and ``in/<name>``) and what they must hold."""
    code = tuple(
        entry
        for entry in list_tree(worker, prefix="hefsmith_worker")
        if not LEFT_BEHIND.search(entry.name.removeprefix("hefsmith_worker"))
    )
    name = f"{PREFIX}{_digest_code(code)[:24]}"
    volumes = {"worker": name}
    parcels = {name: Parcel(name, code, "sending the worker")}
    for one in job.inputs:
        digest = one.digest or digest_tree(one.path)
        name = f"{PREFIX}{digest.removeprefix('sha256:')[:24]}"
        volumes[f"in/{one.name}"] = name
        if name not in parcels:
            entries = list_tree(one.path, prefix="data", lenient=True)
            parcels[name] = Parcel(name, entries, f"sending {one.name}")
    return volumes, tuple(parcels.values())


def _digest_code(entries: tuple[ArchiveMember, ...]) -> str:
    import hashlib

    total = hashlib.sha256(b"hefsmith worker 1\n")
    for entry in entries:
        if not entry.folder:
            total.update(f"{digest_tree(entry.path)} {entry.name}\n".encode())
    return total.hexdigest()


def is_whole(api: APIClient, volume: str) -> bool:
    """Tell whether the engine has ``volume`` with all its content."""
    try:
        api.inspect_volume(volume + WHOLE)
        api.inspect_volume(volume)
    except docker.errors.NotFound:
        return False
    return True


def send(
    api: APIClient,
    image: str,
    parcels: Sequence[Parcel],
    *,
    work: str | None,
    name: str,
    uid: int,
    gid: int,
    labels: Mapping[str, str],
    report: Report,
) -> None:
    """Fill the volumes of ``parcels``, say that they are whole, and hand ``work`` to the user.

    The engine writes into a volume through a container that mounts it and may write; the job's
    own may not. This one never starts. What a broken upload left is written over.
    """
    owned = work if uid or gid else None
    if not parcels and owned is None:
        return
    labels = {**labels, f"{LABEL}.data": "1"}
    for parcel in parcels:
        api.create_volume(parcel.volume, labels=labels)
    mounted = [*(one.volume for one in parcels), *([owned] if owned else [])]
    mounts = [SdkMount(str(VOLUMES / one), one, type="volume") for one in mounted]
    config = api.create_container_config(
        image=image,
        command=["true"],
        entrypoint=[],
        labels={name: value for name, value in labels.items() if name != f"{LABEL}.data"},
        host_config=api.create_host_config(mounts=mounts, network_mode="none"),
    )
    api.create_container_from_config(config, name)
    try:
        for parcel in parcels:
            stream = pack(parcel.entries, uid=uid, gid=gid, what=parcel.what, report=report)
            api.put_archive(name, str(VOLUMES / parcel.volume), stream)
            api.create_volume(parcel.volume + WHOLE, labels=labels)
        if owned is not None:
            # A new volume is root's, and an archive's own root keeps its owner: so from above.
            top = ArchiveMember(owned, Path(), folder=True, size=0)
            api.put_archive(name, str(VOLUMES), pack([top], uid=uid, gid=gid))
    finally:
        api.remove_container(name, force=True)


def send_work(
    api: APIClient, container: str, work: Path, *, uid: int, gid: int, report: Report
) -> None:
    """Put the build folder's content into ``/hefsmith/work``, which then belongs to the user."""
    entries = list_tree(work, prefix=".")
    named = [replace(one, name=one.name.removeprefix("./") or ".") for one in entries]
    stream = pack(named, uid=uid, gid=gid, what="sending the build folder", report=report)
    api.put_archive(container, str(WORK), stream)


def choose_old(
    api: APIClient,
    labels: Mapping[str, str],
    *,
    kept_for: float = KEPT_FOR,
    now: float | None = None,
) -> tuple[str, ...]:
    """Return the volumes of inputs that were sent over ``kept_for`` seconds ago by this owner."""
    wanted = [f"{name}={value}" for name, value in labels.items()] + [f"{LABEL}.data"]
    listed = api.volumes(filters={"label": wanted}).get("Volumes") or []
    return tuple(
        str(volume["Name"]).removesuffix(WHOLE)
        for volume in listed
        if str(volume["Name"]).endswith(WHOLE)
        and age(str(volume.get("CreatedAt") or ""), now) >= kept_for
    )


def remove_old(
    api: APIClient,
    labels: Mapping[str, str],
    *,
    kept_for: float = KEPT_FOR,
    now: float | None = None,
) -> tuple[str, ...]:
    """Remove what :func:`choose_old` finds, and return what is gone; volumes in use stay."""
    removed = []
    for name in choose_old(api, labels, kept_for=kept_for, now=now):
        try:
            # First the mark, so that what is left of a failure counts as not whole.
            api.remove_volume(name + WHOLE)
            api.remove_volume(name)
            removed.append(name)
        except docker.errors.APIError:
            continue
    return tuple(removed)


def age(created: str, now: float | None = None) -> float:
    """Return the seconds since an RFC 3339 time; 0 for what cannot be read."""
    text = created.replace("Z", "+00:00")
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    if then.tzinfo is None:
        return 0.0
    return (time.time() if now is None else now) - then.timestamp()
