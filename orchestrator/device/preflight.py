"""Will this HEF run on that device? Asked before a byte is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.device.address import device_word
from orchestrator.device.faults import DeviceFull, DeviceLacks, WillNotRun
from orchestrator.device.release import MARGIN
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.device.base import Identity
    from orchestrator.device.release import Upload


def check_hef(device: str, hef: Path, identity: Identity) -> tuple[bool, tuple[str, ...]]:
    """Return whether the HEF is emulated, and warnings; raise :class:`WillNotRun` if it cannot run.

    An emulated HEF onto a real chip is refused, so is a HEF for another chip, and one that the
    device's HailoRT cannot read. A damaged HEF raises the HEF room's own error.
    """
    from orchestrator.hef import check_compatibility, read_hef

    parsed = read_hef(hef)
    name = escape_control(device)
    if identity.chip is None:
        reasons = "; ".join(escape_control(note) for note in identity.notes)
        msg = f"{name}: no Hailo chip answers there: {reasons or 'hailortcli shows none'}"
        raise DeviceLacks(msg, hint=f"Find out why with: hef doctor --device {device_word(device)}")
    answer = check_compatibility(
        parsed, chip=identity.chip, hailort=identity.hailort, emulated_device=identity.emulated
    )
    if not answer.runs:
        first = answer.first
        msg = f"{name}: {escape_control(hef.name)} will not run there: {first.message}"
        raise WillNotRun(msg, hint=first.hint, code=f"device.will-not-run.{first.code}")
    warnings = [reason.message for reason in answer.warnings]
    if identity.versions_agree is False:
        warnings += [note for note in identity.notes if note.startswith("versions differ")]
    return parsed.emulated, tuple(warnings)


def check_room(device: str, uploads: Sequence[Upload], free: int | None) -> None:
    """Refuse when what must be sent does not fit beside the margin; all numbers in bytes."""
    needed = sum(upload.to_send for upload in uploads)
    if free is None or needed == 0 or needed + MARGIN <= free:
        return
    msg = (
        f"{escape_control(device)}: {_megabytes(needed)} must be sent and"
        f" {_megabytes(MARGIN)} should stay free, but there are only {_megabytes(free)}"
    )
    raise DeviceFull(msg, hint="Free some room there, or keep fewer releases: --keep 2")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
