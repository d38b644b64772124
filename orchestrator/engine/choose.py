"""Which engine to use, and the words that say so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engine.address import (
    DEFAULT_POSIX,
    LOCAL,
    Address,
    choose_address,
    docker_config_folder,
    other_sockets,
)
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engine.base import BuildRecord, EngineInfo
    from orchestrator.engine.docker import DockerEngine
    from orchestrator.engine.local import LocalEngine

NO_BOX = "the local engine has no box: a job can do what you can"


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that answers, and one line that says which it is and why."""

    engine: DockerEngine | LocalEngine
    said: str


def find_address(asked: str | None, named: Mapping[str, str] | None = None) -> Address:
    """Return the address that the user means on this machine; asks no engine.

    ``asked`` is ``auto`` (or ``None``), ``docker``, ``local``, a URL, a Docker context, or a
    key of ``named``.
    """
    home = Path.home()
    address = choose_address(
        None if asked == "auto" else asked,
        environ=os.environ,
        docker_config=docker_config_folder(os.environ, home),
        windows=os.name == "nt",
        named=named,
    )
    default = address.url == DEFAULT_POSIX and address.origin == "Docker's default"
    if default and not Path("/var/run/docker.sock").exists():
        uid = os.getuid() if hasattr(os, "getuid") else None
        for socket in other_sockets(os.environ, home, uid):
            if socket.exists():
                return Address("docker", f"unix://{socket}", f"found at {socket}")
    return address


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
    from orchestrator.engine.docker import DockerEngine
    from orchestrator.engine.local import LocalEngine, missing_modules

    address = find_address(asked, named)
    if address.kind == "local":
        return EngineChoice(LocalEngine(), f"engine: local ({NO_BOX})")
    engine = DockerEngine(address)
    try:
        info = engine.info()
    except EngineError as error:
        engine.close()
        if asked not in {None, "auto"} or need_docker or missing_modules():
            raise
        said = f"engine: local, since {error.message} ({NO_BOX})"
        return EngineChoice(LocalEngine(), said)
    where = f"{address.url} ({address.origin})"
    return EngineChoice(engine, f"engine: docker {info.version} at {where}{missing_limits(info)}")


def missing_limits(info: EngineInfo) -> str:
    """Return the words for limits of the box that this engine has no means to set.

    Rootless engines have none on cgroup v1, and on v2 those that were delegated to the user.
    Swap is left to a job anyway, so its limit is missed by nobody.
    """
    missing = [one for one in info.lacks if one != "swap"]
    if not missing:
        return ""
    return f"; it cannot limit {', '.join(missing)}, so a job may take all there is (hef doctor)"


def open_record(record: BuildRecord) -> DockerEngine | LocalEngine:
    """Return the engine that a build was given to; does not ask it."""
    from orchestrator.engine.docker import DockerEngine
    from orchestrator.engine.local import LocalEngine

    if record.engine == LOCAL.url:
        return LocalEngine()
    # The address itself and not a context's name: contexts change, a build stays where it is.
    origin = f"the build {record.id}"
    address = Address("docker", record.engine, origin, record.tls, verify_tls=record.verify_tls)
    return DockerEngine(address)
