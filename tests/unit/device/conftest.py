"""Devices for the tests of this room: each test has an embedded one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator.device.base import EMBEDDED, DeviceSpec, Identity
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.session import SshSession


@pytest.fixture(scope="session")
def pool() -> Iterator[ConnectionPool]:
    with ConnectionPool() as shared:
        yield shared


@pytest.fixture
def device(pool: ConnectionPool, request: pytest.FixtureRequest) -> DeviceSpec:
    """An embedded device of the test's own: its home folder is empty."""
    return replace(EMBEDDED, name=f"embedded-{request.node.name}"[:60])


@pytest.fixture(scope="session")
def known_identity(pool: ConnectionPool) -> Identity:
    """What an embedded device says of itself; asked once, since its tools take a while."""
    with pool.connect(replace(EMBEDDED, name="embedded-known")) as opened:
        return opened.identify(level="quick")


@pytest.fixture
def session(
    pool: ConnectionPool, device: DeviceSpec, known_identity: Identity
) -> Iterator[SshSession]:
    with pool.connect(device) as opened:
        opened._identities["quick"] = known_identity
        yield opened
