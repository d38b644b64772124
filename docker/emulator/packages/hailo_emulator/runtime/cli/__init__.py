"""The stand-in for ``hailortcli``."""

from __future__ import annotations
