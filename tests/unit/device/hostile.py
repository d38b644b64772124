"""A Pi that lies: an SSH server on loopback whose agent does what a test tells it to."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import asyncssh
import psutil

from orchestrator.device.address import host_label
from orchestrator.device.agent_boot import agent_payload
from orchestrator.device.agent_client import MAGIC
from orchestrator.device.base import DeviceSpec
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.trust import add_trust

HELLO = {
    "protocol": 1,
    "home": "/home/pi",
    "python": "3.11.2",
    "machine": "aarch64",
    "disk_free": 1,
}
DIGEST = "0" * 64


class Liar:
    """The agent's end of one session."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.process = process

    async def begin(self) -> None:
        """Say hello as the real agent does."""
        await self.process.stdin.readexactly(len(agent_payload()))
        self.process.stdout.write(MAGIC)
        await self.request("hello")
        self.answer(HELLO)

    async def request(self, *names: str) -> dict[str, object]:
        """Return the next request; one of ``names``, if there are some."""
        while True:
            kind, payload = await self.frame()
            if kind == b"J":
                found: dict[str, object] = json.loads(payload)
                if not names or found["do"] in names:
                    return found

    async def frame(self) -> tuple[bytes, bytes]:
        kind, length = struct.unpack(">cI", await self.process.stdin.readexactly(5))
        return kind, await self.process.stdin.readexactly(length) if length else b""

    def send(self, kind: bytes, payload: bytes, length: int | None = None) -> None:
        size = len(payload) if length is None else length
        self.process.stdout.write(struct.pack(">cI", kind, size) + payload)

    def answer(self, value: object) -> None:
        self.send(b"J", json.dumps(value).encode())

    async def flood(self, kind: bytes, payload: bytes) -> None:
        """Send the same frame for as long as anybody listens."""
        while True:
            self.send(kind, payload)
            await self.process.stdout.drain()

    async def beat(self) -> None:
        """Be there, and do nothing."""
        while True:
            self.send(b"B", b"")
            await asyncio.sleep(0.02)


Lie = Callable[[Liar], Awaitable[None]]


class Door(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return False


@contextmanager
def hostile_pi(
    pool: ConnectionPool, lie: Lie, *, start: bool = True, name: str = "liar"
) -> Iterator[DeviceSpec]:
    """Give the spec of a device that lies; ``start``: after an honest hello."""
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        with suppress(asyncssh.Error, OSError, EOFError):
            liar = Liar(process)
            if start:
                await liar.begin()
            await lie(liar)
        process.exit(0)

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Door, server_host_keys=[key], config=None,
            process_factory=serve, encoding=None,
        )  # fmt: skip

    async def stop() -> None:
        server.close()

    server = pool.thread.call(listen())
    port = server.get_port()
    add_trust(host_label("127.0.0.1", port), key.convert_to_public(), comment="test")
    try:
        yield DeviceSpec(name=name, host="127.0.0.1", port=port, user="pi")
    finally:
        pool.thread.call(stop())


def resident_bytes() -> int:
    """Return this process's memory, in bytes."""
    return int(psutil.Process().memory_info().rss)
