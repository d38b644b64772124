"""What a release consists of, and what has to be sent of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestrator.device.agent.store import RECORD, release_id
from orchestrator.device.base import FileFate, Release
from orchestrator.device.files import file_digest
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.device.replies import There

LABELS = "labels.txt"
PREPROCESSING = "preprocessing.json"
DECODER = "decoder.json"
MANIFEST = "manifest.json"

#: Room that stays free on the device beside what is sent, in bytes.
MARGIN = 16 << 20


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file of a release."""

    name: str
    sha256: str
    bytes: int
    path: Path

    def to_record(self) -> dict[str, object]:
        """Return what the device keeps of it."""
        return {"name": self.name, "sha256": self.sha256, "bytes": self.bytes}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A release with its digests; ``id`` names all of its contents."""

    release: Release
    files: tuple[FileEntry, ...]

    @property
    def record(self) -> dict[str, object]:
        """The record that the device keeps beside the files; its digest is the id."""
        return {
            "schema": 1,
            "model": self.release.model,
            "arch": self.release.arch,
            "hef": self.release.hef,
            "files": [entry.to_record() for entry in self.files],
        }

    @property
    def id(self) -> str:
        """The sha256 of the record."""
        return release_id(self.record)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.bytes for entry in self.files)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What one file still needs: nothing, or its bytes from ``offset`` on."""

    entry: FileEntry
    fate: FileFate
    offset: int = 0
    arrived: bool = False
    """All of it is there and has been compared; nothing to do."""

    @property
    def to_send(self) -> int:
        """Bytes that must travel."""
        return 0 if self.arrived else self.entry.bytes - self.offset


def write_release(
    folder: Path,
    *,
    model: str,
    arch: str,
    hef: Path,
    manifest: Path | None = None,
    labels: Sequence[str] = (),
    preprocessing: Mapping[str, Any] | None = None,
    decoder: Mapping[str, Any] | None = None,
) -> Release:
    """Put together a release: small files are written to ``folder``, large ones referred to.

    The same arguments give the same bytes, so that an unchanged build is an unchanged release.
    """
    files: dict[str, Path] = {hef.name: hef}
    if manifest is not None:
        files[MANIFEST] = manifest
    texts = {
        LABELS: "".join(f"{label}\n" for label in labels),
        PREPROCESSING: _json(preprocessing) if preprocessing is not None else "",
        DECODER: _json(decoder) if decoder is not None else "",
    }
    for name, text in texts.items():
        if text:
            path = folder / name
            write_atomic(path, text)
            files[name] = path
    return Release(model=model, arch=arch, hef=hef.name, files=files)


def list_release(release: Release) -> Listing:
    """Read the digests of a release's files; every name must be a plain file name."""
    if release.hef not in release.files:
        msg = f"the release of {release.model} names {release.hef} as its HEF, but lacks it"
        raise ConfigError(msg)
    for name in release.files:
        if name in ("", ".", "..", RECORD) or name[0] == "-" or any(c in name for c in "/\\\0"):
            msg = f"{escape_control(name)!r} cannot be a file name of a release"
            raise ConfigError(msg)
    entries = []
    for name, path in sorted(release.files.items()):
        digest, size = file_digest(path)
        entries.append(FileEntry(name=name, sha256=digest, bytes=size, path=path))
    return Listing(release=release, files=tuple(entries))


def plan_upload(entry: FileEntry, there: There, release: str) -> Upload:
    """Decide about one file from what the device says it has.

    A part is continued only when the same number of bytes here has the same digest: its length
    alone proves nothing.
    """
    if there.whole:
        folder = PurePosixPath(there.whole.replace("\\", "/")).parent.name
        fates: dict[str, FileFate] = {release: "kept", "incoming": "resumed"}
        return Upload(entry=entry, fate=fates.get(folder, "linked"), arrived=True)
    if 0 < there.offset <= entry.bytes:
        prefix, length = file_digest(entry.path, there.offset)
        if length == there.offset and prefix == there.prefix:
            return Upload(entry=entry, fate="resumed", offset=there.offset)
    return Upload(entry=entry, fate="sent")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
