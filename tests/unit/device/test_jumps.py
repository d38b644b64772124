"""Jump hosts: each hop is reached through those before it, and opened once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.device import connection_pool
from orchestrator.device.base import DeviceSpec
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.route import Route
from orchestrator.errors import ConfigError


class FakeConnection:
    """A connection that knows its host, and through which other one it was opened."""

    def __init__(self, host: str, tunnel: FakeConnection | None) -> None:
        self.host = host
        self.tunnel = tunnel

    def is_closed(self) -> bool:
        return False

    @property
    def way(self) -> list[str]:
        return [*(self.tunnel.way if self.tunnel is not None else []), self.host]


def route_with_jumps(*jumps: str) -> Route:
    options: Any = None
    return Route(
        options=options, host="host", port=22, user="user", label="host", jumps=jumps, proxied=False
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hosts in the order in which connections to them were opened."""
    order: list[str] = []
    jumps: dict[str, tuple[str, ...]] = {"gate": ("outer",)}

    async def open_connection(
        spec: DeviceSpec, route: Any, *, tunnel: FakeConnection | None, password: object
    ) -> tuple[FakeConnection, None]:
        order.append(spec.host)
        return FakeConnection(spec.host, tunnel), None

    monkeypatch.setattr(connection_pool, "open_connection", open_connection)
    monkeypatch.setattr(
        connection_pool, "read_route", lambda spec: route_with_jumps(*jumps.get(spec.host, ()))
    )
    return order


def tunnel(*jumps: str, times: int = 1) -> list[str]:
    pool = ConnectionPool()
    spec = DeviceSpec(name="pi", kind="ssh", host="pi")

    async def reach() -> Any:
        for _ in range(times):
            last = await pool._tunnel(spec, route_with_jumps(*jumps), None)
        return last

    last = asyncio.run(reach())
    return [] if last is None else last.way


def test_without_jumps_there_is_no_tunnel(opened: list[str]) -> None:
    assert tunnel() == []
    assert opened == []


def test_each_hop_is_reached_through_the_one_before(opened: list[str]) -> None:
    assert tunnel("a", "b", "c") == ["a", "b", "c"]
    assert opened == ["a", "b", "c"]


def test_the_first_hop_takes_the_jumps_of_its_own_settings(opened: list[str]) -> None:
    assert tunnel("gate", "b") == ["outer", "gate", "b"]


def test_a_later_hop_goes_through_the_first_and_not_by_its_own_settings(opened: list[str]) -> None:
    assert tunnel("a", "gate") == ["a", "gate"]


def test_a_hop_is_opened_once(opened: list[str]) -> None:
    tunnel("a", "b", times=3)
    assert opened == ["a", "b"]


@pytest.mark.parametrize("way", [("bastion",), ("a", "b"), ("a", "b", "c")])
def test_jump_hosts_that_lead_back_to_themselves_are_refused_and_not_waited_for(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...]
) -> None:
    """What ``Host *`` with ``ProxyJump bastion`` says of the bastion, too."""
    following = dict(zip(way, (*way[1:], way[0]), strict=True))
    monkeypatch.setattr(
        connection_pool, "read_route", lambda spec: route_with_jumps(following[spec.host])
    )

    async def reach() -> None:
        pool = ConnectionPool()
        spec = DeviceSpec(name="pi", kind="ssh", host="pi")
        async with asyncio.timeout(5):
            await pool._tunnel(spec, route_with_jumps(way[0]), None)

    with pytest.raises(ConfigError, match=f"pi: .* {way[0]} through {way[0]} itself") as told:
        asyncio.run(reach())
    assert f"Host {way[0]}\n  ProxyJump none" in str(told.value.hint)
    assert opened == []
