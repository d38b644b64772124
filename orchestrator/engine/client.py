"""The connection to a Docker engine: made, checked, made again, and its errors put in words.

What the SDK raises when an engine goes away has many classes (docker, requests, urllib3,
paramiko, OSError). All of them become :class:`EngineLostError` or one of its kin here, so
that no other module has to know.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from orchestrator.engine.base import (
    BoxRefusedError,
    EngineInfo,
    EngineLostError,
    EngineUnavailableError,
    ImageMissingError,
)
from orchestrator.engine.deferred import defer, loaded
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

    from orchestrator.engine.address import Address

# Before anybody in this room imports the SDK, whose import of paramiko takes half its time.
defer("paramiko")

#: Seconds that one request may take; streams have no limit.
REQUEST_TIMEOUT = 60.0

#: Seconds until an engine must have answered the first time.
CONNECT_TIMEOUT = 10.0

#: Seconds for which a lost engine is called again before we give up: near, far.
PATIENCE_NEAR = 8.0
PATIENCE_FAR = 60.0

#: Seconds between SSH keep-alives, so that a dead network is noticed.
KEEPALIVE = 15


class Connection:
    """One client of one engine. Not for use by many threads at once, but for a few."""

    def __init__(self, address: Address, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self.address = address
        self.timeout = timeout
        self._api: APIClient | None = None
        self._info: EngineInfo | None = None
        self._mending = threading.RLock()

    @property
    def api(self) -> APIClient:
        """Return the SDK's low-level client; connects at first use."""
        if self._api is None:
            self._api = connect(self.address, min(self.timeout, CONNECT_TIMEOUT))
            self._api.timeout = self.timeout
        return self._api

    def set_timeout(self, seconds: float) -> float:
        """Let each request take so long from now on; return what it was before."""
        before, self.timeout = self.timeout, seconds
        if self._api is not None:
            self._api.timeout = seconds
        return before

    def info(self) -> EngineInfo:
        """Return what the engine says of itself; asked once."""
        if self._info is None:
            with self.calls("asking the engine what it is"):
                api = self.api
                version = api.version()
                self._info = read_info(api.info(), version, self.address, self._podman(version))
        return self._info

    def _podman(self, version: Any) -> Any:
        """Return what Podman tells on its own path, ``None`` for other engines.

        Its answer in Docker's form leaves out that it is rootless, and claims every limit.
        """
        for part in version.get("Components") or []:
            if "Podman" in str(part.get("Name")):
                number = (part.get("Details") or {}).get("APIVersion") or part.get("Version")
                answer = self.api.get(f"{self.api.base_url}/v{number}/libpod/info", timeout=30.0)
                return answer.json() if answer.ok else None
        return None

    @contextlib.contextmanager
    def calls(self, doing: str) -> Iterator[None]:
        """Turn what the SDK raises inside the block into this room's errors."""
        try:
            yield
        except EngineError:
            raise
        except lost_errors() as error:
            raise translate(error, doing, self.address) from error

    def reconnect(self, patience: float | None = None) -> bool:
        """Make the connection anew; try for ``patience`` seconds and tell whether it worked."""
        if patience is None:
            patience = PATIENCE_FAR if self.address.far else PATIENCE_NEAR
        deadline = time.monotonic() + patience
        pause = 0.2
        with self._mending:
            if self._api is not None and self._alive(self._api):
                # Another thread was quicker.
                return True
            while True:
                self.close()
                try:
                    self._api = connect(self.address, min(self.timeout, CONNECT_TIMEOUT))
                    self._api.timeout = self.timeout
                except EngineError:
                    if time.monotonic() + pause > deadline:
                        return False
                    time.sleep(pause)
                    pause = min(pause * 2, 5.0)
                else:
                    return True

    @staticmethod
    def _alive(api: APIClient) -> bool:
        try:
            return bool(api.get(f"{api.base_url}/_ping", timeout=3.0).ok)
        except lost_errors():
            return False

    def answers(self, timeout: float = 3.0) -> bool:
        """Tell whether the engine answers now, in at most ``timeout`` seconds."""
        try:
            api = connect(self.address, timeout)
        except EngineError:
            return False
        with contextlib.suppress(Exception):
            api.close()
        return True

    def close(self) -> None:
        """Let go of the connection; a dead one makes no noise."""
        api, self._api = self._api, None
        if api is not None:
            with contextlib.suppress(*lost_errors()):
                api.close()


