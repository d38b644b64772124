"""A real Docker engine, small jobs, and ways to break what lies between."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.base import IN, WORK, Box, Input, Job
from orchestrator.engine.docker import DockerEngine
from orchestrator.processes import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOCKET = "unix:///var/run/docker.sock"
BASE = "debian:bookworm-slim"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs an engine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    made = DockerEngine(Address("docker", SOCKET, "test"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def image() -> str:
    """A small image with Python 3.8 or newer, called python3."""
    made = DockerEngine(Address("docker", SOCKET, "test"))
    found = made.find_image(BASE)
    made.close()
    assert found is not None, f"{BASE} is missing: run .ci/base_image.sh"
    return found.id


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "plan.json").write_text("{}")
    return folder


@pytest.fixture
def make_job(image: str, work: Path) -> Callable[..., Job]:
    """Return a maker of jobs that run a piece of Python in the box."""

    def make(code: str, *inputs: Input, limits: Box | None = None, folder: Path = work) -> Job:
        return Job(
            "test",
            image,
            ("python3", "-c", code, IN, WORK),
            folder,
            inputs=inputs,
            limits=limits or Box(),
        )

    return make


def docker(*words: str, host: str = SOCKET) -> str:
    """Run Docker's own client and return what it prints."""
    done = subprocess.run(
        ["docker", "-H", host, *words], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def container_names(label: str = "org.hefsmith.build") -> list[str]:
    """Return the containers that this very process has; others may have theirs beside them."""
    form = '{{.Names}} {{.Label "org.hefsmith.process"}}'
    listed = docker("ps", "-a", "--filter", f"label={label}", "--format", form)
    # An image of ours gives its owner to every container of it, also where nobody noted a process.
    rows = [row.partition(" ") for row in listed.splitlines()]
    return [name for name, _, process in rows if process == str(this_process())]


def exists(name: str) -> bool:
    return bool(docker("ps", "-aq", "--filter", f"name=^{name}$"))


def is_running(name: str) -> bool:
    return bool(docker("ps", "-q", "--filter", f"name=^{name}$"))


def wait_until(test: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait for ``test`` and return how long it took."""
    started = time.monotonic()
    while not test():
        assert time.monotonic() - started < seconds, "it did not come to pass"
        time.sleep(0.05)
    return time.monotonic() - started


HOST_PROGRAM = """
import json, sys, time
from pathlib import Path
from orchestrator.engine.address import Address
from orchestrator.engine.base import IN, WORK, Job
from orchestrator.engine.docker import DockerEngine

asked = json.loads(sys.argv[1])
engine = DockerEngine(Address("docker", asked["url"], "test"))
job = Job("test", asked["image"], ("python3", "-c", asked["code"], IN, WORK), Path(asked["work"]))
try:
    with engine.start(job, detached=asked.get("detached", False)) as running:
        print(running.record.container, running.record.id, flush=True)
        if not asked.get("detached"):
            for line in running.lines():
                print(line, flush=True)
            ending = running.wait()
            print("ending", ending.kind.value, flush=True)
            sys.exit(0 if ending.ok else 1)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def host_program(image: str, work: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a starter of a host process that runs one job."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *, url: str = SOCKET, **more: object) -> subprocess.Popen[str]:
        asked = {"image": image, "work": str(work), "code": code, "url": url, **more}
        process = subprocess.Popen(
            [sys.executable, "-c", HOST_PROGRAM, json.dumps(asked)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class LoopbackSsh:
    """An sshd of our own on loopback, with a home folder whose keys it knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.home = folder / "home"
        keys = self.home / ".ssh"
        keys.mkdir(parents=True, mode=0o700)
        for path in (folder / "host_key", keys / "id_ed25519"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True
            )
        shutil.copy(keys / "id_ed25519.pub", folder / "authorized")
        host = (folder / "host_key.pub").read_text().split()
        (keys / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host[0]} {host[1]}\n")
        (keys / "config").write_text(f"Host 127.0.0.1\n  IdentityFile {keys}/id_ed25519\n")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\n"
            f"AuthorizedKeysFile {folder}/authorized\nPidFile {folder}/pid\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nLogLevel ERROR\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")],
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    @property
    def url(self) -> str:
        return f"ssh://root@127.0.0.1:{self.port}"

    def sessions(self) -> int:
        """Count the sessions that this server has open to the engine."""
        table = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [row.split(maxsplit=2) for row in table.splitlines()]
        ours = {str(self.process.pid)}
        while found := {pid for pid, parent, *_ in rows if parent in ours} - ours:
            ours |= found
        # The shell that sshd starts has the words, too, until it becomes the program.
        return sum(pid in ours and args == ["docker system dial-stdio"] for pid, _, *args in rows)

    def drop_sessions(self) -> int:
        """Kill the processes that serve connections, as a network that breaks does."""
        table = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True
        ).stdout
        victims = [
            int(row.split()[0])
            for row in table.splitlines()
            if int(row.split()[1]) == self.process.pid
        ]
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        return len(victims)

    def stop(self) -> None:
        self.drop_sessions()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackSsh]:
    made = LoopbackSsh(tmp_path)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield made
    made.stop()
