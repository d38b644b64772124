"""Every limit of the box, proven from the inside."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.base import Box, EndKind, Input, Job
from orchestrator.engine.box import Caller
from orchestrator.engine.docker import DockerEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK = r"""
import json, os, resource, socket, sys
def attempt(act):
    try:
        act()
        return "done"
    except OSError as error:
        return error.strerror or str(error)
def write(path):
    return attempt(lambda: open(path, "w").write("x"))
status = dict(l.split(":", 1) for l in open("/proc/self/status").read().splitlines() if ":" in l)
def connect(address):
    socket.create_connection(address, 2).close()
print(json.dumps({
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "gateway": attempt(lambda: connect(("172.17.0.1", 22))),
    "name": attempt(lambda: socket.getaddrinfo("debian.org", 80)),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    "become_root": attempt(lambda: os.setuid(0 if os.getuid() else 1234)),
    "root": write("/etc/x"), "usr": write("/usr/x"), "hefsmith": write("/hefsmith/x"),
    "worker": write("/hefsmith/worker/hefsmith_worker/x"),
    "input": write("/hefsmith/in/data/x"), "input_file": write("/hefsmith/in/data/a.txt"),
    "tmp": write("/tmp/x"), "work": write("/hefsmith/work/result"),
    "socket": [p for p in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(p)],
    "disks": [n for n in os.listdir("/dev") if n.startswith(("sd", "vd", "nvme", "mem", "kmsg"))],
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    "env": dict(os.environ),
    "mounts": [l.split()[4] for l in open("/proc/self/mountinfo")],
}))
"""


@pytest.fixture
def inside(make_job: Callable[..., Job], work: Path, tmp_path: Path) -> dict[str, Any]:
    """What a job sees that belongs to user 1234, with one input."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("hello")
    for path in (data, data / "a.txt", work, work / "plan.json", tmp_path):
        os.chown(path, 1234, 1235)
    os.environ["SECRET_OF_THE_HOST"] = "x"
    address = Address("docker", "unix:///var/run/docker.sock", "test")
    engine = DockerEngine(address, whose=Caller(1234, 1235))
    with engine.start(make_job(LOOK, Input("data", data))) as running:
        assert running.record.transfer == "bind"
        lines = list(running.lines())
        assert running.wait().ok, lines
    engine.close()
    del os.environ["SECRET_OF_THE_HOST"]
    assert (work / "result").stat().st_uid == 1234
    assert (data / "a.txt").read_text() == "hello"
    found: dict[str, Any] = json.loads(lines[0])
    return found


def test_a_job_sees_no_network_no_privileges_and_nothing_to_write_but_its_folder(
    inside: dict[str, Any],
) -> None:
    assert inside["interfaces"] == ["lo"]
    assert inside["gateway"] == "Network is unreachable"
    assert inside["name"] != "done"
    assert inside["capabilities"] == 0
    assert inside["no_new_privileges"] == "1"
    assert (inside["uid"], inside["gid"], inside["groups"]) == (1234, 1235, [1235])
    assert inside["become_root"] == "Operation not permitted"
    refused = ("root", "usr", "hefsmith", "worker", "input", "input_file")
    assert {inside[name] for name in refused} <= {"Read-only file system", "Permission denied"}
    assert (inside["tmp"], inside["work"]) == ("done", "done")
    assert inside["socket"] == []
    assert inside["disks"] == []
    assert inside["core"] == 0
    assert "SECRET_OF_THE_HOST" not in inside["env"]
    assert inside["env"]["USER"]
    ours = [place for place in inside["mounts"] if place.startswith("/hefsmith")]
    assert sorted(ours) == [
        "/hefsmith/in/data",
        "/hefsmith/work",
        "/hefsmith/worker/hefsmith_worker",
    ]


def test_root_of_the_host_is_root_without_powers_inside(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    code = "import os; os.chown('/tmp', 1, 1)"
    with engine.start(make_job(code)) as running:
        lines = list(running.lines())
        assert running.wait().kind is EndKind.FAILED
    assert "Operation not permitted" in "\n".join(lines)


def test_too_much_memory_is_told_as_such(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    code = "import time; x = [b'x' * 2**20 for _ in range(400)]; time.sleep(5)"
    limits = Box(memory=96 * 1024**2)
    with engine.start(make_job(code, limits=limits)) as running:
        ending = running.wait()
    assert ending.kind is EndKind.OOM
    assert "0.1 GiB" in ending.detail
    assert "--memory" in (ending.hint or "")


def test_a_child_that_is_killed_for_memory_is_told_as_such(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    # The worker is a supervisor: the process that grows is its child.
    code = (
        "import subprocess, sys; c = \"x = [b'x' * 2**20 for _ in range(400)]\"\n"
        "r = subprocess.run([sys.executable, '-c', c]).returncode\n"
        "sys.exit(128 - r if r < 0 else r)"
    )
    with engine.start(make_job(code, limits=Box(memory=96 * 1024**2))) as running:
        ending = running.wait()
    assert ending.kind is EndKind.OOM
    assert ending.exit_code == 137


def test_processes_and_processors_are_limited(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    code = r"""
import glob, os, subprocess
made = []
try:
    for _ in range(60):
        made.append(subprocess.Popen(["sleep", "30"]))
except OSError as error:
    print("refused", error.errno, len(made) < 40, flush=True)
for one in made: one.kill()
for path in ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max"):
    if os.path.exists(path): print("quota", open(path).read().split()[0])
"""
    with engine.start(make_job(code, limits=Box(pids=32, cpus=0.5))) as running:
        lines = list(running.lines())
        assert running.wait().ok, lines
    assert lines == ["refused 11 True", "quota 50000"]


def test_only_the_command_line_opens_the_network(
    engine: DockerEngine, make_job: Callable[..., Job]
) -> None:
    code = "import socket; print(sorted(n for _, n in socket.if_nameindex()))"
    limits = Box(network=True, writable_root=True)
    with engine.start(make_job(code, limits=limits)) as running:
        lines = list(running.lines())
        running.wait()
    assert lines == ["['eth0', 'lo']"]
    assert limits.overridden() == ("network", "writable root")


def test_what_a_hostile_job_leaves_cannot_lead_out(
    engine: DockerEngine, make_job: Callable[..., Job], work: Path
) -> None:
    code = (
        "import os\nos.chdir('/hefsmith/work')\nos.symlink('/etc/shadow', 'model.hef')\n"
        "os.mkfifo('pipe')\nos.symlink('plan.json', 'fine')\nos.mkdir('d')\nos.symlink('/', 'd/r')"
    )
    with engine.start(make_job(code)) as running:
        assert running.wait().ok
    assert sorted(os.listdir(work)) == ["d", "fine", "plan.json"]
    assert os.listdir(work / "d") == []
