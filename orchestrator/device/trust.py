"""Which host keys are trusted.

Ours are in ``known_hosts`` of the user's data folder, in OpenSSH's format, written only by
``hef device trust``. A host that has a line there is judged by that file alone; else by what
the user already trusts for ``ssh``. Nothing is ever accepted on first sight.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.known_hosts import SSHKnownHosts

from orchestrator import paths
from orchestrator.device.address import SSH_PORT, device_argument, host_label
from orchestrator.device.faults import HostKeyChanged, HostKeyUnknown
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import changing, write_atomic
from orchestrator.reading import read_regular, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.device.base import DeviceSpec

HostKey = asyncssh.SSHKey
_Keys = list[asyncssh.SSHKey]
_KnownHosts = tuple[_Keys, _Keys, _Keys]


def trust_file() -> Path:
    """Return the file with the host keys that ``hef device trust`` accepted."""
    return paths.user_data() / "known_hosts"


def user_files(configured: Sequence[str] = (), global_files: Sequence[str] = ()) -> list[Path]:
    """Return the existing known_hosts files that ``ssh`` itself would read."""
    names = list(configured) or ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
    names += list(global_files) or ["/etc/ssh/ssh_known_hosts"]
    found = [Path(name).expanduser() for name in names]
    return [path for path in found if path.is_file() and os.access(path, os.R_OK)]


@dataclass
class HostCheck:
    """Judges one connection's host key, and remembers what is needed to explain a refusal."""

    spec: DeviceSpec
    label: str
    files: Sequence[Path] = ()
    pinned: asyncssh.SSHKey | None = None
    """The key itself, when we made it (embedded device)."""
    offered: asyncssh.SSHKey | None = None
    known: list[asyncssh.SSHKey] = field(default_factory=list)
    revoked: dict[asyncssh.SSHKey, Path] = field(default_factory=dict)
    """Keys that the user took back, and the file that says so."""
    source: Path | None = None

    def match(self, host: str, addr: str, port: int | None) -> _KnownHosts:  # noqa: ARG002
        """Return the keys trusted for a server: host keys, authorities, revoked keys.

        asyncssh asks with the address and without the default port. Only the name counts, with
        its port: a line for port 22 says nothing about a server on another port.
        """
        if self.pinned is not None:
            self.known = [self.pinned]
            return [self.pinned], [], []
        label = host_label(host, port or SSH_PORT)
        judging: tuple[_Keys, _Keys] | None = None
        self.known, self.source, self.revoked = [], None, {}
        for path in (trust_file(), *self.files):
            keys, authorities, revoked = _read_known_hosts(path).match(label, "", None)[:3]
            self.revoked.update((key, path) for key in revoked)
            if judging is None and (keys or authorities):
                judging, self.source = (list(keys), list(authorities)), path
        # A key that is revoked anywhere is so everywhere, as for ssh.
        keys, authorities = judging or ([], [])
        self.known = [key for key in keys if key not in self.revoked]
        return list(self.known), authorities, list(self.revoked)

    def refusal(self) -> HostKeyUnknown | HostKeyChanged:
        """Return the error that says which key was offered and what to do."""
        name = escape_control(self.spec.name)
        # asyncssh refuses a revoked key before anybody can note it.
        if self.revoked and (self.offered is None or self.offered in self.revoked):
            return self._is_revoked(name)
        offered = fingerprint(self.offered) if self.offered else "an unreadable key"
        trust = f"hef device trust {device_argument(self.spec)}"
        if not self.known:
            return HostKeyUnknown(
                f"{name}: the host key of {self.label} is not trusted yet: {offered}",
                hint=(
                    "Compare with the output of this line on the device itself:\n"
                    "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
                    f"and if they are the same: {trust}"
                ),
            )
        known = ", ".join(fingerprint(key) for key in self.known)
        ours = self.source == trust_file()
        fix = (
            f"{trust} --replace"
            if ours
            else f"ssh-keygen -f {shlex.quote(str(self.source))} -R {shlex.quote(self.label)}\n"
            f"  {trust}"
        )
        return HostKeyChanged(
            f"{name}: the host key of {self.label} has changed.\n"
            f"  trusted: {known} ({self.source})\n"
            f"  offered: {offered}",
            hint=(
                "This is a question of security: either the device was installed again, or\n"
                "something stands between you and it.\n"
                f"Only if you know that it was installed again:\n  {fix}"
            ),
        )

    def _is_revoked(self, name: str) -> HostKeyChanged:
        shown = [self.offered] if self.offered is not None else list(self.revoked)
        keys = ", ".join(fingerprint(key) for key in shown)
        return HostKeyChanged(
            f"{name}: the host key of {self.label} is revoked: {keys} "
            f"({escape_control(str(self.revoked[shown[0]]))})",
            hint=(
                "This key was taken back, as a stolen one is: do not connect.\n"
                "Make new keys on the device (sudo ssh-keygen -A, after the old ones in /etc/ssh\n"
                "are removed), or take that line out of the file if it should not be there."
            ),
        )


def _read_known_hosts(path: Path) -> SSHKnownHosts:
    """Read a known_hosts file; a line that cannot be read must not hide the others."""
    try:
        text = read_regular(path).decode("utf-8", "replace") if path.is_file() else ""
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    hosts = SSHKnownHosts()
    for line in text.splitlines():
        with suppress(ValueError):
            hosts.load(line)
    return hosts


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Return ``ssh-ed25519 SHA256:...`` as ``ssh-keygen -l`` shows it."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def known_fingerprints(label: str) -> tuple[str, ...]:
    """Return the fingerprints that our own file has for a host."""
    keys = _read_known_hosts(trust_file()).match(label, "", None)[0]
    return tuple(key.get_fingerprint() for key in keys)


def add_trust(label: str, key: asyncssh.SSHKey, *, comment: str, replace: bool = False) -> Path:
    """Write a host key to our own file; other keys of the same host go when ``replace`` is set."""
    path = trust_file()
    public = key.export_public_key("openssh").decode("ascii").split()
    entry = f"{label} {public[0]} {public[1]} {comment}"
    with changing(path):
        lines = read_text(path).splitlines() if path.is_file() else []
        if replace:
            lines = [line for line in lines if line.split(" ", 1)[0] != label]
        if not any(line.split()[:3] == entry.split()[:3] for line in lines):
            lines.append(entry)
        write_atomic(path, "\n".join(lines) + "\n", private=True)
    return path


def forget(label: str) -> bool:
    """Remove every key of one host from our own file; say whether there was one."""
    path = trust_file()
    if not path.is_file():
        return False
    with changing(path):
        lines = read_text(path).splitlines()
        kept = [line for line in lines if line.split(" ", 1)[0] != label]
        if len(kept) == len(lines):
            return False
        write_atomic(path, "".join(f"{line}\n" for line in kept), private=True)
    return True
