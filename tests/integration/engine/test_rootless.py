"""Rootless Docker: results belong to the user, and limits that are not in force are said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engine.address import Address
from orchestrator.engine.base import IN, WORK, Box, EndKind, Input, Job
from orchestrator.engine.box import Caller
from orchestrator.engine.choose import choose_engine
from orchestrator.engine.docker import DockerEngine
from orchestrator.errors import EngineError

from .conftest import BASE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(120)

USER = 5432

# In name spaces of its own: the user exists nowhere else, and the daemon sees no network. The
# usual dockerd-rootless.sh does the same with a network, which a box never has.
START = """
set -e
mount --make-rprivate /
for file in passwd subuid subgid; do
    cp "/etc/$file" "$FOLDER/$file" 2>/dev/null || : > "$FOLDER/$file"
done
echo "hefsmith-test:x:$USER_ID:$USER_ID::$FOLDER/home:/bin/sh" >> "$FOLDER/passwd"
for file in subuid subgid; do echo "hefsmith-test:700000:65536" >> "$FOLDER/$file"; done
touch -a /etc/subuid /etc/subgid
for file in passwd subuid subgid; do mount --bind "$FOLDER/$file" "/etc/$file"; done
# rootlesskit makes folders there, and not everywhere may each user do so.
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip link set lo up
cd "$FOLDER/home"
exec setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups \
    env -i HOME="$FOLDER/home" XDG_RUNTIME_DIR="$FOLDER/run" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    rootlesskit --net=host --copy-up=/etc --copy-up=/run --propagation=rslave \
    sh -c 'rm -f /run/docker /run/containerd /run/xtables.lock
        exec dockerd --rootless --bridge=none --iptables=false --ip-forward=false'
"""

LOOK = """
import os, sys
print(os.getuid(), open(sys.argv[1] + '/data/a').read(), os.listdir('/sys/class/net'))
print([line for line in open('/proc/self/status') if line.startswith('CapEff')][0].split()[1])
for path in ('/etc/x', sys.argv[1] + '/data/b'):
    try:
        open(path, 'w')
    except OSError as error:
        print(error.strerror)
os.mkdir(sys.argv[2] + '/sub')
open(sys.argv[2] + '/sub/out', 'w').write('made')
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the other user can reach, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="hefsmith-rootless-", dir="/var/tmp"))
    made.chmod(0o755)
    for name in ("home", "run"):
        (made / name).mkdir(mode=0o700)
        os.chown(made / name, USER, USER)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The address of a rootless daemon of the test's own, with the base image."""
    socket = folder / "run/docker.sock"
    environ = {**os.environ, "FOLDER": str(folder), "USER_ID": str(USER)}
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", START],
            env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: socket.exists() or daemon.poll() is not None, 30)
        assert daemon.poll() is None, (folder / "log").read_text()
        saved = subprocess.Popen(["docker", "save", BASE], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "-H", f"unix://{socket}", "load", "-q"],
            stdin=saved.stdout, check=True, capture_output=True,
        )  # fmt: skip
        assert saved.stdout is not None
        saved.stdout.close()
        assert saved.wait() == 0
        yield f"unix://{socket}"
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture
def engine(url: str) -> Iterator[DockerEngine]:
    made = DockerEngine(Address("docker", url, "test"), whose=Caller(USER, USER))
    yield made
    made.close()


def make_job(engine: DockerEngine, folder: Path, code: str, *, limits: Box | None = None) -> Job:
    image = engine.find_image(BASE)
    assert image is not None
    top = Path(tempfile.mkdtemp(dir=folder))
    top.chmod(0o755)
    for name in ("work", "data"):
        (top / name).mkdir()
    (top / "data/a").write_text("given")
    os.chown(top / "work", USER, USER)
    return Job(
        "test", image.id, ("python3", "-c", code, IN, WORK), top / "work",
        inputs=(Input("data", top / "data"),), limits=limits or Box(),
    )  # fmt: skip


@pytest.mark.parametrize("transfer", ["bind", "copy"])
def test_the_box_holds_and_results_belong_to_the_user(
    engine: DockerEngine, folder: Path, transfer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if transfer == "copy":
        # As an engine that does not see our files.
        monkeypatch.setattr(engine, "_blind", True)
    job = make_job(engine, folder, LOOK)
    with engine.start(job) as running:
        assert running.record.transfer == transfer
        lines = list(running.lines())
        ending = running.wait()
    assert ending.ok, (ending, lines)
    refused = ["Read-only file system"] * 2
    assert lines == ["0 given ['lo']", "0000000000000000", *refused]
    made = [job.work / "sub", job.work / "sub/out"]
    whose = USER if transfer == "bind" else os.getuid()
    assert [one.stat().st_uid for one in made] == [whose, whose]
    assert made[1].read_text() == "made"


def test_a_limit_that_is_not_in_force_is_said_and_refused_if_asked_for(
    engine: DockerEngine, url: str, folder: Path
) -> None:
    assert engine.info().rootless
    choice = choose_engine(url)
    choice.engine.close()
    assert "cannot limit memory, cpus, pids" in choice.said
    job = make_job(engine, folder, "print(1)", limits=Box(memory=256 * 1024**2))
    with pytest.raises(EngineError) as error, engine.start(job):
        pass
    assert error.value.code == "engine.limit"
    assert "delegation" in (error.value.hint or "")


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_a_job_is_stopped_and_gone(engine: DockerEngine, folder: Path, url: str) -> None:
    running = engine.start(make_job(engine, folder, "import time; time.sleep(60)"))
    name = running.record.container
    started = time.monotonic()
    assert running.stop().kind is EndKind.INTERRUPTED
    assert time.monotonic() - started < 10
    listed = engine.connection.api.containers(all=True, filters={"name": name})
    assert listed == []
