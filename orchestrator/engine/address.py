"""Which engine is meant: options, environment and Docker's own settings, as pure decisions.

Order: ``--engine``, then ``DOCKER_HOST``, then the active Docker context, then the sockets that
the usual products make. The Docker command line decides in the same order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hefsmith_worker.contract import addresses

from orchestrator.engine import products
from orchestrator.errors import ConfigError, escape_control
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engine.base import EngineKind

SCHEMES = ("unix", "npipe", "tcp", "http", "https", "ssh")

DEFAULT_POSIX = "unix:///var/run/docker.sock"
DEFAULT_WINDOWS = "npipe:////./pipe/docker_engine"

#: The origin of an address that nobody chose.
BY_DEFAULT = "Docker's default"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine is. ``origin`` says in words who chose it; ``tls`` holds the PEM files."""

    kind: EngineKind
    url: str
    origin: str
    tls: Path | None = None
    verify_tls: bool = True

    @property
    def far(self) -> bool:
        """Whether a network lies between us and the engine."""
        scheme = urlsplit(self.url).scheme
        return scheme not in {"unix", "npipe", ""}


LOCAL = Address("local", "local", "--engine local")


def choose_address(
    asked: str | None,
    *,
    environ: Mapping[str, str],
    docker_config: Path,
    windows: bool,
    named: Mapping[str, str] | None = None,
) -> Address:
    """Return the address of the engine that the user means.

    ``asked`` is ``local``, ``docker``, a URL, the name of a Docker context (also as
    ``context:NAME``) or a key of ``named`` (engines of ``hef.yaml``). ``docker_config`` is the
    folder of Docker's own settings; it may be missing.
    """
    named = named or {}
    if asked and asked in named:
        return _explicit(named[asked], f"engine {asked!r} of hef.yaml", docker_config)
    if asked and asked != "docker":
        return _explicit(asked, "--engine", docker_config)
    if host := environ.get("DOCKER_HOST"):
        tls = None
        if environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_CERT_PATH"):
            tls = Path(environ.get("DOCKER_CERT_PATH") or docker_config)
        return Address("docker", _checked(host, "DOCKER_HOST"), "DOCKER_HOST", tls)
    context = environ.get("DOCKER_CONTEXT") or current_context(docker_config)
    if context and context != "default":
        return context_address(context, docker_config)
    default = DEFAULT_WINDOWS if windows else DEFAULT_POSIX
    return Address("docker", default, BY_DEFAULT)


def _explicit(asked: str, origin: str, docker_config: Path) -> Address:
    if asked == "local":
        return LOCAL
    if asked.startswith("context:"):
        return context_address(asked.removeprefix("context:"), docker_config)
    if "://" in asked:
        return Address("docker", _checked(asked, origin), origin)
    return context_address(asked, docker_config)


def _checked(url: str, origin: str) -> str:
    scheme = urlsplit(url).scheme
    shown = escape_control(addresses.shown(url))
    if scheme not in SCHEMES:
        msg = f"{origin} names an engine address that is not understood: {shown}"
        raise ConfigError(
            msg,
            hint="Use ssh://user@host, unix:///path/to/docker.sock, tcp://host:port, local, "
            "or the name of a Docker context.",
            code="engine.address",
        )
    if scheme == "ssh" and urlsplit(url).path.strip("/"):
        msg = f"{origin}: an ssh engine address has no path: {shown}"
        raise ConfigError(
            msg, hint="Write ssh://user@host or ssh://user@host:port.", code="engine.address"
        )
    if shown != url and "***" in shown:
        # Docker's SDK takes none, and would quote it.
        msg = f"{origin}: an engine's address has no password in it: {shown}"
        hint = "Log in by a key (ssh://user@host), or by certificates: DOCKER_CERT_PATH."
        raise ConfigError(msg, hint=hint, code="engine.address")
    return url


def current_context(docker_config: Path) -> str | None:
    """Return the context that ``docker context use`` chose, ``None`` for the default."""
    try:
        settings = read_json(docker_config / "config.json")
    except (OSError, ValueError):
        return None
    name = settings.get("currentContext") if isinstance(settings, dict) else None
    return name if isinstance(name, str) and name else None


def contexts(docker_config: Path) -> dict[str, str]:
    """Return the Docker contexts of this user: name to URL."""
    found: dict[str, str] = {}
    for meta in sorted((docker_config / "contexts" / "meta").glob("*/meta.json")):
        try:
            document = read_json(meta)
            found[document["Name"]] = document["Endpoints"]["docker"]["Host"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def context_address(name: str, docker_config: Path) -> Address:
    """Return the address behind a Docker context; raises :class:`ConfigError` if unknown."""
    if name == "default":
        return Address("docker", DEFAULT_POSIX, "Docker context 'default'")
    # Docker keeps each context under the sha256 of its name.
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = docker_config / "contexts" / "meta" / key / "meta.json"
    try:
        endpoint = read_json(meta)["Endpoints"]["docker"]
        url = str(endpoint["Host"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        known = ", ".join(sorted(contexts(docker_config))) or "none"
        msg = f"there is no engine and no Docker context named {escape_control(name)!r}"
        raise ConfigError(
            msg,
            hint=f"Docker contexts here: {known}. An engine is also local, an address such as\n"
            "ssh://user@host, or a name under `engines:` in hef.yaml.",
            code="engine.unknown",
        ) from error
    origin = f"Docker context {name!r}"
    tls = docker_config / "contexts" / "tls" / key / "docker"
    return Address(
        "docker",
        _checked(url, origin),
        origin,
        tls if tls.is_dir() else None,
        verify_tls=not endpoint.get("SkipTLSVerify", False),
    )


def other_sockets(
    environ: Mapping[str, str], home: Path, uid: int | None, *, windows: bool = False
) -> tuple[str, ...]:
    """Return addresses to try when nobody listens at Docker's default one, likeliest first."""
    runtime = environ.get("XDG_RUNTIME_DIR") or (f"/run/user/{uid}" if uid is not None else None)
    return products.sockets(home.as_posix(), runtime, windows=windows)


def docker_config_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of Docker's settings (``DOCKER_CONFIG``, else ``~/.docker``)."""
    if override := environ.get("DOCKER_CONFIG"):
        return Path(override)
    return home / ".docker"
