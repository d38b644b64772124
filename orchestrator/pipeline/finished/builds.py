"""Finished builds on disk: ``artifacts/<model>/<arch>/``, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import names
from hefsmith_worker.contract.findings import ContractError, Finding
from hefsmith_worker.contract.layout import DETACHED, GOLDEN, MANIFEST, REPORT, SUMMARY

from orchestrator import files
from orchestrator.errors import ArtifactError, ConfigError, escape_control
from orchestrator.pipeline import locks
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Ending of the folder, beside the one in which a build is put together, with copies of the
#: model's own code.
SOURCE_COPIES = ".sources"


@dataclass(frozen=True)
class Build:
    """One finished build: its folder and what ``build.json`` says of it."""

    folder: Path
    #: All of build.json: pages of it, where a notebook shows a result.
    summary: Mapping[str, Any] = field(repr=False)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.summary["model"])

    @property
    def arch(self) -> str:
        """Chip that it was compiled for."""
        return str(self.summary["arch"])

    @property
    def key(self) -> str:
        """Digest of everything that decided the build."""
        return str(self.summary["key"])

    @property
    def emulated(self) -> bool:
        """Whether the emulator compiled it."""
        return bool(self.summary["emulated"])

    @property
    def hef(self) -> Path:
        """The HEF."""
        return self.folder / str(self.summary["hef"])

    @property
    def hef_bytes(self) -> int | None:
        """Size of the HEF, ``None`` where none was compiled."""
        files = self.summary["files"]
        size = next((one.get("bytes") for one in files if one.get("role") == "hef"), None)
        return size if isinstance(size, int) else None

    @property
    def golden(self) -> Path:
        """Folder with the golden samples."""
        return self.folder / GOLDEN

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What its stages and the comparison of asked and ran found.

        Raises :class:`ArtifactError` where the summary holds something else.
        """
        try:
            return tuple(Finding.from_json(one) for one in self.summary.get("findings", ()))
        except ContractError as error:
            msg = f"{self.folder / SUMMARY} is damaged: {error}"
            raise ArtifactError(msg, hint="Build it again: hef build MODEL") from None

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / REPORT

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, empty when the recipe has none."""
        return tuple(self.summary.get("labels", ()))

    @property
    def thresholds(self) -> Mapping[str, Any]:
        """What the recipe demands of the verdict."""
        found: Mapping[str, Any] = self.summary.get("thresholds", {})
        return found

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """The recipe's preprocessing, ``shared`` or ``by_input``."""
        found: Mapping[str, Any] = self.summary.get("preprocessing", {})
        return found

    def manifest(self) -> Mapping[str, Any]:
        """Return the in-toto statement."""
        found: Mapping[str, Any] = read_json(self.folder / MANIFEST)
        return found


def read_build(folder: Path) -> Build | None:
    """Return the build in a folder, ``None`` when there is none; its files are not looked at."""
    try:
        summary = read_json(folder / SUMMARY)
        build = Build(folder, summary)
        # The rest is whoever uses it to check: ``orchestrator.pipeline.finished.soundness``.
        if not all(entry["sha256"] and entry["path"] for entry in summary["files"]):
            return None
        # A clone may come with builds: what they call themselves and their files names folders.
        words = [summary[key] for key in ("model", "arch", "hef") if key in summary]
        paths = [*words, *(entry["path"] for entry in summary["files"])]
        if any(names.fault(one) is not None for one in paths) or "/" in "".join(words):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return build


def builds_in(folder: Path) -> list[Build]:
    """Return the finished builds in a model's folder, by the names of theirs."""
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [read_build(one) for one in places if one.is_dir() and not one.name.startswith(".")]
    return [build for build in found if build is not None]


def find_build(artifacts: Path, model: str, arch: str | None = None) -> Build:
    """Return the finished build of a model; ``arch`` may be left out when there is one.

    Raises :class:`ConfigError` when there is none, or several and none was named.
    """
    folder = artifacts / model
    recover(folder)
    found = [build for build in builds_in(folder) if arch in (None, build.arch)]
    if len(found) == 1:
        return found[0]
    shown = escape_control(model)
    if not found:
        target = f" for {escape_control(arch)}" if arch else ""
        msg = f"there is no build of {shown}{target} in {artifacts}"
        raise ConfigError(msg, hint=f"Make one with: hef build {shown}", code="build.missing")
    chips = ", ".join(build.arch for build in found)
    msg = f"{shown} is built for several chips: {chips}"
    raise ConfigError(msg, hint="Name one with --arch.", code="build.ambiguous")


def staging_folder(final: Path) -> Path:
    """Make and return the folder in which a build of ``final`` is put together."""
    staging = final.parent / files.marked_name(f".{final.name}.building")
    staging.mkdir(parents=True)
    return staging


def _lock_of(final: Path) -> Path:
    """Return the lock under which a folder is replaced: builds of other recipes, or with a cache
    of their own, may end there at the same moment."""
    return final.parent / f".{final.name}.lock"


def replace_build(
    staging: Path, final: Path, retire: Callable[[Path, Path], None] | None = None
) -> None:
    """Put a finished folder in the place of the last one, which is whole until that moment.

    ``retire`` is given the last one's folder and ``final``, and removes it; it may keep some of it.
    """
    with locks.hold(_lock_of(final)):
        _recover(final)
        old = final.parent / f".{final.name}.old-{uuid.uuid4().hex[:8]}"
        if final.exists():
            final.rename(old)
        try:
            staging.rename(final)
        except OSError:
            if old.exists():
                old.rename(final)
            raise
    if retire is not None and old.is_dir():
        retire(old, final)
    else:
        files.remove_tree(old)


def recover(folder: Path) -> None:
    """Undo replacements in a folder that were cut off between their two renames."""
    if not folder.is_dir():
        return
    for final in {folder / old.name[1:].rpartition(".old-")[0] for old in folder.glob(".*.old-*")}:
        with locks.hold(_lock_of(final)):
            _recover(final)


def _recover(final: Path) -> None:
    for old in final.parent.glob(f".{final.name}.old-*"):
        if final.exists():
            files.remove_tree(old)
        else:
            with contextlib.suppress(OSError):
                old.rename(final)


def tidy(folder: Path) -> None:
    """Bring a folder of builds into order before another one is made in it."""
    recover(folder)
    remove_abandoned(folder)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed builds left: folders whose process is gone, but none of a detached one."""
    for staging in files.abandoned(folder, ".*.building"):
        if not (staging.with_name(staging.name.removesuffix(SOURCE_COPIES)) / DETACHED).exists():
            files.remove_tree(staging)
