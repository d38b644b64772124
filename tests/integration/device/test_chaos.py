"""What happens to a real sshd's device when everything goes wrong.

After each fault ``current`` points to a whole release (checked on the device, by its own
tools), and the next run succeeds.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.device.base import Release
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import DeviceFull, LinkLost
from orchestrator.device.ship import ShipEvent, look, ship

from .pi import Pi
from .pi_image import DOCKER, run
from .releases import make_release

pytestmark = pytest.mark.engine

PROGRAM = Path(__file__).with_name("ship_and_stop.py")
STEPS = ("locking", "sending", "publishing", "switching", "pruning", "done")


@contextmanager
def rule(*words: str) -> Iterator[None]:
    """Have a rule in the host's firewall for the time of the block."""
    run("iptables", "-I", *words)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *words], check=True)


def cut_after(pi: Pi, count: int) -> tuple[str, ...]:
    """Return the rule that swallows packets to a Pi when a connection has sent ``count`` bytes."""
    return (
        "OUTPUT", "-d", pi.address, "-m", "connbytes", "--connbytes", f"{count}:",
        "--connbytes-dir", "original", "--connbytes-mode", "bytes", "-j", "DROP",
    )  # fmt: skip


def veth_of(pi: Pi) -> str:
    """Return the host's end of a Pi's network cable."""
    index = pi.sh("cat /sys/class/net/eth0/iflink")
    for line in run("ip", "-o", "link").splitlines():
        if line.startswith(f"{index}:"):
            return line.split(":")[1].strip().split("@")[0]
    raise AssertionError(index)


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_an_upload_cut_at_5_mb_is_noticed_in_seconds_and_resumed(
    pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    first = make_release(tmp_path / "1", seed=1)
    second = make_release(tmp_path / "2", size=20_000_000, seed=2)
    with pool.connect(pi.spec) as session:
        before = ship(session, first).release
    moved = [0.0]
    with rule(*cut_after(pi, 5_000_000)):
        with pytest.raises(LinkLost, match="connection was lost"), pool.connect(pi.spec) as session:
            ship(session, second, watch=lambda _: moved.append(time.monotonic()))
        assert time.monotonic() - moved[-1] < 10
    assert pi.current() == before
    with pool.connect(pi.spec) as session:
        result = ship(session, second)
    sent = next(file for file in result.files if file.name == second.hef)
    assert sent.fate == "resumed"
    assert 0 < sent.bytes - sent.sent_bytes < 6_000_000
    assert pi.current() == result.release


@pytest.mark.second_try("a real link is cut or slowed")
def test_a_slow_link_is_slow_and_not_taken_for_a_dead_one(
    pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    release = make_release(tmp_path, size=8_000_000)
    with pool.connect(pi.spec) as session:
        session.identify(level="quick")
        veth = veth_of(pi)
        # What the host sends leaves through its end of the cable: 6 Mbit/s, deep queue.
        run("tc", "qdisc", "replace", "dev", veth, "root", "tbf", "rate", "6mbit",
            "burst", "64k", "latency", "2s")  # fmt: skip
        started = time.monotonic()
        result = ship(session, release)
        assert time.monotonic() - started > 8
    assert pi.current() == result.release


def test_a_device_switched_off_in_mid_upload_and_booted_again_is_resumed(
    pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    release = make_release(tmp_path, size=20_000_000)
    off = threading.Event()

    def unplug(event: ShipEvent) -> None:
        if event.step == "sending" and event.done > 8_000_000 and not off.is_set():
            off.set()
            pi.unplug()

    with pytest.raises(LinkLost), pool.connect(pi.spec) as session:
        ship(session, release, watch=unplug)
    pi.restart()
    pi.trust()
    assert pi.current() is None
    with pool.connect(pi.spec) as session:
        result = ship(session, release)
    assert result.sent_bytes < result.total_bytes
    assert pi.current() == result.release


def test_a_job_on_a_device_that_is_switched_off_ends_with_an_error(
    pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    script = tmp_path / "job.py"
    script.write_text('print(\'{"event": "begun"}\', flush=True)\nimport time\ntime.sleep(60)\n')
    with pytest.raises(LinkLost), pool.connect(pi.spec) as session:
        session.run_job(script, on_event=lambda _: pi.unplug())
    pi.restart()
    pi.trust()
    quick = tmp_path / "quick.py"
    quick.write_text('print(\'{"event": "ran"}\')\n')
    with pool.connect(pi.spec) as session:
        assert session.run_job(quick).events == ({"event": "ran"},)


def test_a_disk_that_is_too_small_is_refused_before_a_byte_is_sent(
    start_pi: Callable[..., Pi], pool: ConnectionPool, tmp_path: Path
) -> None:
    pi = start_pi(options=("--tmpfs", "/home/pi:size=30m,uid=1000,mode=0755"))
    with pool.connect(pi.spec) as session:
        before = ship(session, make_release(tmp_path / "1", size=2_000_000)).release
        with pytest.raises(DeviceFull, match="must be sent"):
            ship(session, make_release(tmp_path / "2", size=20_000_000, seed=2))
    assert pi.current() == before
    assert pi.sh("ls -A /home/pi/.hefsmith/net/incoming") == ""


def test_a_disk_that_fills_in_mid_upload_leaves_the_old_release_and_is_resumed(
    start_pi: Callable[..., Pi], pool: ConnectionPool, tmp_path: Path
) -> None:
    pi = start_pi(options=("--tmpfs", "/home/pi:size=64m,uid=1000,mode=0755"))
    first = make_release(tmp_path / "1", size=2_000_000, seed=1)
    second = make_release(tmp_path / "2", size=30_000_000, seed=2)
    filled = threading.Event()

    def fill(event: ShipEvent) -> None:
        if event.step == "sending" and event.done > 10_000_000 and not filled.is_set():
            filled.set()
            pi.sh("dd if=/dev/zero of=/home/pi/filler bs=1M 2>/dev/null || true")

    with pool.connect(pi.spec) as session:
        before = ship(session, first).release
        with pytest.raises(DeviceFull, match="No space left"):
            ship(session, second, watch=fill)
        assert pi.current() == before
        pi.sh("rm /home/pi/filler")
        # The same session goes on: what was sent too much has been dropped in order.
        result = ship(session, second)
    assert result.sent_bytes < result.total_bytes
    assert pi.current() == result.release


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_a_program_killed_at_any_step_harms_nothing(
    pi: Pi, pool: ConnectionPool, tmp_path: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    releases = [make_release(tmp_path / str(n), size=6_000_000, seed=n) for n in range(7)]
    with pool.connect(pi.spec) as session:
        before = ship(session, _alone(releases[0])).release
    for step, release in zip(STEPS, releases[1:], strict=True):
        hef = release.files[release.hef]
        running = program(sys.executable, PROGRAM, pi.address, pi.key, hef, step)
        assert running.stdout is not None
        assert running.stdout.readline().strip() == step, running.communicate()
        running.send_signal(signal.SIGKILL)
        running.wait()
        after = pi.current()
        with pool.connect(pi.spec) as session:
            result = ship(session, _alone(release))
            assert after in (before, result.release), step
            assert (after == result.release) == (step in ("pruning", "done")), step
            if step == "sending":
                assert 0 < result.sent_bytes < result.total_bytes
            before = result.release
        assert pi.current() == before
        assert pi.sh("ls -A /home/pi/.hefsmith/net/drafts /home/pi/.hefsmith/jobs || true")


def test_two_ships_at_once_end_one_after_the_other(
    pi: Pi, pool: ConnectionPool, tmp_path: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    releases = [make_release(tmp_path / str(n), size=8_000_000, seed=n) for n in range(2)]
    running = [
        program(sys.executable, PROGRAM, pi.address, pi.key, one.files[one.hef], "never")
        for one in releases
    ]
    for one in running:
        out, err = one.communicate(timeout=90)
        assert out.strip() == "shipped", err
    with pool.connect(pi.spec) as session:
        shelf = look(session, "net")
    assert len(shelf.history) == 2
    assert pi.current() == shelf.history[-1]


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_a_lock_held_over_a_dead_link_is_given_up(
    pi: Pi, pool: ConnectionPool, tmp_path: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    release = make_release(tmp_path, size=3_000_000)
    running = program(
        sys.executable, PROGRAM, pi.address, pi.key, release.files[release.hef], "publishing"
    )
    assert running.stdout is not None
    assert running.stdout.readline().strip() == "publishing"
    port = pi.sh("ss -Htn state established '( sport = :22 )'").split()[-1].rsplit(":", 1)[1]
    # The link dies without a word: the device's sshd never learns that the host has gone.
    with rule("OUTPUT", "-d", pi.address, "-p", "tcp", "--sport", port, "-j", "DROP"):
        running.kill()
        running.wait()
        with pool.connect(pi.spec) as session:
            result = ship(session, _alone(release))
    assert pi.current() == result.release


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_no_helper_stays_on_the_device_after_cut_sessions(pi: Pi, tmp_path: Path) -> None:
    release = make_release(tmp_path, size=3_000_000)
    for _ in range(3):
        with ConnectionPool() as pool, pytest.raises(LinkLost), pool.connect(pi.spec) as session:
            ship(
                session,
                release,
                watch=lambda event: session.conn.abort() if event.step == "publishing" else None,
            )
    deadline = time.monotonic() + 20
    while (left := pi.sh("pgrep -fc [h]efsmith_onboard || true")) != "0":
        assert time.monotonic() < deadline, left
        time.sleep(0.3)


def _alone(release: Release) -> Release:
    """Return the release as ``ship_and_stop.py`` makes it of the same HEF."""
    name = "net.emulated.hef"
    return Release(model="net", arch="hailo8l", hef=name, files={name: release.files[release.hef]})


@pytest.fixture(autouse=True)
def need_tools() -> None:
    for tool in ("iptables", "tc", "ssh-keyscan", DOCKER):
        assert shutil.which(tool), f"{tool} is missing"
