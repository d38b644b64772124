"""Whether a device takes releases: room, and the right to write where they lie."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from orchestrator.diagnose.doctor.checks import error, ok, warning

if TYPE_CHECKING:
    from hefsmith_worker.contract.findings import Finding

    from orchestrator.diagnose.doctor.device_facts import DeviceFacts

GIGABYTE: Final = 1_000_000_000


def check_disk(facts: DeviceFacts) -> Finding | None:
    """Judge the file system with the releases, which a link may lead to."""
    free, refuses = facts.identity.disk_free, facts.identity.disk_refuses
    folder = facts.identity.disk_folder or "~/.hefsmith"
    why = "nothing can be shipped to it"
    if refuses == "no_folder":
        return error(
            f"{folder} is not a folder",
            why,
            f"On the device: ls -ld {shlex.quote(folder)}; mount the disk that it leads to, or "
            "move it away.",
        )
    if refuses == "read_only":
        return error(
            f"{folder} is on a file system that is read-only",
            why,
            "Is its overlay file system on (sudo raspi-config), or does its card fail? "
            "dmesg --human",
        )
    if refuses == "rights":
        return error(
            f"{folder} may not be written by this user",
            why,
            # No chown: the folder may be a link to one that others need.
            f"On the device: ls -ld {shlex.quote(folder)}/; it must be this login's own.",
        )
    if free is None:
        return None
    if free >= GIGABYTE:
        return ok(f"{free / GIGABYTE:.1f} GB free")
    return warning(
        f"{free / 1e6:.0f} MB free",
        "a release of a large model does not fit",
        "sudo apt clean; sudo journalctl --vacuum-size=50M; hef ship MODEL --keep 2",
    )
