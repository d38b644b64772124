"""Emulated: where the vendor's packages are installed."""

from __future__ import annotations

from pathlib import Path


class SDKPaths:
    """Folders of the installation. Some programs set ``_is_release``, which it is here anyway."""

    _is_release = True

    @property
    def is_release(self) -> bool:
        """Whether the packages are installed and not a checkout."""
        return self._is_release

    def join_sdk(self, *parts: str) -> str:
        """Return a path below the packages."""
        return str(Path(__file__).parents[2].joinpath(*parts))
