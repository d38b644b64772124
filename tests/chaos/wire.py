"""A cable to another network namespace that can be cut, choked and made to lose packets."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What is done to a cable. ``cut-in``: nothing gets there; ``cut-out``: nothing comes back.
WAYS = ("cut", "cut-in", "cut-out", "reset", "down", "slow", "lossy")


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Wire:
    """A pair of network cards: ``near`` is this machine's, the other one the namespace's."""

    space: str
    near: str
    address: str

    @property
    def inside(self) -> tuple[str, ...]:
        """Words before a command that run it on the far side."""
        return ("ip", "netns", "exec", self.space)

    def spoil(self, way: str, chance: random.Random, most: int) -> str:
        """Do one of :data:`WAYS`, the cuts after up to ``most`` bytes; return it in words."""
        count = chance.randint(0, most)
        if way == "slow":
            rate = chance.choice(["60kbit", "300kbit", "2mbit"])
            shape = ("root", "tbf", "rate", rate, "burst", "8k", "latency", "400ms")
            _run("tc", "qdisc", "add", "dev", self.near, *shape)
            _run(*self.inside, "tc", "qdisc", "add", "dev", "far", *shape)
            return f"slow, {rate}"
        if way == "lossy":
            share = chance.choice(["0.02", "0.1", "0.25"])
            for chain in ("INPUT", "OUTPUT"):
                self._rule(chain, "-m", "statistic", "--mode", "random",
                           "--probability", share, "-j", "DROP")  # fmt: skip
            return f"lossy, {share}"
        if way == "reset":
            self._rule("INPUT", "-p", "tcp", "-m", "quota", "--quota", str(count), "-j", "ACCEPT")
            self._rule("INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
            return f"reset after {count} bytes"
        if way == "down":
            _run("ip", "link", "set", self.near, "down")
            return "down"
        chains = {"cut-in": ("INPUT",), "cut-out": ("OUTPUT",), "cut": ("INPUT", "OUTPUT")}[way]
        for chain in chains:
            # Much less comes back than is sent; without that a cut would come after the end.
            quota = count if way != "cut-out" else count // 20
            self._rule(chain, "-m", "quota", "--quota", str(quota), "-j", "ACCEPT")
            self._rule(chain, "-j", "DROP")
        return f"{way} after {count} bytes"

    def _rule(self, *words: str) -> None:
        _run(*self.inside, "iptables", "-A", *words)

    def hits(self) -> int:
        """Return how many packets the fault has met so far."""
        found = 0
        for chain in ("INPUT", "OUTPUT"):
            for row in _run(*self.inside, "iptables", "-nvxL", chain).splitlines()[2:]:
                words = row.split()
                found += int(words[0]) if words[2] in ("DROP", "REJECT") else 0
        for card in (("tc",), (*self.inside, "tc")):
            for row in _run(*card, "-s", "qdisc", "show").splitlines():
                # A shaped card makes packets wait once it is asked for more than its rate.
                if row.strip().startswith("Sent") and "overlimits" in row:
                    found += int(row.split("overlimits")[1].split()[0])
        state = Path(f"/sys/class/net/{self.near}/operstate").read_text().strip()
        return found + (state == "down")

    def mend(self) -> None:
        """Have the cable as it was."""
        _run("ip", "link", "set", self.near, "up")
        for words in (("tc", "qdisc", "del", "dev", self.near, "root"),
                      (*self.inside, "tc", "qdisc", "del", "dev", "far", "root")):  # fmt: skip
            subprocess.run(words, check=False, capture_output=True)
        for chain in ("INPUT", "OUTPUT"):
            _run(*self.inside, "iptables", "-F", chain)


def lacks() -> str | None:
    """Return what is missing here for a cable, in words."""
    missing = [one for one in ("ip", "tc", "iptables", "sshd") if shutil.which(one) is None]
    if missing:
        return f"no {missing[0]}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with wire() as made:
            for way in WAYS:
                made.spoil(way, random.Random(1), 100)
                made.mend()
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd[-8:])}: {error.stderr.strip()}"
    return None


@contextlib.contextmanager
def wire() -> Iterator[Wire]:
    """Lay a cable to a namespace of its own; the addresses are those set aside for measuring."""
    number = os.getpid() % (1 << 14)
    base = f"198.18.{number >> 6}.{(number & 63) * 4}"
    far, near = (f"{base.rpartition('.')[0]}.{int(base.rpartition('.')[2]) + n}" for n in (1, 2))
    made = Wire(f"hefchaos{number}", f"hefch{number}", far)
    _run("ip", "netns", "add", made.space)
    try:
        _run("ip", "link", "add", made.near, "type", "veth", "peer", "far", "netns", made.space)
        _run("ip", "addr", "add", f"{near}/30", "dev", made.near)
        _run("ip", "link", "set", made.near, "up")
        _run("ip", "-n", made.space, "addr", "add", f"{far}/30", "dev", "far")
        for card in ("far", "lo"):
            _run("ip", "-n", made.space, "link", "set", card, "up")
        yield made
    finally:
        # The cards go with the namespace.
        subprocess.run(["ip", "link", "del", made.near], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", made.space], check=False)