def connect(address: Address, timeout: float) -> APIClient:
    """Return a client that has spoken with the engine, or raise why it cannot."""
    import docker
    from docker.tls import TLSConfig

    options: dict[str, Any] = {}
    if address.tls is not None:
        options["tls"] = TLSConfig(
            client_cert=(str(address.tls / "cert.pem"), str(address.tls / "key.pem")),
            ca_cert=str(address.tls / "ca.pem"),
            verify=address.verify_tls,
        )
    try:
        knock(address)
        # The paramiko mode: the other one starts an ssh process for each request, and loses
        # the streams of exec and logs.
        api = docker.APIClient(
            base_url=address.url,
            version="auto",
            timeout=timeout,
            use_ssh_client=False,
            **options,
        )
    except lost_errors() as error:
        raise translate(error, "connecting", address, first=True) from error
    transport = getattr(getattr(_adapter(api), "ssh_client", None), "get_transport", lambda: None)()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE)
    return api


def knock(address: Address) -> None:
    """Raise ``OSError`` if nobody listens at a Unix socket.

    The SDK would find out too, but leaves its own socket open then.
    """
    parts = urlsplit(address.url)
    if parts.scheme == "unix" and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(parts.path)


def _adapter(api: APIClient) -> object:
    return api.get_adapter(api.base_url)


def lost_errors() -> tuple[type[Exception], ...]:
    """Return the classes that the SDK and what is below it raise."""
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    found: list[type[Exception]] = [
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        EOFError,
        ssl.SSLError,
    ]
    paramiko = loaded("paramiko")
    if paramiko is not None:
        found.append(paramiko.SSHException)
    return tuple(found)


def all_errors() -> tuple[type[Exception], ...]:
    """Return :func:`lost_errors` and this program's own, for places that must not fail."""
    return (*lost_errors(), EngineError)


def translate(
    error: Exception, doing: str, address: Address, *, first: bool = False
) -> EngineError:
    """Return our error for one of the SDK's. ``first``: the very first contact failed."""
    import docker.errors

    text = cause_text(error)
    if first:
        message, hint = explain_contact(text, address, windows=sys.platform == "win32")
        return EngineUnavailableError(message, hint=hint)
    if isinstance(error, docker.errors.ImageNotFound):
        return ImageMissingError(f"{doing}: {escape_control(_explanation(error))}")
    if "no space left on device" in text.lower():
        return EngineError(
            f"{doing}: the engine's disk is full",
            hint="Free space where the engine keeps its data: docker system df, then\n"
            "docker builder prune, or delete archives that are loaded already.",
            code="engine.disk-full",
        )
    if isinstance(error, docker.errors.APIError) and error.is_client_error():
        return BoxRefusedError(
            f"{doing}: the engine refused: {escape_control(_explanation(error))}"
        )
    if isinstance(error, docker.errors.APIError):
        return EngineError(f"{doing}: the engine failed: {escape_control(_explanation(error))}")
    return EngineLostError(
        f"{doing}: the engine at {address.url} went away ({escape_control(text[:300])})",
        hint="See whether it still runs (docker info), then run the same command again:\n"
        "finished stages are not repeated.",
    )


def _explanation(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)


