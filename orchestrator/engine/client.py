"""The connection to a Docker engine: made, checked, made again; its errors become ours."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.engine.facts import read_info
from orchestrator.engine.failures import is_sdks, lost_errors, translate
from orchestrator.engine.logins import Logins
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docker import APIClient

    from orchestrator.engine.address import Address
    from orchestrator.engine.base import EngineInfo

#: Seconds that one request may take; streams have no limit.
REQUEST_TIMEOUT = 60.0

#: Seconds until an engine must have answered the first time.
CONNECT_TIMEOUT = 10.0

#: Seconds for which a lost engine is called again before we give up: near, far.
PATIENCE_NEAR = 8.0
PATIENCE_FAR = 60.0

#: Seconds for which a new session is asked for where sshd has none free.
SESSION_PATIENCE = 20.0

#: What sshd answers then (RFC 4254, 5.1: SSH_OPEN_CONNECT_FAILED).
CONNECT_FAILED = 2

#: Seconds between SSH keep-alives, so that a dead network is noticed.
KEEPALIVE = 15


class Connection:
    """One client of one engine. Not for use by many threads at once, but for a few."""

    def __init__(self, address: Address, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self.address = address
        self.timeout = timeout
        self._api: APIClient | None = None
        self._info: EngineInfo | None = None
        self._settings: object | None = None
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

    def take_along(self, images: Iterable[str]) -> Logins:
        """Let the next builds take the logins along that these images need, and no others."""
        settings = getattr(self.api, "_auth_configs", None)
        if self._settings is None:
            self._settings = settings
        logins = Logins(self._settings, images)
        setattr(self.api, "_auth_configs", logins.for_sdk())  # noqa: B010 - the SDK has no option
        return logins

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
        except Exception as error:
            if isinstance(error, lost_errors()) or is_sdks(error):
                raise translate(error, doing, self.address) from error
            raise

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

    options: dict[str, object] = {}
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
    except Exception as error:
        if isinstance(error, lost_errors()) or is_sdks(error):
            raise translate(error, "connecting", address, first=True) from error
        raise
    check_answers(api)
    transport = getattr(getattr(_adapter(api), "ssh_client", None), "get_transport", lambda: None)()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE)
        wait_for_sessions(transport)
    return api


def wait_for_sessions(transport: Any) -> None:
    """Let an SSH transport wait for a free session where its server has none left.

    sshd allows ten on one connection, and counts one that was closed until the program at its
    other end is gone: on a busy machine the next request comes first.
    """
    from paramiko import ChannelException

    open_session = transport.open_session

    def patient(*given: Any, **named: Any) -> Any:
        deadline = time.monotonic() + SESSION_PATIENCE
        while True:
            try:
                return open_session(*given, **named)
            except ChannelException as error:
                if error.code != CONNECT_FAILED or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    transport.open_session = patient


#: Calls of the SDK that pass on what the engine answers, and what that must be.
ANSWERS: tuple[tuple[type[object], tuple[str, ...]], ...] = (
    (dict, ("version", "info", "inspect_image", "inspect_container", "inspect_volume", "volumes")),
    (list, ("images", "containers", "history")),
)


def check_answers(api: APIClient) -> None:
    """Let a client raise :class:`EngineError` for answers that are no objects, or lists of them."""
    for kind, names in ANSWERS:
        for name in names:
            setattr(api, name, _checked(getattr(api, name), name, kind))


def _checked(call: Callable[..., Any], name: str, kind: type[object]) -> Callable[..., Any]:
    def checked(*given: Any, **named: Any) -> Any:
        found = call(*given, **named)
        if not isinstance(found, kind) or (
            isinstance(found, list) and not all(isinstance(one, dict) for one in found)
        ):
            msg = (
                f"what answers there is not a Docker engine: {name.replace('_', ' ')} gave "
                f"{escape_control(repr(found)[:80])}"
            )
            raise EngineError(
                msg,
                hint="See what listens at that address: docker info.",
                code="engine.answer",
            )
        return found

    return checked


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
