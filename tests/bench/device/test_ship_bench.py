"""How fast shipping is, against scp on the same machine in the same run."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.fleet import run_fleet
from orchestrator.device.ship import ship

from .sshd import Sshd, start_sshds

pytestmark = [pytest.mark.bench, pytest.mark.timeout(400)]

MEGABYTE = 1_000_000
FLEET = 32

_path = Path(__file__).parents[2] / "unit" / "device" / "making.py"
_spec = importlib.util.spec_from_file_location("hefsmith_bench_making", _path)
assert _spec is not None
assert _spec.loader is not None
making = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = making
_spec.loader.exec_module(making)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory: the disk of this machine is not what is measured."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base, prefix="hefsmith-bench-") as name:
        yield Path(name)


@pytest.fixture
def devices(folder: Path) -> Iterator[Callable[[int], list[Sshd]]]:
    started: list[Sshd] = []

    def start(count: int) -> list[Sshd]:
        started.extend(start_sshds(folder / "sshd", count))
        return started

    yield start
    for one in started:
        one.stop()


def seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def test_an_upload_of_30_mb_is_about_as_fast_as_scp(
    devices: Callable[[int], list[Sshd]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both with connecting; ours also compares the sha256 there and flushes."""
    (device,) = devices(1)
    source = folder / "source"
    source.write_bytes(os.urandom(30 * MEGABYTE))
    ours, theirs = [], []
    with ConnectionPool() as pool:

        def put() -> None:
            with pool.connect(device.spec) as session:
                session.put(source, PurePosixPath("ours"))

        put()
        for _ in range(7):
            theirs.append(seconds(lambda: subprocess.run(device.scp(source, "scp"), check=True)))
            ours.append(seconds(put))
    assert (device.home / "ours").read_bytes() == source.read_bytes()
    ratio = statistics.median(theirs) / statistics.median(ours)
    with capsys.disabled():
        print(f"\n30 MB: scp {statistics.median(theirs):.2f} s, ours "
              f"{statistics.median(ours):.2f} s, rate {ratio:.2f} of scp's")  # fmt: skip
    # The aim is 0.9; a busy machine is given room, so that only a real loss fails.
    assert ratio >= 0.6


def test_an_unchanged_ship_ends_in_under_a_second(
    devices: Callable[[int], list[Sshd]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (device,) = devices(1)
    """On a machine that is busy with other things: in a few times what one login takes."""
    release = making.make_release(folder / "release", size=30 * MEGABYTE)
    taken, logins = [], []
    login = ["ssh", *device.options, "-p", str(device.port), "127.0.0.1", "true"]
    with ConnectionPool() as pool:
        for _ in range(5):
            logins.append(seconds(lambda: subprocess.run(login, check=True)))

            def once() -> None:
                with pool.connect(device.spec) as session:
                    ship(session, release)

            taken.append(seconds(once))
    with capsys.disabled():
        print(f"\n30 MB: first ship {taken[0]:.2f} s, unchanged {min(taken[1:]):.2f} s, "
              f"a login {min(logins):.2f} s")  # fmt: skip
    assert min(taken[1:]) < max(1.5, 6 * min(logins))


def test_32_devices_take_at_most_half_more_than_32_scp_at_once(
    devices: Callable[[int], list[Sshd]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = devices(FLEET)
    release = making.make_release(folder / "release", size=10 * MEGABYTE)
    hef = release.files[release.hef]

    def copy_all() -> None:
        running = [subprocess.Popen(one.scp(hef, "scp")) for one in fleet]
        assert [one.wait() for one in running] == [0] * FLEET

    def ship_all() -> None:
        outcomes = run_fleet(pool, [one.spec for one in fleet], lambda one: ship(one, release))
        assert [one.error for one in outcomes] == [None] * FLEET

    theirs, ours = [], []
    for _ in range(2):
        for one in fleet:  # nothing may be there from before
            subprocess.run(["rm", "-rf", str(one.home / ".hefsmith")], check=True)
        theirs.append(seconds(copy_all))
        with ConnectionPool() as pool:
            ours.append(seconds(ship_all))
    ratio = min(ours) / min(theirs)
    with capsys.disabled():
        print(f"\n{FLEET} devices, 10 MB each: scp {min(theirs):.2f} s, ours {min(ours):.2f} s, "
              f"{ratio:.2f} times")  # fmt: skip
    # The aim is 1.5; see above.
    assert ratio <= 2.5


PROGRAM = """
import sys
from pathlib import Path
from orchestrator.device.base import DeviceSpec, Release
from orchestrator.device.fleet import run_fleet
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.ship import ship

key, hef, *ports = sys.argv[1:]
release = Release(model="m", arch="hailo8l", hef="m.emulated.hef",
                  files={"m.emulated.hef": Path(hef)})
specs = [DeviceSpec(name=p, host="127.0.0.1", port=int(p), identity_file=Path(key)) for p in ports]
with ConnectionPool() as pool:
    outcomes = run_fleet(pool, specs, lambda one: ship(one, release))
assert all(one.ok for one in outcomes), [one.error for one in outcomes]
# Not ru_maxrss: a program inherits that of what it was forked from.
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024)
"""


def test_memory_stays_flat_in_the_number_of_devices(
    devices: Callable[[int], list[Sshd]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = devices(FLEET)
    hef = making.make_hef(folder / "m.hef", size=20 * MEGABYTE)

    def peak(some: list[Sshd]) -> int:
        words = [sys.executable, "-c", PROGRAM, str(some[0].key), str(hef)]
        words += [str(one.port) for one in some]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    two, all_of_them = peak(fleet[:2]), peak(fleet[2:])
    with capsys.disabled():
        print(f"\npeak memory: {two} MiB with 2 devices, {all_of_them} MiB with {FLEET - 2}")
    # 30 uploads of 20 MB each hold a window of data in flight, never the files.
    assert all_of_them < two + 60
