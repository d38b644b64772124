"""Brings remote sources (s3://, gs://, https://, ...) to this machine, on the host only.

A container has no network, so remote pictures are copied once into the project. The folder's
name follows from the address: a second run finds what is there and copies only what is new.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Callable, List, Tuple

from hefsmith_worker.calibration.items import is_picture_name
from hefsmith_worker.calibration.model import CalibrationError
from hefsmith_worker.contract import addresses, names

REMOTE = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)

#: Files that are sources by themselves, beside pictures in a remote folder.
WHOLE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".npy", ".npz", ".mp4", ".mkv")


def is_remote(address: str) -> bool:
    """Tell ``s3://bucket/folder`` from a path."""
    return REMOTE.match(address) is not None


def local_place(address: str, folder: Path) -> Path:
    """Return where a remote source lies once it is here: ``folder/<name>-<hash>``."""
    last = address.split("?", maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1]
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[:60] or "remote"
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    stem, dot, suffix = plain.partition(".")
    return folder / f"{stem}-{digest}{dot}{suffix}"


def fetch(address: str, folder: Path, tell: Callable[[int, int], None]) -> Path:
    """Copy a remote file, or the pictures of a remote folder; return where they are.

    Every file appears whole under its name or not at all; files of the same size that are
    here already are kept. Raises :class:`CalibrationError`.
    """
    try:
        import fsspec
    except ImportError:
        msg = f"{addresses.shown(address)}: remote sources need fsspec, which is not installed"
        raise CalibrationError(
            msg, "calib.remote.library", "pip install 'hefsmith[store]'"
        ) from None
    place = local_place(address, folder)
    try:
        system, root = fsspec.core.url_to_fs(address)
        jobs = _jobs(system, root, place)
    except ImportError as error:
        msg = addresses.shown(f"{address}: {error}")
        raise CalibrationError(msg, "calib.remote.library", "Install what it names.") from None
    except CalibrationError:
        raise
    except Exception as error:
        raise _failed(address, error) from None
    if not jobs:
        msg = f"{addresses.shown(address)}: no pictures there"
        raise CalibrationError(msg, "calib.empty", None, addresses.shown(address))
    for done, (remote, local, size) in enumerate(jobs, 1):
        if not (local.is_file() and local.stat().st_size == size):
            local.parent.mkdir(parents=True, exist_ok=True)
            draft = local.with_name("." + local.name + ".part")
            try:
                system.get_file(remote, str(draft))
                os.replace(str(draft), str(local))
            except Exception as error:
                raise _failed(remote, error) from None
            finally:
                if draft.exists():
                    draft.unlink()
        tell(done, len(jobs))
    return place


def _jobs(system: Any, root: str, place: Path) -> List[Tuple[str, Path, int]]:
    """Return (remote name, local path, size) of everything to copy."""
    if system.isfile(root):
        return [(root, place, int(system.size(root) or -1))]
    found = []
    base = root.rstrip("/") + "/"
    for remote, detail in sorted(system.find(root, detail=True).items()):
        relative = remote[len(base) :] if remote.startswith(base) else remote.rsplit("/", 1)[-1]
        if not (is_picture_name(relative) or relative.lower().endswith(WHOLE_SUFFIXES)):
            continue
        fault = names.fault(relative)
        if fault is not None:
            msg = f"{names.shown(remote)}: this name {fault}"
            raise CalibrationError(msg, "calib.archive.path", None, remote)
        found.append((remote, place / relative, int(detail.get("size") or -1)))
    return found


def _failed(address: str, error: Exception) -> CalibrationError:
    reason = addresses.shown(" ".join(str(error).split()))[:200] or type(error).__name__
    address = addresses.shown(address)
    return CalibrationError(
        f"{address}: cannot be fetched: {reason}", "calib.remote",
        "Check the address and that your credentials for it are set up.", address,
    )  # fmt: skip
