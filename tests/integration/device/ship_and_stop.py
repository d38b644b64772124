"""Run as a program: ship, say where it is, and stand still at one step until it is killed.

python ship_and_stop.py ADDRESS KEY HEF STEP
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orchestrator.device.base import DeviceSpec, Release
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.ship import ShipEvent, ship


def main(address: str, key: str, hef: str, step: str) -> None:
    def watch(event: ShipEvent) -> None:
        half = event.step != "sending" or event.done > event.total / 2
        if event.step == step and half:
            print(step, flush=True)
            time.sleep(600)

    spec = DeviceSpec(name="pi", host=address, user="pi", identity_file=Path(key))
    release = Release(
        model="net", arch="hailo8l", hef="net.emulated.hef",
        files={"net.emulated.hef": Path(hef)},
    )  # fmt: skip
    with ConnectionPool() as pool, pool.connect(spec) as session:
        ship(session, release, watch=watch)
    print("shipped", flush=True)


main(*sys.argv[1:])
