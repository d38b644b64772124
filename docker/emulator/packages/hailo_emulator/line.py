"""Which compiler is played, and what its chips can do (facts: hailo.md 1.1, 10)."""

from __future__ import annotations

import os
from dataclasses import dataclass

DEFAULT_VERSION = "3.33.0"


@dataclass(frozen=True)
class Chip:
    """What the cost model needs to know of a chip.

    ``tops`` is the vendor's 8-bit figure where one is published (13 and 26, and 40 at 4 bits
    for the 10H, which is 20 at 8); figures marked in README.md are our assumption.
    ``weight_bytes`` is how many weights one context holds, ``link`` bytes per second between
    host and chip on a Raspberry Pi 5 (PCIe Gen3 x1).
    """

    name: str
    tops: float
    weight_bytes: int
    link: float = 0.8e9


_MIB = 1024 * 1024
_CHIPS_3 = (
    Chip("hailo8", 26.0, 12 * _MIB),
    Chip("hailo8l", 13.0, 6 * _MIB),
    Chip("hailo8r", 20.0, 12 * _MIB),
)
_CHIPS_5 = (
    Chip("hailo10h", 20.0, 8 * _MIB),
    Chip("hailo15h", 20.0, 8 * _MIB),
    Chip("hailo15m", 11.0, 6 * _MIB),
    Chip("hailo15l", 7.0, 4 * _MIB),
)


@dataclass(frozen=True)
class Line:
    """One of the two product lines: which major version compiles for which chips."""

    major: int
    chips: tuple[Chip, ...]
    default: str

    @property
    def names(self) -> tuple[str, ...]:
        """The values that ``hw_arch`` may have."""
        return tuple(chip.name for chip in self.chips)


LINES = (Line(3, _CHIPS_3, "hailo8"), Line(5, _CHIPS_5, "hailo10h"))


def toolchain_version() -> str:
    """The compiler version to play, from ``HEFSMITH_EMULATED_DFC`` (default 3.33.0).

    Raises ``RuntimeError`` for a version that belongs to neither line.
    """
    version = os.environ.get("HEFSMITH_EMULATED_DFC", "").strip() or DEFAULT_VERSION
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts) or parts[0] not in "35":
        msg = f"HEFSMITH_EMULATED_DFC is {version!r}; the emulator plays 3.x.y and 5.x.y"
        raise RuntimeError(msg)
    return version


def current_line() -> Line:
    """The line of :func:`toolchain_version`."""
    major = int(toolchain_version().split(".")[0])
    return next(line for line in LINES if line.major == major)


def other_line_of(arch: str) -> Line | None:
    """The line that does know ``arch``, when the current one does not."""
    return next((line for line in LINES if arch in line.names), None)


def find_chip(arch: str) -> Chip:
    """Return the chip called ``arch`` in the current line. Raises ``KeyError``."""
    return next(chip for chip in current_line().chips if chip.name == arch)


def gpu_available() -> bool:
    """Whether to behave as if a GPU were there (``HEFSMITH_EMULATED_GPU=1``); none is used."""
    return os.environ.get("HEFSMITH_EMULATED_GPU", "") == "1"
