"""How a device is written: for a person, for hef, and as the arguments of ssh.

``user@host:port`` reads well and is what hef takes; ssh takes the port apart (``-p``), an IPv6
address without brackets, and knows aliases and jumps by its own configuration.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec

#: Between a device's name and the jump host that is meant ("pi5 via gate"); no name has spaces.
VIA = " via "
#: Where an SSH server listens when nobody says otherwise.
SSH_PORT = 22


def device_argument(spec: DeviceSpec) -> str:
    """Return what hef takes for a device, quoted for a shell: its name, or where it has none its
    address. For a jump host it is the device behind it."""
    return device_word(spec.address if spec.name == spec.host else spec.name)


def device_word(name: str) -> str:
    """Return what hef takes for the device that it calls ``name``, quoted for a shell.

    An address that was given in place of a name (``pi@10.0.0.4:2204``) is its own name.
    """
    return shlex.quote(escape_control(name.partition(VIA)[0]))


def host_label(host: str, port: int) -> str:
    """Return the name of a server as known_hosts files and ssh-keygen spell it."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


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


def ssh_target(spec: DeviceSpec) -> str:
    """Return options and name as ssh and ssh-copy-id take them alike, quoted for a shell."""
    return shlex.join([*_options(spec), _target(spec)])


def ssh_command(spec: DeviceSpec) -> str:
    """Return the line that logs in with ssh, as a shell takes it."""
    jump = ["-J", spec.jump] if spec.jump else []
    return shlex.join(["ssh", *_options(spec), *jump, _target(spec)])


def copy_id_command(spec: DeviceSpec) -> str:
    """Return the line that installs a key, as a shell takes it; ssh-copy-id has no ``-J``."""
    jump = ["-o", f"ProxyJump={spec.jump}"] if spec.jump else []
    return shlex.join(["ssh-copy-id", *_options(spec), *jump, _target(spec)])
