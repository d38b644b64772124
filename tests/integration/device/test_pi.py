"""A stand-in Pi behind a real sshd: keys, refusals, jump hosts, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hefsmith_worker.contract.findings import ERROR

from orchestrator.device.base import DeviceSpec
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import (
    DeviceLacks,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    WillNotRun,
)
from orchestrator.device.fleet import run_fleet
from orchestrator.device.ship import rollback, ship
from orchestrator.diagnose.doctor.checks import run_checks
from orchestrator.diagnose.doctor.checks_device import CHECKS, collect

from .pi import Pi
from .pi_image import run
from .releases import make_release

pytestmark = pytest.mark.engine

Start = Callable[..., Pi]


def hef(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *map(str, words)],
        capture_output=True, text=True, timeout=120, input=stdin,
    )  # fmt: skip


def test_the_way_of_a_new_pi_from_add_to_identify_on_the_command_line(start_pi: Start) -> None:
    pi = start_pi({"HEFSMITH_EMULATED_CHIP": "hailo8"}, trusted=False)
    assert hef("device", "add", "pi5", f"pi@{pi.address}", "-i", pi.key).returncode == 0

    refused = hef("device", "identify", "pi5")
    assert refused.returncode == 4
    assert "hef device trust pi5" in refused.stderr

    fingerprint = pi.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert fingerprint in refused.stderr
    assert hef("device", "trust", "pi5").returncode == 2  # no terminal to confirm it at
    assert hef("device", "trust", "pi5", "--fingerprint", "SHA256:wrong").returncode == 2
    assert hef("device", "trust", "pi5", "--fingerprint", fingerprint).returncode == 0

    known = json.loads(hef("device", "identify", "pi5", "--json").stdout)
    assert (known["chip"], known["emulated"], known["versions_agree"]) == ("hailo8", True, True)

    # The device is set up anew: its key changes.
    pi.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -A; kill -HUP 1")
    pi.wait()
    changed = hef("device", "identify", "pi5")
    assert changed.returncode == 4
    assert "hef device trust pi5 --replace" in changed.stderr
    assert hef("device", "trust", "pi5", "--fingerprint", fingerprint).returncode == 4
    fresh = pi.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert hef("device", "trust", "pi5", "--replace", "--fingerprint", fresh).returncode == 0
    assert hef("device", "identify", "pi5").returncode == 0


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_a_device_is_known_by_whichever_of_its_keys_was_trusted(
    pi: Pi, pool: ConnectionPool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_DATA", str(tmp_path / "fresh"))
    with pytest.raises(HostKeyUnknown):
        pool.connect(pi.spec)
    known = tmp_path / "known_hosts"
    public = pi.sh(f"cat /etc/ssh/ssh_host_{kind}_key.pub")
    known.write_text(f"{pi.address} {public}\n")
    config = tmp_path / "config"
    config.write_text(f"Host *\n  UserKnownHostsFile {known}\n")
    monkeypatch.setenv("HEFSMITH_SSH_CONFIG", str(config))
    with pool.connect(pi.spec) as session:
        assert session.run(["true"]).code == 0
    pi.sh(f"rm /etc/ssh/ssh_host_{kind}_key*; ssh-keygen -A; kill -HUP 1")
    pi.wait()
    with pytest.raises(HostKeyChanged, match="has changed"):
        pool.connect(pi.spec)


def test_a_login_without_our_key_is_refused_with_the_way_in(
    pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    with pytest.raises(LoginRefused) as refused:
        pool.connect(replace(pi.spec, identity_file=other))
    assert "ssh-copy-id" in str(refused.value.hint)


def test_a_key_with_a_passphrase_is_sent_to_the_agent(
    pi: Pi, pool: ConnectionPool, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", locked)
    with pytest.raises(LoginRefused) as refused:
        pool.connect(replace(pi.spec, identity_file=locked))
    assert "ssh-add" in str(refused.value.hint)


def test_a_key_of_the_agent_is_used(
    pi: Pi, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    socket = tmp_path / "agent"
    started = run("ssh-agent", "-s", "-a", socket)
    number = started.split("SSH_AGENT_PID=")[1].split(";")[0]
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", pi.key], check=True, capture_output=True)
        with pool.connect(replace(pi.spec, identity_file=None)) as session:
            assert session.run(["true"]).code == 0
    finally:
        os.kill(int(number), 15)


def test_a_hef_for_the_larger_chip_is_refused(
    start_pi: Start, pool: ConnectionPool, tmp_path: Path
) -> None:
    pi = start_pi({"HEFSMITH_EMULATED_CHIP": "hailo8l"})
    with pool.connect(pi.spec) as session, pytest.raises(WillNotRun) as refused:
        ship(session, make_release(tmp_path, arch="hailo8"))
    assert int(refused.value.exit_code) == 6
    assert pi.sh("ls -A /home/pi") == ".ssh"


def test_driver_and_library_that_differ_are_told_before_anything_is_sent(
    start_pi: Start, pool: ConnectionPool, tmp_path: Path
) -> None:
    pi = start_pi({"HEFSMITH_EMULATED_FAULT": "driver_mismatch"})
    with pool.connect(pi.spec) as session:
        assert session.identify().versions_agree is False
        with pytest.raises(DeviceLacks, match="driver and library differ"):
            ship(session, make_release(tmp_path))
    found = {result.id: result.finding for result in run_checks(CHECKS, collect(pi.spec))}
    # The first cause is the error; what follows from it is told beside.
    assert found["device.chip"].severity == ERROR
    assert "driver 4.22.0, library 4.23.0" in found["device.chip"].message
    assert pi.sh("ls -A /home/pi") == ".ssh"


def test_who_holds_the_chip_is_named(pi: Pi, pool: ConnectionPool) -> None:
    pi.sh_later("python3 -c 'import time; f = open(\"/dev/hailo0\"); time.sleep(600)' frigate")
    with pool.connect(pi.spec) as session:
        for _ in range(50):
            holders = session.identify(refresh=True).holders
            if holders:
                break
    assert holders
    assert "frigate" in holders[0].command
    found = {result.id: result.finding for result in run_checks(CHECKS, collect(pi.spec))}
    assert str(holders[0].pid) in found["device.holders"].message


def test_ship_and_rollback_over_a_real_sshd(pi: Pi, pool: ConnectionPool, tmp_path: Path) -> None:
    with pool.connect(pi.spec) as session:
        first = ship(session, make_release(tmp_path / "1", seed=1))
        assert pi.current() == first.release
        second = ship(session, make_release(tmp_path / "2", seed=2))
        assert pi.current() == second.release
        rollback(session, "net")
    assert pi.current() == first.release


def test_many_devices_behind_one_jump_host_share_one_connection(
    start_pi: Start,
    pool: ConnectionPool,
    login_key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, inner = start_pi(name="gate"), start_pi(name="inner")
    config = tmp_path / "config"
    config.write_text(
        f"Host gate\n  HostName {gate.address}\n  User pi\n  IdentityFile {login_key}\n"
        f"Host inner-*\n  HostName {inner.address}\n  HostKeyAlias {inner.address}\n"
        f"  User pi\n  IdentityFile {login_key}\n  ProxyJump gate\n"
    )
    monkeypatch.setenv("HEFSMITH_SSH_CONFIG", str(config))
    specs = [DeviceSpec(name=f"inner-{n}", host=f"inner-{n}") for n in range(8)]
    # The inner device is not to be reached directly.
    words = ["OUTPUT", "-d", inner.address, "-j", "REJECT"]
    run("iptables", "-I", *words)
    try:
        outcomes = run_fleet(pool, specs, lambda session: session.run(["hostname"]).out.strip())
    finally:
        run("iptables", "-D", *words)
    assert {outcome.result for outcome in outcomes} == {inner.sh("hostname")}
    log = run("docker", "logs", gate.container) + subprocess.run(
        ["docker", "logs", gate.container], capture_output=True, text=True
    ).stderr  # fmt: skip
    assert log.count("Accepted publickey") == 1


def test_a_fleet_on_the_command_line_tells_each_result_and_fails_when_one_failed(
    start_pi: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, wrong = start_pi(name="good"), start_pi({"HEFSMITH_EMULATED_CHIP": "hailo8"}, name="two")
    for pi in (good, wrong):
        hef("device", "add", pi.name, f"pi@{pi.address}", "-i", pi.key, "--group", "lab")
    hef("device", "add", "gone", "pi@127.0.0.1:1", "--group", "lab")
    done = hef("device", "identify", "lab", "--json")
    assert done.returncode == 4
    found = {entry["device"]: entry for entry in json.loads(done.stdout)}
    assert found["good"]["result"]["chip"] == "hailo8l"
    assert found["two"]["result"]["chip"] == "hailo8"
    assert found["gone"]["error"]["code"] == "device.unreachable"
