"""What the emulated device is: chip, HailoRT version and fault, read from the environment.

``HEFSMITH_EMULATED_CHIP``     hailo8l (default), or another chip of the contract
``HEFSMITH_EMULATED_HAILORT``  version of the library, for example 4.20.0; the default fits the chip
``HEFSMITH_EMULATED_FAULT``    one fault of :data:`FAULTS`, or several with commas
``HEFSMITH_EMULATED_QUIRKS``   names of ``hailo_emulator/quirks.py``, with commas
``HEFSMITH_EMULATED_NODE``     the file that stands for ``/dev/hailo0``; it is locked while in use

The values are read at each use, so that a test can change them between two calls.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract.chips import Chip, Figures, usable

from hailo_emulator import quirks
from hailo_emulator.quirks import RUNTIME_QUIRKS

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICE_ID = "0000:01:00.0"
DEFAULT_NODE = Path("/dev/hailo0")

#: Fault name -> what it stands for on a real Pi.
FAULTS = {
    "no_device": "no chip on the bus, driver not loaded or not bound",
    "no_driver": "the driver is not installed: no device class in /sys",
    "no_firmware": "the driver found no firmware file, so it made no device",
    "old_firmware": "the chip still runs the firmware of an earlier version",
    "driver_mismatch": "kernel driver and library differ in version",
    "cli_mismatch": "hailortcli and library differ in version",
    "binding_mismatch": "Python binding and library differ in version",
    "library_missing": "the Python binding cannot find its library",
    "device_busy": "another process holds the device",
    "wrong_chip": "every HEF is taken as compiled for another chip",
    "page_size": "a 16 KB page kernel: configuring a HEF fails",
    "timeout": "the chip does not answer during inference",
    "unstable": "outputs change from run to run",
}


class EmulatorSettingError(ValueError):
    """A HEFSMITH_EMULATED_* variable has a value that the emulator does not know."""


@dataclass(frozen=True)
class Setup:
    """The emulated device and software, as one consistent picture."""

    chip: Chip
    hailort: tuple[int, int, int]
    faults: frozenset[str]
    node: Path | None
    quirks: frozenset[str] = frozenset()

    def acts(self, quirk: str) -> bool:
        """Say whether ``quirk`` is switched on."""
        assert quirk in RUNTIME_QUIRKS, quirk
        return quirk in self.quirks

    def has(self, fault: str) -> bool:
        """Say whether ``fault`` is switched on."""
        return fault in self.faults

    @property
    def figures(self) -> Figures:
        """What the chip's board shows of itself."""
        assert self.chip.figures is not None
        return self.chip.figures

    @property
    def version(self) -> str:
        """The library's version as text."""
        return ".".join(map(str, self.hailort))

    @property
    def other_version(self) -> str:
        """A version that differs from the library's, for the mismatch faults."""
        major, minor, revision = self.hailort
        return f"{major}.{minor - 1 if minor else minor + 1}.{revision}"

    @property
    def firmware(self) -> tuple[int, int, int]:
        """The version of the firmware on the chip."""
        return _parse_version(self.other_version) if self.has("old_firmware") else self.hailort

    @property
    def legacy_status(self) -> bool:
        """HailoRT up to 4.20 has no statuses 91 to 93 and answers 26 instead."""
        return self.hailort < (4, 21, 0)

    @property
    def silent_without_device(self) -> bool:
        """4.23, and 5.1 on, list no device where earlier ones fail with status 64."""
        return self.hailort >= (5, 1, 0) or (4, 23, 0) <= self.hailort < (5, 0, 0)

    @property
    def has_older_api(self) -> bool:
        """Hailo-10H is driven by calls to its own processor: InferModel only."""
        return self.chip.older_api

    @property
    def remote(self) -> bool:
        """HailoRT runs on the card too (Hailo-10H), and this one sends its calls there."""
        return not self.has_older_api and not self.integrated

    @property
    def integrated(self) -> bool:
        """Hailo-15 runs HailoRT itself; the others sit on a PCIe card."""
        return self.chip.integrated

    @property
    def visible(self) -> bool:
        """Say whether the driver would find the chip at all."""
        gone = {"no_device", "no_driver", "no_firmware"} & self.faults
        # Drivers of one line carry no PCI identifiers of the other line's chips.
        return not gone and self.chip.line.runtime == self.hailort[0]


def read_setup() -> Setup:
    """Return the emulated device that the environment asks for.

    Raises:
        EmulatorSettingError: a variable has an unknown value.
    """
    name = os.environ.get("HEFSMITH_EMULATED_CHIP") or "hailo8l"
    chip = next((chip for chip in usable() if chip.name == name), None)
    if chip is None:
        known = ", ".join(chip.name for chip in usable())
        msg = f"HEFSMITH_EMULATED_CHIP={name!r} is not one of {known}"
        raise EmulatorSettingError(msg)
    text = os.environ.get("HEFSMITH_EMULATED_HAILORT")
    hailort = _parse_version(text) if text else chip.line.emulated_runtime
    faults = _names("HEFSMITH_EMULATED_FAULT", FAULTS)
    acting = _names(quirks.VARIABLE, {**quirks.QUIRKS, **RUNTIME_QUIRKS})
    return Setup(chip, hailort, faults, _find_node(), acting)


def _names(variable: str, known: Mapping[str, str]) -> frozenset[str]:
    asked = os.environ.get(variable, "")
    names = frozenset(part.strip() for part in asked.split(",") if part.strip())
    if unknown := sorted(names - known.keys()):
        msg = f"{variable}={unknown[0]!r} is not one of {', '.join(sorted(known))}"
        raise EmulatorSettingError(msg)
    return names


def _parse_version(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"([45])\.(\d{1,3})(?:\.(\d{1,3}))?", text.strip())
    if match is None:
        msg = f"HEFSMITH_EMULATED_HAILORT={text!r} is not a version such as 4.23.0 or 5.2.0"
        raise EmulatorSettingError(msg)
    return int(match[1]), int(match[2]), int(match[3] or 0)


def _find_node() -> Path | None:
    named = os.environ.get("HEFSMITH_EMULATED_NODE")
    if named:
        return Path(named)
    # In the stand-in Pi's image /dev/hailo0 is a plain file; a real node is never touched.
    return DEFAULT_NODE if DEFAULT_NODE.is_file() else None
