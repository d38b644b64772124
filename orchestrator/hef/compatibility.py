"""Will this HEF run there? The rules of HailoRT, by chip and by version.

Taken from the public sources of HailoRT 4.17 to 5.2: header versions and extensions that a
version understands, the table of chips (another one since 5.1), and strict versioning. Newer
versions are judged like 5.2, and the answer says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hefsmith_worker.contract.chips import CHIPS, LINE_3, Chip, by_name, find, line_of_runtime

from orchestrator.errors import ConfigError
from orchestrator.hef import formats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.hef.model import Hef

Release = tuple[int, int, int]

#: What is wrong with the file for this device whatever HailoRT is there, the worst first.
_ROOTS: Final = ("damaged", "emulated", "chip", "driver-line", "line")
#: What another HailoRT on the device would mend.
_OF_VERSION: Final = frozenset({"header-version", "extension", "strict-version"})

_OLDEST: Final = (4, 17, 0)
_NEWEST: Final = (5, 2, 999)
#: First HailoRT that understands a header version.
_HEADER_SINCE: Final = {0: (4, 0), 1: (4, 17), 2: (4, 20), 3: (4, 21)}
#: From 4.22 the 4.x line takes files for Hailo-8 only.
_HAILO8_FILES: Final = frozenset(
    code.number for chip in CHIPS if chip.line is LINE_3 for code in chip.codes
)
_HAILO8R: Final = by_name()["hailo8r"].code
_SLOWER: Final = {(3, "hailo8"): "Hailo-8L", (4, "hailo15h"): "Hailo-15M"}


@dataclass(frozen=True)
class Reason:
    """One thing that HailoRT would say; ``status`` is its number, ``None`` if it has none."""

    code: str
    message: str
    status: int | None
    hint: str | None = None


@dataclass(frozen=True)
class Compatibility:
    """The answer: ``runs``, why not (``refusals``), and what to know even so (``warnings``).

    ``refusals`` are in the order in which HailoRT comes to them; ours come last.
    """

    chip: str
    hailort: str | None
    refusals: tuple[Reason, ...]
    warnings: tuple[Reason, ...]

    @property
    def runs(self) -> bool:
        """True when nothing refuses."""
        return not self.refusals

    @property
    def first(self) -> Reason:
        """The refusal to begin with, where only one is told: another HailoRT mends it least."""
        ranks = {code: rank for rank, code in enumerate(_ROOTS)}
        return min(self.refusals, key=lambda reason: ranks.get(reason.code, len(ranks)))


def check_compatibility(
    hef: Hef, *, chip: str, hailort: str | None = None, emulated_device: bool = False
) -> Compatibility:
    """Say whether ``hef`` runs on ``chip`` (``HAILO8L``; any case) under ``hailort`` (``4.20.0``).

    Without ``hailort`` only the chip is judged, by the newest table. ``emulated_device`` is
    true for a stand-in that says so itself: only that may run an emulated HEF, and it cannot
    compute a real one. Raises ``ConfigError`` for a chip or a version that is no such thing.
    """
    asked = _chip(chip)
    release = _release(hailort) if hailort is not None else None
    refusals = [
        *_content(hef, release),
        *_driver(asked, release),
        *_device(hef, asked, release),
        *_strict(hef, release, emulated_device=emulated_device),
        *_emulation(hef, emulated_device=emulated_device),
    ]
    roots = set(_ROOTS[1:]) - ({"chip"} if asked.shows in hef.chips else set())
    if any(reason.code in roots for reason in refusals):
        # To update a device for a file that is refused there all the same would be in vain.
        refusals = [
            replace(reason, hint=None) if reason.code in _OF_VERSION else reason
            for reason in refusals
        ]
    warnings = tuple(_warnings(hef, asked, release, emulated_device=emulated_device))
    return Compatibility(_name(asked), hailort, tuple(refusals), warnings)


def _chip(text: str) -> Chip:
    found = find(text)
    if found is None:
        message = f"no such chip: {text!r}"
        known = ", ".join(_name(chip) for chip in CHIPS)
        raise ConfigError(message, hint=f"Known chips: {known}", code="chip.unknown")
    return found


def _name(chip: Chip) -> str:
    return chip.name.upper()


def _release(text: str) -> Release:
    match = re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?\s*", text.strip())
    if match is None:
        message = f"no HailoRT version: {text!r}"
        raise ConfigError(message, hint="For example: 4.20.0", code="hailort.version")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def _status(release: Release | None, status: int) -> int:
    """HailoRT before 4.21 says 26 where later ones are more exact."""
    return 26 if release is not None and release < (4, 21, 0) else status


def _content(hef: Hef, release: Release | None) -> Iterator[Reason]:
    damaged = [check.name for check in hef.checks if check.ok is False]
    if damaged:
        yield Reason(
            "damaged",
            f"the file is damaged: {', '.join(damaged)} does not match",
            _status(release, 91),
            "copy or download it again",
        )
    if release is not None:
        yield from _understood(hef, release)
    for group in hef.network_groups:
        for problem in group.problems.values():
            yield Reason(problem.code, problem.message, problem.status, problem.hint)


def _understood(hef: Hef, release: Release) -> Iterator[Reason]:
    version = hef.header.version
    if release[:2] < (since := _HEADER_SINCE.get(version, (99, 0))):
        yield Reason(
            "header-version",
            f"HailoRT {_text(release)} cannot read header version {version}, "
            f"which needs {since[0]}.{since[1]} or newer",
            _status(release, 92),
            f"update HailoRT on the device to {since[0]}.{since[1]} or newer, "
            "or compile with the compiler that goes with it",
        )
    missing = {
        item.name or str(item.id): formats.EXTENSIONS.get(item.id, ("", (99, 0)))[1]
        for item in hef.extensions
        if not item.optional
        and release[:2] < max(formats.EXTENSIONS.get(item.id, ("", (99, 0)))[1], (4, 17))
    }
    if missing and release >= _OLDEST:
        since = max(missing.values())
        yield Reason(
            "extension",
            f"HailoRT {_text(release)} does not have what the file needs: {', '.join(missing)}",
            _status(release, 92),
            "update HailoRT on the device" + (f" to {since[0]}.{since[1]}" if since < (9,) else ""),
        )
    ids = {item.id for item in hef.extensions if not item.optional}
    if formats.PERIPH_IN_HAILORT not in ids and release >= (4, 21, 0):
        yield Reason(
            "outdated",
            "the file was made by a compiler older than 3.24, which HailoRT 4.21 and newer refuse",
            92,
            "compile the model again",
        )


def _driver(chip: Chip, release: Release | None) -> Iterator[Reason]:
    """Each line of HailoRT brings the driver of its own cards; the library never gets that far.

    A Hailo-15 is part of its computer, needs no driver of a card, and ran under late 4.x.
    """
    line = line_of_runtime(release[0]) if release is not None else None
    if line is None or line is chip.line or chip.integrated:
        return
    yield Reason(
        "driver-line",
        f"HailoRT {line.runtime}.x has no driver for {_name(chip)}; it needs {chip.line.runtime}.x",
        64,
        f"install HailoRT {chip.line.runtime}.x on the device: {chip.line.packages['everything']}",
    )


def _device(hef: Hef, chip: Chip, release: Release | None) -> Iterator[Reason]:
    device = chip.shows
    if release is None or release >= (5, 1, 0):
        fits = device in hef.chips
    else:
        fits = hef.hw_arch_id in chip.listed and release[:2] >= chip.listed_since
    is_unknown = hef.chips == (formats.UNKNOWN_CHIP,)
    made_for = f"architecture {hef.hw_arch_id}" if is_unknown else hef.chips[0]
    if is_unknown and not fits:
        yield Reason(
            "chip",
            f"the file is for a chip that HailoRT does not know (architecture {hef.hw_arch_id})"
            if release is None
            else f"the file is for a chip that HailoRT {_text(release)} does not know "
            f"(architecture {hef.hw_arch_id})",
            _status(release, 93),
            f"compile the model for {device.lower()} with the compiler that goes with the device",
        )
    elif not fits:
        yield Reason(
            "chip",
            f"the file was compiled for {made_for} and does not run on {_name(chip)}"
            + (" under this HailoRT" if device in hef.chips else ""),
            _status(release, 93),
            _chip_hint(hef, device),
        )
    elif (
        release is not None
        and chip.integrated  # of a card the missing driver is told
        and (4, 22, 0) <= release < (5, 0, 0)
        and hef.hw_arch_id not in _HAILO8_FILES
    ):
        yield Reason(
            "line",
            f"HailoRT {_text(release)} takes files for Hailo-8 only; {made_for} needs 5.x",
            93,
            "install HailoRT 5.x on the device",
        )


def _chip_hint(hef: Hef, device: str) -> str:
    if device in hef.chips:
        return "compile for hailo8 with DFC 3.x, which writes files that every HailoRT takes"
    names = ", ".join(hef.chips)
    return f"compile the model for {device.lower()}, or use a device with: {names}"


def _strict(hef: Hef, release: Release | None, *, emulated_device: bool) -> Iterator[Reason]:
    is_strict = any(
        item.id == formats.STRICT_VERSIONING and not item.optional for item in hef.extensions
    )
    if not is_strict or release is None or release < (5, 0, 0) or emulated_device:
        return
    if hef.sdk_version[:2] != release[:2]:
        yield Reason(
            "strict-version",
            f"the file may only run under the HailoRT of its compiler "
            f"({_text(hef.sdk_version)}), not under {_text(release)}",
            26,
            "install the HailoRT of the same version, or compile the model again",
        )


def _emulation(hef: Hef, *, emulated_device: bool) -> Iterator[Reason]:
    if hef.emulated and not emulated_device:
        yield Reason(
            "emulated",
            "the file was made by hefsmith's emulator; no chip can run it",
            None,
            "compile with Hailo's suite: hef toolchain import, then hef up",
        )


def _warnings(
    hef: Hef, chip: Chip, release: Release | None, *, emulated_device: bool
) -> Iterator[Reason]:
    if release is not None and not _OLDEST <= release <= _NEWEST:
        known = "4.17" if release < _OLDEST else "5.2"
        yield Reason(
            "unknown-version",
            f"the rules of HailoRT {_text(release)} are not known; it was judged like {known}",
            None,
        )
    if slower := _SLOWER.get((hef.hw_arch_id, chip.name)):
        yield Reason(
            "slower",
            f"the file was compiled for {slower}; "
            f"on {_name(chip)} it runs, but slower than it could",
            None,
            f"compile for {chip.name}",
        )
    if chip.shows == "HAILO8" and (chip.name == "hailo8r") != (hef.hw_arch_id == _HAILO8R):
        yield Reason(
            "clock",
            "Hailo-8 and Hailo-8R have different clocks: frame rates differ from the estimate",
            None,
        )
    if emulated_device and not hef.emulated:
        yield Reason(
            "not-emulated", "the device is a stand-in: it cannot compute a compiled file", None
        )
    if release is not None and (wanted := _paired(hef)) and wanted > release[:2]:
        yield Reason(
            "newer-compiler",
            f"the file comes from compiler {_text(hef.compiler_version)}, which goes with HailoRT "
            f"{wanted[0]}.{wanted[1]}; the device has {_text(release)}",
            None,
            "if it is refused, update HailoRT on the device",
        )


def _paired(hef: Hef) -> tuple[int, int] | None:
    """Compilers 3.N were released with HailoRT 4.(N-10), 5.x with the same number."""
    version = hef.compiler_version
    if version is None or version[0] not in (3, 5):
        return None
    return (4, version[1] - 10) if version[0] == 3 else version[:2]


def _text(version: Release | None) -> str:
    return ".".join(map(str, version)) if version else "unknown"
