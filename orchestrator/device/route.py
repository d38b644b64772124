"""Where a device's address leads: what the ssh configuration makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.device.address import host_label

if TYPE_CHECKING:
    import asyncssh


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a spec leads, after the ssh configuration has been read."""

    options: asyncssh.SSHClientConnectionOptions
    host: str
    port: int
    user: str
    label: str
    jumps: tuple[str, ...]
    proxied: bool

    @property
    def address(self) -> str:
        """``user@host:port`` for messages."""
        return f"{self.user}@{host_label(self.host, self.port)}"
