"""Many small devices on this machine: real sshds on loopback, each with a home of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from orchestrator.device.base import DeviceSpec
from orchestrator.device.trust import add_trust, host_label

#: hailortcli is a native program that answers in milliseconds; so does this.
TOOL = """#!/bin/sh
case "$1" in
--version) echo "HailoRT-CLI version 4.23.0" ;;
*) printf 'Executing on device: 0000:01:00.0\\nIdentifying board\\n'
   printf 'Firmware Version: 4.23.0 (release,app)\\nDevice Architecture: HAILO8L\\n'
   printf 'Product Name: HAILO-8L (EMULATED BY HEFSMITH)\\n' ;;
esac
"""


@dataclass
class Sshd:
    """One sshd on a port of an address; logins are this user with another home."""

    process: subprocess.Popen[bytes]
    port: int
    home: Path
    key: Path
    name: str
    address: str = "127.0.0.1"

    @property
    def spec(self) -> DeviceSpec:
        return DeviceSpec(name=self.name, host=self.address, port=self.port, identity_file=self.key)

    @property
    def options(self) -> list[str]:
        """Return the options with which ssh and scp log in."""
        return [
            "-q", "-i", str(self.key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null",
        ]  # fmt: skip

    def scp(self, source: Path, name: str) -> list[str]:
        """Return the command that copies a file there in the way of everybody."""
        target = f"{self.address}:{self.home}/{name}"
        return ["scp", "-P", str(self.port), *self.options, str(source), target]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def start_sshds(
    folder: Path, count: int, *, address: str = "127.0.0.1", inside: Sequence[str] = ()
) -> list[Sshd]:
    """Start sshds with one host key and one login key; the caller stops them.

    ``inside``: the words before the command that put it into another network namespace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    login, host = folder / "login", folder / "host"
    for path in (login, host):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    allowed = folder / "authorized_keys"
    shutil.copy(login.with_suffix(".pub"), allowed)
    tools = folder / "bin"
    tools.mkdir()
    (tools / "hailortcli").write_text(TOOL)
    (tools / "hailortcli").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    key = asyncssh.read_public_key(str(host) + ".pub")
    started = []
    for number in range(count):
        home = folder / f"home-{number}"
        home.mkdir()
        port = _free_port()
        config = folder / f"sshd-{number}.conf"
        config.write_text(
            f"Port {port}\nListenAddress {address}\nHostKey {host}\n"
            f"AuthorizedKeysFile {allowed}\nStrictModes no\nUsePAM no\nPidFile none\n"
            "PasswordAuthentication no\nMaxStartups 200\nMaxSessions 200\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
            f'SetEnv "HOME={home}" "PATH={tools}:/usr/local/bin:/usr/bin:/bin"\n'
        )
        process = subprocess.Popen([*inside, "/usr/sbin/sshd", "-D", "-q", "-f", str(config)])
        add_trust(host_label(address, port), key, comment="bench", replace=True)
        started.append(Sshd(process, port, home, login, f"bench-{number}", address))
    for one in started:
        _wait(one)
    return started


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait(one: Sshd) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection((one.address, one.port), timeout=1):
                return
        except OSError:
            assert time.monotonic() < deadline, one.port
            time.sleep(0.05)
