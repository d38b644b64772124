"""The emulator's packages are on the path, as in its image: the contract binds it too."""

from __future__ import annotations

from tests.unit.emulator.conftest import _fixed_line, models, rng

__all__ = ["_fixed_line", "models", "rng"]
