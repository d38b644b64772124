"""Which compiler is played, and what its chips can do (facts: hailo.md 1.1, 10)."""

from __future__ import annotations

import os

from hefsmith_worker.contract.chips import (
    LINE_3,
    Figures,
    ProductLine,
    by_name,
    line_of_compiler,
    of_line,
)

DEFAULT_VERSION = LINE_3.emulated_compiler


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


def is_at_least(*version: int) -> bool:
    """Whether the compiler that is played is of this version or a later one (5.x: always)."""
    return tuple(int(part) for part in toolchain_version().split(".")) >= version


def current_line() -> ProductLine:
    """The line of :func:`toolchain_version`."""
    line = line_of_compiler(int(toolchain_version().split(".")[0]))
    assert line is not None
    return line


def architectures() -> tuple[str, ...]:
    """The values that ``hw_arch`` may have."""
    version = tuple(map(int, toolchain_version().split(".")[:2]))
    return tuple(chip.name for chip in of_line(version[0]) if chip.since <= version)


def other_line_of(arch: str) -> ProductLine | None:
    """The line that does know ``arch``, when the current one does not."""
    chip = by_name().get(arch)
    return None if chip is None or chip.refused else chip.line


def find_figures(arch: str) -> Figures:
    """Return what the cost model needs to know of a chip. Raises ``KeyError``."""
    figures = by_name()[arch].figures
    if figures is None:
        raise KeyError(arch)
    return figures


def gpu_available() -> bool:
    """Whether to behave as if a GPU were there (``HEFSMITH_EMULATED_GPU=1``); none is used."""
    return os.environ.get("HEFSMITH_EMULATED_GPU", "") == "1"
