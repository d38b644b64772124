"""Podman's Docker-compatible socket: the same box, files, endings and cancel as with Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.base import IN, WORK, EndKind, Input, Job
from orchestrator.engine.docker import DockerEngine

from .conftest import BASE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(180)

# Podman gives every container limits of its own; a machine that is a guest itself may not raise
# its own limits that far. Docker's containers get what the daemon has.
RUNTIME = """#!/usr/bin/python3
import json, os, resource, sys
if "create" in sys.argv and "--bundle" in sys.argv:
    path = os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
    config = json.load(open(path))
    for one in config["process"].get("rlimits", []):
        top = resource.getrlimit(getattr(resource, one["type"]))[1]
        if top != resource.RLIM_INFINITY:
            one["hard"], one["soft"] = min(one["hard"], top), min(one["soft"], top)
    json.dump(config, open(path, "w"))
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """A Podman service of the test's own, with the base image."""
    folder = tmp_path_factory.mktemp("podman")
    runtime = folder / "runtime"
    runtime.write_text(RUNTIME)
    runtime.chmod(0o755)
    (folder / "containers.conf").write_text(
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "ours"\n'
        f'[engine.runtimes]\nours = ["{runtime}"]\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    )
    environ = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    archive = folder / "base.tar"
    subprocess.run(["docker", "save", "-o", str(archive), BASE], check=True)
    subprocess.run(
        ["podman", "load", "-q", "-i", str(archive)], check=True, env=environ, capture_output=True
    )
    archive.unlink()
    socket = folder / "podman.sock"
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            ["podman", "system", "service", "--time=0", f"unix://{socket}"],
            env=environ, stdout=log, stderr=log,
        )  # fmt: skip
    wait_until(socket.exists)
    engine = DockerEngine(Address("docker", f"unix://{socket}", "test"))
    yield engine
    engine.close()
    service.terminate()
    service.wait(60)
    subprocess.run(["podman", "rm", "-fa"], env=environ, capture_output=True, check=False)
    # Its layers stay mounted otherwise, and the folder cannot be removed.
    subprocess.run(["podman", "umount", "-a"], env=environ, capture_output=True, check=False)
    subprocess.run(["umount", f"{folder}/root/overlay"], capture_output=True, check=False)


@pytest.fixture
def job(podman: DockerEngine, work: Path, tmp_path: Path) -> Callable[[str], Job]:
    image = podman.find_image(BASE)
    assert image is not None
    given = tmp_path / "given"
    given.mkdir()
    (given / "a").write_text("input")

    def make(code: str) -> Job:
        argv = ("python3", "-c", code, IN, WORK)
        return Job("test", image.id, argv, work, (Input("given", given),))

    return make


LOOK = """
import os
def refused(act):
    try: act()
    except OSError as error: return error.strerror
    return "ALLOWED"
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
import json
os.makedirs("/hefsmith/work/golden", exist_ok=True)
open("/hefsmith/work/golden/0.npy", "wb").write(bytes(100_000))
print(json.dumps({
    "uid": os.getuid(), "network": os.listdir("/sys/class/net"),
    "root": refused(lambda: open("/x", "w")),
    "input": refused(lambda: open("/hefsmith/in/given/b", "w")),
    "device": refused(lambda: os.mknod("/tmp/null", 0o20666, os.makedev(1, 3))),
    "capabilities": status["CapEff"].strip(), "privileges": status["NoNewPrivs"].strip(),
    "read": open("/hefsmith/in/given/a").read(),
}))
"""


@pytest.mark.parametrize("way", ["bind", "copy"])
def test_the_box_is_as_tight_and_the_results_come_back(
    podman: DockerEngine, job: Callable[[str], Job], work: Path, way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(podman, "_blind", way == "copy")
    assert podman.info().product == "podman"
    with podman.start(job(LOOK)) as running:
        [line] = running.lines()
        assert running.wait().ok
    assert running.record.transfer == way
    seen = json.loads(line)
    assert seen == {
        "uid": os.getuid(), "network": ["lo"], "root": "Read-only file system",
        "input": "Read-only file system", "device": "Operation not permitted",
        "capabilities": "0" * 16, "privileges": "1", "read": "input",
    }  # fmt: skip
    assert (work / "golden" / "0.npy").stat().st_size == 100_000
    assert (work / "golden" / "0.npy").stat().st_uid == os.getuid()


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_failure_and_cancel_are_told_and_leave_nothing(
    podman: DockerEngine, job: Callable[[str], Job]
) -> None:
    with podman.start(job("import sys; print('x'); sys.exit(3)")) as running:
        assert list(running.lines()) == ["x"]
        ending = running.wait()
    assert (ending.kind, ending.exit_code) == (EndKind.FAILED, 3)
    running = podman.start(job("import time; print('up', flush=True); time.sleep(100)"))
    assert next(running.lines()) == "up"
    started = time.monotonic()
    assert running.stop().kind is EndKind.INTERRUPTED
    assert time.monotonic() - started < 10
    assert podman.connection.api.containers(all=True) == []


def test_a_build_goes_on_alone_and_is_picked_up_again(
    podman: DockerEngine, job: Callable[[str], Job], work: Path
) -> None:
    code = f"""
import os, time
print('a', flush=True)
while not os.path.exists('{WORK}/go'): time.sleep(0.1)
print('b')
"""
    running = podman.start(job(code), detached=True)
    running.let_go()
    assert podman.status(running.record) == "running"
    with podman.attach(running.record) as again:
        lines = again.lines()
        assert next(lines) == "a"
        (work / "go").touch()
        assert list(lines) == ["b"]
        assert again.wait().ok


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_the_job_ends_when_the_host_process_is_killed(
    podman: DockerEngine, job: Callable[[str], Job], work: Path
) -> None:
    url = podman.connection.address.url
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, url, job("pass").image, str(work)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert host.stdout is not None
    name = host.stdout.readline().strip()

    def runs() -> bool:
        return bool(podman.connection.api.containers(filters={"name": name}))

    assert runs()
    host.kill()
    host.communicate()
    wait_until(lambda: not runs())
    podman.connection.api.remove_container(name, force=True)


# The worker's own watch over standard input, in short.
HOST = """
import sys
from pathlib import Path
from orchestrator.engine.address import Address
from orchestrator.engine.base import Job
from orchestrator.engine.docker import DockerEngine
url, image, work = sys.argv[1:]
code = "import sys; print('up', flush=True); sys.stdin.read()"
running = DockerEngine(Address("docker", url, "test")).start(
    Job("test", image, ("python3", "-c", code), Path(work)))
next(running.lines())
print(running.record.container, flush=True)
running.wait()
"""
