"""Programs that offer Docker's interface: how each is found, recognised, and what is odd with it.

A row of :data:`PRODUCTS` is all that a new one needs. Where none fits, it is taken for Docker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Product:
    """One program. What it says of itself in ``docker info`` and ``docker version``:

    ``system`` is part of the operating system's name, ``host`` the beginning of the host's name,
    ``component`` part of a component's name. ``sockets`` are where it listens, with ``{home}``
    and ``{runtime}`` (``XDG_RUNTIME_DIR``), or named pipes of Windows.

    ``machine``: containers run in a virtual machine on this computer, so that folders that it
    names are not ours to look into. ``maps_owner``: what a container writes belongs to the user
    here, whatever user it ran as. ``wsl_libraries``: in WSL the engine sees Windows' GPU driver.
    ``client`` are the words of its own command line before an address; ``memory`` says how more
    memory is given, ``clock`` how its clock is set, ``start`` how it is started.
    """

    name: str
    title: str
    system: str = ""
    host: str = ""
    component: str = ""
    sockets: tuple[str, ...] = ()
    machine: bool = False
    maps_owner: bool = False
    wsl_libraries: bool = False
    client: tuple[str, ...] = ("docker", "-H")
    memory: str | None = None
    clock: str | None = None
    start: str | None = None

    def fits(self, system: str, host: str, parts: str) -> bool:
        """Tell whether an engine that says this of itself is one."""
        return bool(
            (self.system and self.system in system)
            or (self.host and host.startswith(self.host))
            or (self.component and self.component in parts)
        )

    def listens_at(self, address: str) -> bool:
        """Tell whether an address is one of its own sockets, which no other program makes."""
        own = (socket.rpartition("}")[2] for socket in self.sockets)
        return any(address.endswith(one) for one in own if one != SHARED)


#: The name that says nothing: many make a socket of Docker's own name.
SHARED = "/docker.sock"

#: In the order in which sockets are tried.
PRODUCTS = (
    Product(
        "desktop",
        "Docker Desktop",
        system="Docker Desktop",
        sockets=(
            "{home}/.docker/run/docker.sock",
            "{home}/.docker/desktop/docker.sock",
            "npipe:////./pipe/dockerDesktopLinuxEngine",
        ),
        machine=True,
        maps_owner=True,
        memory=(
            "Docker Desktop: Settings > Resources > Memory. With WSL 2, put in "
            "%UserProfile%\\.wslconfig:\n  [wsl2]\n  memory=16GB\n  swap=32GB\n"
            "then: wsl --shutdown"
        ),
        clock="Restart Docker Desktop, or in PowerShell: wsl --shutdown",
        start="Start Docker Desktop.",
    ),
    Product(
        "orbstack",
        "OrbStack",
        system="OrbStack",
        host="orbstack",
        sockets=("{home}/.orbstack/run/docker.sock",),
        machine=True,
        maps_owner=True,
        memory="OrbStack: Settings > System > Memory limit.",
        start="Start OrbStack.",
    ),
    Product(
        "colima",
        "Colima",
        host="colima",
        sockets=("{home}/.colima/default/docker.sock",),
        machine=True,
        maps_owner=True,
        memory="Colima: colima stop, then colima start --memory 16",
        start="colima start",
    ),
    Product(
        "rancher",
        "Rancher Desktop",
        system="Rancher Desktop",
        host="lima-rancher-desktop",
        sockets=("{home}/.rd/docker.sock",),
        machine=True,
        maps_owner=True,
        memory="Rancher Desktop: Preferences > Virtual Machine > Hardware > Memory.",
        start="Start Rancher Desktop.",
    ),
    # Nothing that it says is its alone: it is what is not one of the others.
    Product("docker", "Docker", sockets=("{runtime}/docker.sock",), wsl_libraries=True),
    Product(
        "podman",
        "Podman",
        component="Podman",
        sockets=(
            "{runtime}/podman/podman.sock",
            "/run/podman/podman.sock",
            "{home}/.local/share/containers/podman/machine/podman.sock",
            "npipe:////./pipe/podman-machine-default",
        ),
        client=("podman", "--remote", "--url"),
        memory="Podman machine: podman machine set --memory 16384",
    ),
    # What these say of themselves is not known to us: their sockets tell.
    Product(
        "nerdctl",
        "nerdctl",
        sockets=("{runtime}/nerdctl.sock", "/run/nerdctl.sock", "/run/finch.sock"),
    ),
)


@cache
def by_name() -> Mapping[str, Product]:
    """Return the rows by name."""
    return MappingProxyType({one.name: one for one in PRODUCTS})


def find(name: str) -> Product:
    """Return a row; the plain engine's where the name is not known."""
    return by_name().get(name) or by_name()["docker"]


def recognise(system: str, host: str, parts: str, address: str) -> str:
    """Return the name of the product that says this of itself, or listens at such an address."""
    said = (one.name for one in PRODUCTS if one.fits(system, host, parts))
    heard = (one.name for one in PRODUCTS if one.listens_at(address))
    return next(said, None) or next(heard, "docker")


def sockets(home: str, runtime: str | None, *, windows: bool) -> tuple[str, ...]:
    """Return where engines may listen, as addresses, likeliest first."""
    found = []
    for socket in (one for product in PRODUCTS for one in product.sockets):
        pipe = socket.startswith("npipe:")
        if pipe != windows or ("{runtime}" in socket and runtime is None):
            continue
        place = socket.replace("{home}", home).replace("{runtime}", runtime or "")
        found.append(place if pipe else f"unix://{place}")
    return tuple(found)