def cause_text(error: BaseException) -> str:
    """Return the texts of ``error`` and of what caused it, in one line."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(texts) < 6:
        texts.append(f"{type(seen).__name__}: {seen}")
        seen = seen.__cause__ or seen.__context__
    return " <- ".join(texts)


def explain_contact(text: str, address: Address, *, windows: bool) -> tuple[str, str]:
    """Return message and hint for a first contact that failed with ``text``."""
    where = f"{address.url} ({address.origin})"
    host = urlsplit(address.url).hostname or "the host"
    login = address.url.removeprefix("ssh://")
    rules = (
        (
            ("Permission denied", "PermissionError"),
            f"this user may not talk to the Docker engine at {where}",
            'sudo usermod -aG docker "$USER", then log in again. Or use rootless Docker.',
        ),
        (
            ("not found in known_hosts", "BadHostKeyException"),
            f"the SSH host key of {host} is not the known one, or not known yet",
            f"Check its fingerprint, then connect once by hand: ssh {login}",
        ),
        (
            ("AuthenticationException", "No authentication methods", "SSHException: No existing"),
            f"{host} did not accept our SSH key",
            f"Try: ssh {login} docker info. Load your key with ssh-add, or set IdentityFile.",
        ),
        (
            ("gaierror", "Name or service not known", "nodename nor servname"),
            f"the name {host} cannot be resolved",
            "Check the address of the engine, the network and the VPN.",
        ),
        (
            ("dial-stdio", "command not found"),
            f"{host} is reached, but has no docker command in its PATH",
            f"Install Docker there; check with: ssh {login} docker version",
        ),
    )
    for marks, message, hint in rules:
        if any(mark in text for mark in marks):
            return message, hint
    if urlsplit(address.url).scheme in {"unix", "npipe"}:
        start = "Start Docker Desktop." if windows else "sudo systemctl start docker"
        hint = (
            f"{start}\nOr choose another one: --engine ssh://user@host, or a Docker context.\n"
            "hef doctor tells more. The emulator also runs without Docker: --engine local"
        )
        return f"no Docker engine answers at {where}", hint
    return (
        f"no Docker engine answers at {where}: {escape_control(text[:200])}",
        "See whether it can be reached from here: docker info. hef doctor tells more.",
    )


def read_info(info: Any, version: Any, address: Address, podman: Any = None) -> EngineInfo:
    """Return the facts of ``docker info`` and ``docker version`` that we decide by (JSON in).

    ``podman`` is ``podman info``, if it is one.
    """
    host = (podman or {}).get("host") or {}
    security = [str(option) for option in info.get("SecurityOptions") or []]
    rootless = any("name=rootless" in option for option in security)
    rootless = rootless or bool((host.get("security") or {}).get("rootless"))
    parts = " ".join(str(part.get("Name", "")) for part in version.get("Components") or [])
    system = str(info.get("OperatingSystem") or "")
    name = str(info.get("Name") or "")
    lacks = tuple(
        limit
        for limit, key in (
            ("memory", "MemoryLimit"),
            ("swap", "SwapLimit"),
            ("cpus", "CpuCfsQuota"),
            ("pids", "PidsLimit"),
        )
        if info.get(key) is False or (limit in _CONTROLLERS and _withheld(limit, host, rootless))
    )
    return EngineInfo(
        kind="docker",
        name=name,
        address=address.url,
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        api=version.get("ApiVersion"),
        os=system,
        architecture=normal_architecture(str(info.get("Architecture") or "")),
        cpus=info.get("NCPU"),
        memory=info.get("MemTotal"),
        rootless=rootless,
        userns=any("name=userns" in option for option in security),
        product=_product(system, name, parts),
        data_root=info.get("DockerRootDir"),
        storage_driver=info.get("Driver"),
        runtimes=tuple(sorted(cast("dict[str, object]", info.get("Runtimes") or {}))),
        lacks=lacks,
        wsl="microsoft" in str(info.get("KernelVersion") or "").lower(),
        containerd_store=["driver-type", "io.containerd.snapshotter.v1"]
        in (info.get("DriverStatus") or []),
    )


#: Control group that a limit needs, for engines that name those that they have.
_CONTROLLERS = {"memory": "memory", "swap": "memory", "cpus": "cpu", "pids": "pids"}


def _withheld(limit: str, host: Any, rootless: bool) -> bool:
    """Tell whether a rootless Podman was not given the control group of a limit."""
    given = host.get("cgroupControllers")
    return bool(host) and rootless and _CONTROLLERS[limit] not in (given or [])


def _product(system: str, name: str, parts: str) -> Any:
    if "Docker Desktop" in system:
        return "desktop"
    if "OrbStack" in system or name == "orbstack":
        return "orbstack"
    if "Podman" in parts:
        return "podman"
    if name.startswith("colima"):
        return "colima"
    return "docker"


def normal_architecture(name: str) -> str:
    """Return the OCI name of a processor architecture (``amd64``, ``arm64``)."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)
