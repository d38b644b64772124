"""Ship a release, go back to the one before, look at what is there.

The device's folder is changed by the agent under a lock (``agent/store.py``); this module
decides what has to be sent and tells how it goes on.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.device.address import device_word
from orchestrator.device.base import Release, ShippedFile, ShipResult
from orchestrator.device.faults import DeviceMisbehaves
from orchestrator.device.preflight import check_hef, check_room
from orchestrator.device.release import Listing, Upload, list_release, plan_upload
from orchestrator.device.replies import (
    ACTIVATE,
    CLOSE,
    HAVE,
    OPEN,
    PEEK,
    PRUNE,
    PUBLISH,
    RECEIVE,
    ROLLBACK,
    VERIFY,
    StoreState,
)
from orchestrator.device.session import CARD_RATE
from orchestrator.errors import DeviceError, escape_control

if TYPE_CHECKING:
    from orchestrator.device.session import SshSession

KEEP_RELEASES = 5

#: How long a second ship waits for the first before it gives up, in seconds.
LOCK_SECONDS = 25.0

Step = Literal["checking", "locking", "sending", "publishing", "switching", "pruning", "done"]


@dataclass(frozen=True, kw_only=True)
class ShipEvent:
    """Where a ship is; ``done`` and ``total`` are bytes of all files that must be sent."""

    device: str
    step: Step
    done: int = 0
    total: int = 0
    file: str = ""


ShipWatcher = Callable[[ShipEvent], None]


@dataclass(frozen=True, kw_only=True)
class RollbackResult:
    """What a rollback did: the release that was current, and the one that is now."""

    device: str
    model: str
    release: str
    previous: str | None
    folder: str

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``--json``."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What is on a device for one model, seen without changing anything."""

    current: str | None
    history: tuple[str, ...]
    folder: str


def ship(
    session: SshSession,
    release: Release,
    *,
    keep: int = KEEP_RELEASES,
    wait: float = LOCK_SECONDS,
    watch: ShipWatcher | None = None,
    listing: Listing | None = None,
) -> ShipResult:
    """Bring a release to a device and make it the current one there.

    ``listing`` is that of the release, where it was made before: for many devices its files are
    read once.
    Nothing is sent when the HEF would not run there, the folder is not ours or the room is too
    small. Killed or cut at any moment, the device's ``current`` is whole, and the next call
    goes on from what had arrived.
    """
    started = time.monotonic()
    name = session.spec.name
    tell = _teller(name, watch)
    tell("checking")
    listing = listing or list_release(release)
    identity = session.identify(level="quick")
    hef = release.files[release.hef]
    emulated, warnings = check_hef(name, hef, identity)
    tell("locking")
    with _opened(session, release.model, wait) as state:
        before = state.current
        reading = listing.total_bytes / CARD_RATE
        if before == listing.id and _is_whole(session, listing):
            files = [
                _shipped(Upload(entry=entry, fate="kept", arrived=True)) for entry in listing.files
            ]
            removed: list[str] = []
        else:
            files = _send_files(session, listing, state.disk_free, tell)
            tell("publishing")
            session.ask(PUBLISH, seconds=2 * reading, record=listing.record)
            tell("switching")
            session.ask(ACTIVATE, seconds=reading, release=listing.id)
            tell("pruning")
            removed = list(session.ask(PRUNE, keep=keep).removed)
    tell("done")
    return ShipResult(
        device=name,
        model=release.model,
        release=listing.id,
        previous=before if before != listing.id else None,
        changed=before != listing.id,
        folder=f"{state.folder}/current",
        files=tuple(files),
        sent_bytes=sum(file.sent_bytes for file in files),
        total_bytes=listing.total_bytes,
        seconds=time.monotonic() - started,
        emulated=emulated,
        removed=tuple(removed),
        warnings=warnings,
    )


def rollback(session: SshSession, model: str) -> RollbackResult:
    """Go back to the release before the current one, in one rename; its files are checked first."""
    # Opened, the folder of a model would be made there for a name that is only misspelt.
    if not (there := look(session, model)).current and not there.history:
        device = session.spec.name
        msg = f"{escape_control(device)}: {escape_control(model)} was never shipped there"
        hint = f"hef ship {escape_control(model)} --device {device_word(device)}"
        raise DeviceError(msg, hint=hint, code="device.no_release")
    with _opened(session, model, LOCK_SECONDS) as state:
        answer = session.ask(ROLLBACK)
    return RollbackResult(
        device=session.spec.name,
        model=model,
        release=answer.release,
        previous=answer.previous,
        folder=f"{state.folder}/current",
    )


def look(session: SshSession, model: str) -> Shelf:
    """Return what a device has of a model; takes no lock."""
    state = session.ask(PEEK, model=model)
    return Shelf(current=state.current, history=state.history, folder=state.folder)


def _is_whole(session: SshSession, listing: Listing) -> bool:
    reading = listing.total_bytes / CARD_RATE
    return session.ask(VERIFY, seconds=reading, release=listing.id).wrong is None


def _send_files(
    session: SshSession, listing: Listing, free: int | None, tell: Callable[..., None]
) -> list[ShippedFile]:
    wanted = [entry.to_record() for entry in listing.files]
    asked = session.ask(HAVE, seconds=2 * listing.total_bytes / CARD_RATE, files=wanted)
    if len(asked.files) != len(wanted):
        msg = f"{session.spec.name}: asked about {len(wanted)} files, told about {len(asked.files)}"
        raise DeviceMisbehaves(msg)
    uploads = [
        plan_upload(entry, there, listing.id)
        for entry, there in zip(listing.files, asked.files, strict=True)
    ]
    check_room(session.spec.name, uploads, free)
    total, done = sum(upload.to_send for upload in uploads), 0
    for upload in uploads:
        if not upload.arrived:
            _send_file(session, upload, tell, done, total)
            done += upload.to_send
    return [_shipped(upload) for upload in uploads]


def _send_file(
    session: SshSession, upload: Upload, tell: Callable[..., None], done: int, total: int
) -> None:
    entry = upload.entry
    tell("sending", done=done, total=total, file=entry.name)

    def progress(here: int, _: int) -> None:
        tell("sending", done=done + here - upload.offset, total=total, file=entry.name)

    start = upload.offset
    for attempt in (1, 2):
        try:
            session.upload(
                RECEIVE, entry.path, start, entry.bytes, progress,
                sha256=entry.sha256, size=entry.bytes, offset=start,
            )  # fmt: skip
        except DeviceError as error:
            # A card or a file that changed under us: once more from the start, then give up.
            if error.code != "device.digest" or attempt == 2:
                raise
            start = 0
        else:
            return


def _shipped(upload: Upload) -> ShippedFile:
    return ShippedFile(
        name=upload.entry.name,
        sha256=upload.entry.sha256,
        bytes=upload.entry.bytes,
        fate=upload.fate,
        sent_bytes=upload.to_send,
    )


@contextmanager
def _opened(session: SshSession, model: str, wait: float) -> Iterator[StoreState]:
    """Hold the device's lock of one model."""
    who = f"{_user()}@{platform.node()}, process {os.getpid()}"
    state = session.ask(OPEN, seconds=wait, model=model, wait=wait, who={"who": who})
    try:
        yield state
    finally:
        with suppress(DeviceError):
            session.ask(CLOSE)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def _teller(device: str, watch: ShipWatcher | None) -> Callable[..., None]:
    def tell(step: Step, *, done: int = 0, total: int = 0, file: str = "") -> None:
        if watch is not None:
            watch(ShipEvent(device=device, step=step, done=done, total=total, file=file))

    return tell
