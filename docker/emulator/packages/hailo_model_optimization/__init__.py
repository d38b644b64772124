"""Emulated: the vendor's quantisation package."""

from __future__ import annotations

from hailo_emulator.line import toolchain_version as _toolchain_version

__version__ = _toolchain_version()
