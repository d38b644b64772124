"""Connections that sessions share: the loop thread, jump hosts, the embedded server."""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from orchestrator.device.address import device_argument
from orchestrator.device.connection import (
    fetch_host_key,
    hop_specs,
    is_trusted,
    jump_spec,
    open_connection,
    open_embedded,
    read_route,
)
from orchestrator.device.embedded import EmbeddedServer
from orchestrator.device.loop import LoopThread
from orchestrator.device.session import SshSession
from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import asyncssh

    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.boxed import CarrierMaker
    from orchestrator.device.route import Route


class ConnectionPool:
    """Opens sessions. Use as a context manager, or take :func:`default_pool`.

    All sessions of a pool go through one connection per jump host, however many they are.
    """

    def __init__(self) -> None:
        self.thread = LoopThread()
        self._jumps: dict[tuple[str, ...], asyncssh.SSHClientConnection] = {}
        self._open: set[asyncssh.SSHClientConnection] = set()
        self._locks: dict[object, asyncio.Lock] = {}
        self._embedded: dict[DeviceSpec, EmbeddedServer] = {}
        #: Starts the embedded device's programs in a container; ``None``: they run here.
        self.box: CarrierMaker | None = None

    def connect(
        self, spec: DeviceSpec, *, password: Callable[[str], str] | None = None
    ) -> SshSession:
        """Open a session; ``password`` is called with a prompt only if the spec asks for one.

        Raises :class:`DeviceUnreachable`, :class:`HostKeyUnknown`, :class:`HostKeyChanged` and
        :class:`LoginRefused`.
        """
        work = self._connect_and_note(spec, password)
        conn = self.thread.call(work, doing=f"{escape_control(spec.name)}: connecting")
        return SshSession(self.thread, spec, conn)

    def host_key(self, spec: DeviceSpec) -> tuple[str, asyncssh.SSHKey]:
        """Return the name that known_hosts files use for a device, and the key that it shows."""
        route = read_route(spec)
        return route.label, self.thread.call(
            self._host_key(spec, route), doing=f"{escape_control(spec.name)}: asking for its key"
        )

    def hops(self, spec: DeviceSpec) -> tuple[DeviceSpec, ...]:
        """Return the jump hosts on the way to a device, the first one first."""
        return hop_specs(spec, read_route(spec)) if spec.about.routed else ()

    def trusts(self, spec: DeviceSpec, key: asyncssh.SSHKey) -> bool:
        """Tell whether a host may show ``key``, by our file or the user's own."""
        return is_trusted(spec, read_route(spec), key)

    def abort(self) -> None:
        """Cut off everything that runs; the pool can still be used and must still be closed."""
        self.thread.cancel_calls()

    def close(self) -> None:
        """Close what is shared, and the sessions that are still open."""
        if not self.thread.loop.is_closed():
            self.thread.call(self._close())
            self.thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _connect_and_note(
        self, spec: DeviceSpec, password: Callable[[str], str] | None
    ) -> asyncssh.SSHClientConnection:
        conn = await self._connect(spec, password)
        self._open = {one for one in self._open if not one.is_closed()} | {conn}
        return conn

    async def _connect(
        self, spec: DeviceSpec, password: Callable[[str], str] | None
    ) -> asyncssh.SSHClientConnection:
        return await WAYS[spec.kind](self, spec, password)

    async def by_ssh(
        self, spec: DeviceSpec, password: Callable[[str], str] | None
    ) -> asyncssh.SSHClientConnection:
        """Connect over the network, by way of the jump hosts."""
        route = await asyncio.to_thread(read_route, spec)
        tunnel = await self._tunnel(spec, route, password)
        conn, _ = await open_connection(spec, route, tunnel=tunnel, password=password)
        assert conn is not None
        return conn

    async def to_own_server(
        self, spec: DeviceSpec, _: Callable[[str], str] | None
    ) -> asyncssh.SSHClientConnection:
        """Connect to a server of this process, which is started for it."""
        return await open_embedded(spec, await self._server(spec))

    async def _host_key(self, spec: DeviceSpec, route: Route) -> asyncssh.SSHKey:
        return await fetch_host_key(spec, route, await self._tunnel(spec, route, None))

    async def _server(self, spec: DeviceSpec) -> EmbeddedServer:
        async with self._lock(spec):
            if spec not in self._embedded:
                server = EmbeddedServer(spec, self.box)
                await server.start()
                self._embedded[spec] = server
            return self._embedded[spec]

    async def _tunnel(
        self, spec: DeviceSpec, route: Route, password: Callable[[str], str] | None
    ) -> asyncssh.SSHClientConnection | None:
        """Return the connection to the last jump host, opening each hop once per pool."""
        via: asyncssh.SSHClientConnection | None = None
        await asyncio.to_thread(_refuse_circle, spec, route)
        hops = hop_specs(spec, route)
        for number in range(len(hops)):
            key = route.jumps[: number + 1]
            async with self._lock(key):
                known = self._jumps.get(key)
                if known is None or known.is_closed():
                    hop = replace(hops[number], ask_password=spec.ask_password)
                    hop_route = await asyncio.to_thread(read_route, hop)
                    if via is None:  # a first hop may have jumps of its own
                        via = await self._tunnel(hop, hop_route, password)
                    known, _ = await open_connection(hop, hop_route, tunnel=via, password=password)
                    assert known is not None
                    self._jumps[key] = known
                via = known
        return via

    def _lock(self, key: object) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _close(self) -> None:
        left = [*self._open, *self._jumps.values()]  # sessions first: they go through jumps
        for conn in left:
            conn.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                ends = (conn.wait_closed() for conn in left)
                await asyncio.gather(*ends, return_exceptions=True)
        for server in self._embedded.values():
            await server.close()


def _refuse_circle(spec: DeviceSpec, route: Route) -> None:
    """Refuse jump hosts that lead back to themselves, as ``Host *`` with ``ProxyJump`` does.

    Asked before anything is locked: a hop would wait for itself without end.
    """
    passed: list[str] = []
    while route.jumps:
        first = route.jumps[0]
        if first in passed:
            shown = escape_control(first)
            msg = (
                f"{escape_control(spec.name)}: the ssh configuration leads to the jump host "
                f"{shown} through {shown} itself"
            )
            hint = (
                "Put these two lines above the entry with ProxyJump in ~/.ssh/config:\n"
                f"Host {shown}\n  ProxyJump none\n"
                "The address and the user of that host can stand below them."
            )
            raise ConfigError(msg, hint=hint, code="device.jump-circle")
        passed.append(first)
        route = read_route(jump_spec(first, for_device=device_argument(spec)))


_guard = threading.Lock()
_default: ConnectionPool | None = None


def _tell(text: str) -> None:
    """Say what is waited for; a live display shows it above its own lines."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def default_pool() -> ConnectionPool:
    """Return the process's own pool, closed when the process ends."""
    global _default
    with _guard:
        if _default is None or _default.thread.loop.is_closed():
            _default = ConnectionPool()
            _default.thread.on_wait = _tell
            atexit.register(_default.close)
        return _default


#: How devices of each of ``KINDS`` are reached.
WAYS: Mapping[
    str,
    Callable[
        [ConnectionPool, DeviceSpec, Callable[[str], str] | None],
        Awaitable[asyncssh.SSHClientConnection],
    ],
] = {"ssh": ConnectionPool.by_ssh, "embedded": ConnectionPool.to_own_server}
