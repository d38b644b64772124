"""An engine that dies, hangs or is restarted in mid-run: a second daemon of the test's own."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine import client, container, output
from orchestrator.engine.address import Address
from orchestrator.engine.base import EndKind, EngineUnavailableError, Job
from orchestrator.engine.docker import DockerEngine

from .conftest import BASE, docker, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The SDK leaves a socket open whenever it cannot connect, which is what happens here all the time.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STEADY = "import time\nfor i in range(100): print('line', i, flush=True); time.sleep(0.2)"


class SecondDaemon:
    """A Docker engine in a network namespace of its own, so that the first keeps its bridge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/d.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # What a killed daemon leaves behind would make the next one wait for a ghost.
        self.end_containerd()
        (self.folder / "pid").unlink(missing_ok=True)
        words = [
            "unshare", "--net", "dockerd", "-H", self.url,
            "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
            "--pidfile", str(self.folder / "pid"),
            "--bridge=none", "--iptables=false", "--ip-forward=false",
        ]  # fmt: skip
        log = (self.folder / "log").open("ab")
        if self.process is not None:
            self.process.wait(30)
        self.process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        log.close()
        wait_until(self.answers, 40)

    def answers(self) -> bool:
        done = subprocess.run(
            ["docker", "-H", self.url, "version"], capture_output=True, check=False
        )
        return done.returncode == 0

    def send(self, number: int) -> None:
        os.kill(int((self.folder / "pid").read_text()), number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(20)

    def end_containerd(self) -> None:
        """End the containerd that outlives a daemon that was killed."""
        path = self.folder / "exec/containerd/containerd.pid"
        if path.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGTERM)
            path.unlink(missing_ok=True)
            time.sleep(0.5)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.send(signal.SIGCONT)
            left = docker("ps", "-aq", host=self.url).split()
            if left:
                docker("rm", "-f", *left, host=self.url)
            self.send(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.end_containerd()
        mounts = Path("/proc/mounts").read_text().splitlines()
        for place in sorted((row.split()[1] for row in mounts), reverse=True):
            if place.startswith(str(self.folder)):
                subprocess.run(["umount", "-l", place], check=False)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondDaemon]:
    # The path of a socket may have some hundred characters only.
    made = SecondDaemon(tmp_path_factory.mktemp("d2"))
    bridge = Path("/sys/class/net/docker0").exists()
    made.start()
    saved = subprocess.Popen(["docker", "save", BASE], stdout=subprocess.PIPE)
    subprocess.run(
        ["docker", "-H", made.url, "load"], stdin=saved.stdout, check=True, capture_output=True
    )
    assert saved.wait() == 0
    assert saved.stdout is not None
    saved.stdout.close()
    yield made
    made.stop()
    assert Path("/sys/class/net/docker0").exists() == bridge


@pytest.fixture
def second(daemon: SecondDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    monkeypatch.setattr(client, "PATIENCE_NEAR", 2.0)
    if not daemon.answers():
        daemon.start()
    made = DockerEngine(Address("docker", daemon.url, "test"))
    yield made
    made.close()
    # The SDK's forgotten sockets are found here, and not in the middle of another test.
    gc.collect()


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_an_engine_that_is_killed_is_told_and_its_container_found_later(
    daemon: SecondDaemon, second: DockerEngine, make_job: Callable[..., Job]
) -> None:
    with second.start(make_job(STEADY)) as running:
        lines = running.lines()
        assert next(lines) == "line 0"
        daemon.kill()
        started = time.monotonic()
        list(lines)
        ending = running.wait()
    assert ending.kind is EndKind.ENGINE_LOST
    assert daemon.url in ending.detail
    assert time.monotonic() - started < 20
    with pytest.raises(EngineUnavailableError):
        DockerEngine(Address("docker", daemon.url, "test")).info()
    daemon.start()
    name = running.record.container
    assert docker("ps", "-aq", "--filter", f"name={name}", host=daemon.url)
    # Ours, but of a process that lives: only the next hef may take it away.
    second.connection.reconnect()


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_an_engine_that_is_restarted_in_mid_run_is_told_from_a_failure(
    daemon: SecondDaemon,
    second: DockerEngine,
    make_job: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PATIENCE_NEAR", 30.0)
    with second.start(make_job(STEADY)) as running:
        lines = running.lines()
        assert next(lines) == "line 0"
        daemon.kill()
        daemon.start()
        got = list(lines)
        ending = running.wait()
    assert ending.kind is EndKind.ENGINE_LOST
    assert "restarted" in ending.detail
    assert got == [f"line {i}" for i in range(1, len(got) + 1)], "nothing twice, nothing missing"
    assert not docker("ps", "-aq", "--filter", f"name={running.record.container}", host=daemon.url)


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_an_engine_that_shuts_down_properly_is_not_a_failure_of_the_job(
    daemon: SecondDaemon, second: DockerEngine, make_job: Callable[..., Job]
) -> None:
    with second.start(make_job(STEADY)) as running:
        lines = running.lines()
        assert next(lines) == "line 0"
        daemon.send(signal.SIGTERM)
        list(lines)
        ending = running.wait()
    assert ending.kind in {EndKind.ENGINE_LOST, EndKind.KILLED}
    assert ending.hint is not None
    assert daemon.process is not None
    daemon.process.wait(30)


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_an_engine_that_hangs_is_noticed_although_its_sockets_stay_open(
    daemon: SecondDaemon,
    second: DockerEngine,
    make_job: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "PING_EVERY", 1.0)
    monkeypatch.setattr(container, "URGENT", 0.5)
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 2.0)
    with second.start(make_job("import time; print('up', flush=True); time.sleep(60)")) as running:
        lines = running.lines()
        assert next(lines) == "up"
        second.connection.api.timeout = 2
        daemon.send(signal.SIGSTOP)
        try:
            started = time.monotonic()
            list(lines)
            ending = running.wait()
            assert time.monotonic() - started < 40
        finally:
            daemon.send(signal.SIGCONT)
    assert ending.kind is EndKind.ENGINE_LOST
