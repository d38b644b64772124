"""What a user does where no engine answers at an address of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engine.products import PRODUCTS

if TYPE_CHECKING:
    from orchestrator.engine.address import Address

#: Where Docker's own service listens.
_SERVICE = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how an engine is started: the system, its services, what is installed."""

    system: str = "linux"
    systemd: bool = True
    installed: bool = True
    apt: bool = True
    wsl: bool = False


def this_machine() -> Machine:
    """Look at the machine that this runs on."""
    # The service's own folder is on no user's PATH of some systems.
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])
    return Machine(
        system=sys.platform,
        systemd=Path("/run/systemd/system").is_dir(),
        installed=any(shutil.which(name, path=places) for name in ("dockerd", "docker")),
        apt=shutil.which("apt-get") is not None,
        wsl="microsoft" in os.uname().release.lower() if hasattr(os, "uname") else False,
    )


def how_to_start(address: Address, machine: Machine) -> str:
    """Return the command or the one thing to do; pure."""
    owner = next((one for one in PRODUCTS if one.listens_at(address.url)), None)
    if owner is not None and owner.start:
        return owner.start
    if owner is not None and owner.name == "podman":
        if "/machine/" in address.url or machine.system != "linux":
            return "podman machine start"
        rootless = "/user/" in address.url
        return f"{'systemctl --user' if rootless else 'sudo systemctl'} start podman.socket"
    if machine.system != "linux":
        return "Start Docker Desktop."
    if address.url not in _SERVICE:
        if address.url.startswith("unix:///run/user/"):
            return "systemctl --user start docker"
        return "Start the engine that listens there."
    if not machine.installed:
        if machine.wsl:
            return "Start Docker Desktop, with its WSL integration for this distribution."
        if machine.apt:
            return "Docker is not installed here: sudo apt install docker.io"
        return "Docker is not installed here: see docs.docker.com/engine/install"
    return "sudo systemctl start docker" if machine.systemd else "sudo service docker start"
