"""One stand-in Pi in a container."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from orchestrator.device.address import host_label
from orchestrator.device.base import DeviceSpec
from orchestrator.device.trust import add_trust

from .pi_image import DOCKER, run


@dataclass
class Pi:
    """A running container with sshd; ``spec`` leads to it."""

    container: str
    address: str
    key: Path
    name: str

    @classmethod
    def start(
        cls,
        image: str,
        key: Path,
        *,
        env: dict[str, str],
        name: str = "pi",
        options: tuple[str, ...] = (),
    ) -> Pi:
        settings = [word for item in env.items() for word in ("-e", "=".join(item))]
        public = key.with_name(f"{key.name}.pub").read_text().strip()
        container = run(
            DOCKER, "run", "-d", "-e", f"AUTHORIZED_KEY={public}", *settings, *options, image
        )
        address = run(DOCKER, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", container)
        pi = cls(container, address, key, name)
        pi.wait()
        return pi

    @property
    def spec(self) -> DeviceSpec:
        return DeviceSpec(name=self.name, host=self.address, user="pi", identity_file=self.key)

    def wait(self, seconds: float = 120) -> None:
        """Wait until sshd has its keys and listens."""
        deadline = time.monotonic() + seconds
        words = ["ssh-keyscan", "-T", "5", "-t", "ed25519", self.address]
        while time.monotonic() < deadline:
            done = subprocess.run(words, capture_output=True, text=True)
            if "ssh-ed25519" in done.stdout:
                return
            time.sleep(0.2)
        raise AssertionError(run(DOCKER, "logs", self.container))

    def trust(self) -> None:
        """Trust the key that the container really has, read out of band."""
        text = self.sh("cat /etc/ssh/ssh_host_ed25519_key.pub")
        key = asyncssh.import_public_key(text)
        add_trust(host_label(self.address, 22), key, comment="test", replace=True)

    def sh(self, script: str, *, user: str = "root") -> str:
        """Run a line in the container, beside SSH."""
        return run(DOCKER, "exec", "-u", user, self.container, "sh", "-c", script)

    def sh_later(self, script: str) -> None:
        """Start a line in the container and leave it running."""
        run(DOCKER, "exec", "-d", self.container, "sh", "-c", script)

    def unplug(self) -> None:
        """Pull the plug; does nothing when it is out already."""
        subprocess.run([DOCKER, "kill", self.container], capture_output=True)

    def restart(self) -> None:
        """Pull the plug and boot again: everything running is gone, the files stay."""
        self.unplug()
        run(DOCKER, "start", self.container)
        self.address = run(
            DOCKER, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", self.container
        )
        self.wait()

    def remove(self) -> None:
        subprocess.run([DOCKER, "rm", "-f", self.container], capture_output=True)

    def current(self, model: str = "net") -> str | None:
        """Return the id that ``current`` points to, after checking every byte of it there."""
        link = self.sh(f"readlink /home/pi/.hefsmith/{model}/current || true")
        if not link:
            return None
        release = link.rsplit("/", 1)[-1]
        wrong = self.sh(_VERIFY % {"model": model, "release": release})
        assert wrong == "whole", wrong
        return release


#: Independent of the program's own code: digests by sha256sum, names from the record.
_VERIFY = """
cd /home/pi/.hefsmith/%(model)s/releases/%(release)s || exit 1
test "$(sha256sum release.json | cut -d' ' -f1)" = %(release)s || { echo record; exit; }
python3 - <<'END'
import hashlib, json
for item in json.load(open("release.json"))["files"]:
    data = open(item["name"], "rb").read()
    if hashlib.sha256(data).hexdigest() != item["sha256"]:
        print(item["name"])
        break
else:
    print("whole")
END
"""
