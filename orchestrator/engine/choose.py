"""Which engine to use, and the words that say so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.engine.address import (
    BY_DEFAULT,
    LOCAL,
    Address,
    choose_address,
    docker_config_folder,
    other_sockets,
)
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.engine.base import BuildRecord, EngineInfo, EngineKind
    from orchestrator.engine.protocols import Engine

#: Where Windows lists its named pipes.
PIPES = r"\\.\pipe"

NO_BOX = "the local engine has no box here: a job can do what you can"
BOXED = "a job has a box of bubblewrap: it reads its inputs, writes its folder, no network"


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that answers, and one line that says which it is and why."""

    engine: Engine
    said: str


def find_address(asked: str | None, named: Mapping[str, str] | None = None) -> Address:
    """Return the address that the user means on this machine; asks no engine.

    ``asked`` is ``auto`` (or ``None``), ``docker``, ``local``, a URL, a Docker context, or a
    key of ``named``.
    """
    home = Path.home()
    windows = os.name == "nt"
    address = choose_address(
        None if asked == "auto" else asked,
        environ=os.environ,
        docker_config=docker_config_folder(os.environ, home),
        windows=windows,
        named=named,
    )
    if address.origin == BY_DEFAULT and not listens(address.url):
        uid = os.getuid() if hasattr(os, "getuid") else None
        for found in other_sockets(os.environ, home, uid, windows=windows):
            if listens(found):
                return Address("docker", found, f"found at {found.partition('://')[2]}")
    return address


def listens(address: str) -> bool:
    """Tell whether there is a socket or a named pipe at an address of this machine."""
    scheme, _, place = address.partition("://")
    if scheme != "npipe":
        return Path(place).exists()
    try:
        # To ask for a pipe by its name may take one of its connections; the list takes none.
        return Path(place).name in os.listdir(PIPES)  # noqa: PTH208
    except OSError:
        return False


def choose_engine(
    asked: str | None = None,
    *,
    named: Mapping[str, str] | None = None,
    need_docker: bool = False,
) -> EngineChoice:
    """Return the engine to use.

    ``auto`` takes Docker when it answers and this machine without Docker otherwise, unless the
    job needs an image (``need_docker``). An engine that was asked for by name must answer:
    raises :class:`EngineUnavailableError` if it does not.
    """
    from orchestrator.installation import missing_modules

    address = find_address(asked, named)
    engine = open_engine(address)
    if address.kind == "local":
        return EngineChoice(engine, f"engine: local ({box_of_local()})")
    try:
        info = engine.info()
    except EngineError as error:
        engine.close()
        if asked not in {None, "auto"} or need_docker or missing_modules():
            raise
        said = f"engine: local, since {error.message} ({box_of_local()})"
        return EngineChoice(open_engine(LOCAL), said)
    where = f"{address.url} ({address.origin})"
    return EngineChoice(engine, f"engine: docker {info.version} at {where}{missing_limits(info)}")


def box_of_local() -> str:
    """Return what keeps a job of the local engine on this machine, in words."""
    from orchestrator.engine.sandbox import boxed_program

    return NO_BOX if boxed_program() is None else BOXED


def missing_limits(info: EngineInfo) -> str:
    """Return the words for limits of the box that this engine has no means to set.

    Rootless engines have none on cgroup v1, and on v2 those that were delegated to the user.
    Swap is left to a job anyway, so its limit is missed by nobody.
    """
    missing = [one for one in info.lacks if one != "swap"]
    if not missing:
        return ""
    return f"; it cannot limit {', '.join(missing)}, so a job may take all there is (hef doctor)"


def _docker(address: Address) -> Engine:
    from orchestrator.engine.docker import DockerEngine

    return DockerEngine(address)


def _local(_: Address) -> Engine:
    from orchestrator.engine.local import LocalEngine

    return LocalEngine()


#: What opens an engine of each kind; programs with Docker's interface are rows of ``products``.
KINDS: Mapping[EngineKind, Callable[[Address], Engine]] = MappingProxyType(
    {"docker": _docker, "local": _local}
)


def open_engine(address: Address) -> Engine:
    """Return the engine at an address; does not ask it."""
    return KINDS[address.kind](address)


def open_record(record: BuildRecord) -> Engine:
    """Return the engine that a build was given to; does not ask it."""
    if record.engine == LOCAL.url:
        return open_engine(LOCAL)
    # The address itself and not a context's name: contexts change, a build stays where it is.
    origin = f"the build {record.id}"
    return open_engine(
        Address("docker", record.engine, origin, record.tls, verify_tls=record.verify_tls)
    )
