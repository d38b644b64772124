"""How a device is written: for a person, for hef, and as the arguments of ssh.

``user@host:port`` reads well and is what hef takes; ssh takes the port apart (``-p``), an IPv6
address without brackets, and knows aliases and jumps by its own configuration.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec

#: Between a device's name and the jump host that is meant ("pi5 via gate"); no name has spaces.
VIA = " via "


def device_argument(spec: DeviceSpec) -> str:
    """Return what hef takes for a device, quoted for a shell: its name, or where it has none its
    address. For a jump host it is the device behind it."""
    device, via, _ = spec.name.partition(VIA)
    if via:
        return device
    return shlex.quote(spec.address if spec.name == spec.host else spec.name)


def _options(spec: DeviceSpec) -> list[str]:
    """Return the options that ssh and ssh-copy-id both take."""
    words: list[str] = []
    if override := os.environ.get("HEFSMITH_SSH_CONFIG"):
        words += ["-F", override]
    if spec.port is not None:
        words += ["-p", str(spec.port)]
    if spec.identity_file is not None:
        words += ["-i", str(spec.identity_file)]
    return words


def _target(spec: DeviceSpec) -> str:
    """Return ``[user@]host`` as ssh takes it; an alias of its configuration stays one."""
    return f"{spec.user}@{spec.host}" if spec.user else spec.host


def ssh_command(spec: DeviceSpec) -> str:
    """Return the line that logs in with ssh, as a shell takes it."""
    jump = ["-J", spec.jump] if spec.jump else []
    return shlex.join(["ssh", *_options(spec), *jump, _target(spec)])


def copy_id_command(spec: DeviceSpec) -> str:
    """Return the line that installs a key, as a shell takes it; ssh-copy-id has no ``-J``."""
    jump = ["-o", f"ProxyJump={spec.jump}"] if spec.jump else []
    return shlex.join(["ssh-copy-id", *_options(spec), *jump, _target(spec)])
