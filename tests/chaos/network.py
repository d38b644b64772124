"""A network that is cut, slow or loses packets, on the way to a Pi and to a store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.device.sshd import Sshd, start_sshds
from tests.chaos.builds import Ended, Place
from tests.chaos.count import Count, Ground
from tests.chaos.wire import WAYS, Wire, lacks, wire

#: Seconds within which every command must have ended when the link is dead.
DEVICE_ENDS, STORE_ENDS = 60.0, 60.0


@contextmanager
def _server(folder: Path, count: Count) -> Iterator[tuple[Wire, Sshd] | None]:
    """Give a real sshd behind a cable; nothing where there can be none."""
    count.skipped = lacks()
    if count.skipped is not None:
        yield None
        return
    os.environ["HEFSMITH_DATA"] = str(folder / "data")
    with wire() as cable:
        (server,) = start_sshds(folder / "far", 1, address=cable.address, inside=cable.inside)
        try:
            yield cable, server
        finally:
            server.stop()


def device(ground: Ground, count: Count) -> None:
    """Ship over a link with a fault: told in time, ``current`` whole, the next ship succeeds."""
    with _server(ground.folder, count) as found:
        if found is not None:
            _device(ground, count, *found)


def _device(ground: Ground, count: Count, cable: Wire, server: Sshd) -> None:
    from orchestrator.device.connection_pool import ConnectionPool
    from orchestrator.device.ship import look, ship
    from orchestrator.errors import HefsmithError
    from tests.unit.device.making import make_release

    def attempt(number: int) -> str:
        with ConnectionPool() as pool, pool.connect(server.spec) as session:
            return ship(session, make_release(ground.folder, size=400_000, seed=number)).release

    number, now = 1, attempt(0)
    while count.more:
        number += 1
        way = WAYS[count.tried % len(WAYS)]
        told = cable.spoil(way, ground.chance, 500_000)
        began, wrong, shipped = time.monotonic(), [], ""
        try:
            shipped = attempt(number)
        except HefsmithError as error:
            if not error.message.isprintable() or server.name not in error.message:
                wrong.append(f"told as {error.message!r}")
        except Exception as error:  # whatever else comes is a loss
            wrong.append(repr(error))
        seconds = time.monotonic() - began
        hit = cable.hits()
        cable.mend()
        if not hit:
            now = shipped or now
            count.missed()
            continue
        if seconds > DEVICE_ENDS and way != "slow":
            wrong.append(f"ended after {seconds:.0f} s")
        with ConnectionPool() as pool, pool.connect(server.spec) as session:
            there = look(session, "net").current
        after = attempt(number)
        if there not in (now, after):
            wrong.append(f"current was {there}")
        if shipped and there != shipped:
            wrong.append("shipped, and not current")
        now = after
        count.took(f"{told}: {seconds:.0f} s, {wrong}", not wrong)


def store(ground: Ground, count: Count) -> None:
    """Build, push and pull with a store over such a link: a store away costs nothing but time."""
    with _server(ground.folder, count) as found:
        if found is not None:
            _store(ground, count, *found)


def _store(ground: Ground, count: Count, cable: Wire, server: Sshd) -> None:
    alice, bob = Place.make(ground.folder / "alice"), Place.make(ground.folder / "bob")
    kind, key = Path(f"{server.key.parent}/host.pub").read_text().split()[:2]
    for one in (alice, bob):
        keys = one.root / "home" / ".ssh"
        keys.mkdir(mode=0o700)
        shutil.copy(server.key, keys / "id_ed25519")
        (keys / "known_hosts").write_text(f"[{cable.address}]:{server.port} {kind} {key}\n")
    share = ground.folder / "share"
    address = f"sftp://root@{cable.address}:{server.port}{share}"
    assert alice.hef().code == 0
    right = alice.digests()
    words = ("one", "--calibration", "--arch", "hailo8l")

    def push() -> Ended:
        return alice.hef("cache", "push", *words, "--to", address)

    def pull() -> Ended:
        return bob.hef("cache", "pull", *words, "--from", address)

    assert push().code == 0
    while count.more:
        bob.forget()
        act = ground.chance.choice(["push", "pull", "build"])
        if act == "push":
            shutil.rmtree(share)
        way = WAYS[count.tried % len(WAYS)]
        told = cable.spoil(way, ground.chance, 60_000)
        began = time.monotonic()
        if act == "build":
            ended = bob.hef(HEFSMITH_STORE=address)
        else:
            ended = push() if act == "push" else pull()
        seconds = time.monotonic() - began
        hit = cable.hits()
        cable.mend()
        wrong = []
        # A build never fails for its store; a copy that could not be made says so.
        if not ended.plain or ended.code not in ((0,) if act == "build" else (0, 1)):
            wrong.append(str(ended))
        if ended.code and not any(one in ended.err for one in (cable.address, "store")):
            wrong.append(f"does not name the store: {ended.err[-300:]}")
        if seconds > STORE_ENDS and way != "slow":
            wrong.append(f"ended after {seconds:.0f} s")
        after = [push(), alice.hef("cache", "verify", "--at", str(share)), pull(),
                 bob.hef("cache", "verify"), bob.hef()]  # fmt: skip
        wrong += [str(one) for one in after if one.code != 0 or not one.plain]
        if bob.digests() != right:
            wrong.append("another result")
        if hit:
            count.took(f"{act}, {told}, {seconds:.0f} s: {wrong}", not wrong)
        elif wrong:
            count.took(f"{act}, {told} (met nothing): {wrong}", False)
        else:
            count.missed()
