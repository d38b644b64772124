"""Many devices at once."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from orchestrator.device.base import EMBEDDED, DeviceSpec
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.fleet import VisitResult, run_fleet
from orchestrator.device.session import SshSession


def specs(count: int) -> list[DeviceSpec]:
    return [replace(EMBEDDED, name=f"fleet-{number}") for number in range(count)]


def test_one_failure_never_stops_the_others(pool: ConnectionPool) -> None:
    devices = specs(4)
    devices[1] = DeviceSpec(name="gone", host="127.0.0.1", port=1, user="pi")
    ended: list[VisitResult[str]] = []
    outcomes = run_fleet(pool, devices, lambda s: s.spec.name, on_end=ended.append)
    assert [outcome.spec.name for outcome in outcomes] == [spec.name for spec in devices]
    assert [outcome.ok for outcome in outcomes] == [True, False, True, True]
    assert outcomes[1].error is not None
    assert outcomes[1].error.code == "device.unreachable"
    assert outcomes[2].result == "fleet-2"
    assert len(ended) == 4


def test_no_more_connections_than_allowed_are_open_at_once(pool: ConnectionPool) -> None:
    now, most, lock = [0], [0], threading.Lock()

    def work(session: SshSession) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        session.run(["sleep", "0.05"])
        with lock:
            now[0] -= 1

    run_fleet(pool, specs(6), work, connections=2)
    assert most[0] == 2


def test_a_bug_is_not_taken_for_a_device_that_failed(pool: ConnectionPool) -> None:
    def work(session: SshSession) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_fleet(pool, specs(2), work)
