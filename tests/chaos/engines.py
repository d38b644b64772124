"""The Docker engine itself ended by kill -9, and its disk full: with an engine of our own.

It is started beside the machine's, in a network namespace that has nothing, with folders and a
socket of its own. Its image is one that the machine's engine has built.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.chaos.count import Count, Ground
from tests.chaos.kills import _Digits, _read

#: Seconds that a command may take once its engine is gone.
PATIENCE = 150.0


class PrivateEngine:
    """A Docker engine in a folder."""

    def __init__(self, folder: Path, docker: str) -> None:
        self.folder, self.docker = folder, docker
        folder.mkdir(parents=True, exist_ok=True)
        # The name of a socket has at most 107 bytes.
        self.socket = folder / "d.sock"
        self.address = f"unix://{self.socket}"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """What leads the clients to it."""
        return {"DOCKER_HOST": self.address}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        (self.folder / "d.pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [
                    "unshare", "--net", "dockerd", "--data-root", str(self.folder / "data"),
                    "--exec-root", str(self.folder / "exec"), "--pidfile",
                    str(self.folder / "d.pid"), "-H", self.address, "--bridge=none",
                    "--iptables=false", "--ip-forward=false",
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        for _ in range(300):
            if self.ask("version").returncode == 0:
                return
            if self._running.poll() is not None:
                break
            time.sleep(0.1)
        msg = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(msg)

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask it by the client."""
        return subprocess.run(
            [self.docker, "-H", self.address, *words], capture_output=True, text=True, check=False
        )

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Return its processes by what they are: ``dockerd``, ``containerd``, ``shim``."""
        found: dict[str, list[psutil.Process]] = {"dockerd": [], "containerd": [], "shim": []}
        for one in psutil.process_iter(["name", "cmdline"]):
            words = " ".join(one.info["cmdline"] or ())
            name = one.info["name"] or ""
            if str(self.folder) not in words:
                continue
            if name.startswith("containerd-shim"):
                found["shim"].append(one)
            elif name in found:
                found[name].append(one)
        return found

    def kill(self, *kinds: str) -> int:
        """End some of its processes by kill -9; return how many."""
        parts = self.parts()
        ours = [one for kind in kinds for one in parts[kind]]
        for one in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        if "dockerd" in kinds and self._running is not None:
            self._running.wait(timeout=30)
        return len(ours)

    def stop(self) -> None:
        """End it and all that it started."""
        if self._running is not None and self._running.poll() is None:
            self._running.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(timeout=30)
        self.kill("dockerd", "containerd", "shim")
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def _docker() -> tuple[str, str]:
    """Return the client, and why no engine of our own can be started."""
    docker = shutil.which("docker", path="/usr/bin:/bin") or shutil.which("docker")
    if docker is None or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        return "", "no dockerd"
    if os.geteuid() != 0:
        return "", "an engine of one's own needs root"
    if subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        return "", "no Docker engine that builds the image"
    return docker, ""


def _image(project: _Digits, docker: str) -> str:
    """Return the name of the image that a build runs in, which the machine's engine has."""
    said = (project.root / "artifacts/digits/hailo8l/build.json").read_text()
    image = re.findall(r'"image": "(sha256:[0-9a-f]{64})"', said)[0]
    words = [docker, "inspect", "-f", "{{index .RepoTags 0}}", image]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def _private(ground: Ground, docker: str, place: Path) -> Iterator[tuple[PrivateEngine, _Digits]]:
    """Give an engine of our own with the image, and a project that uses it."""
    project = _Digits(ground.folder, engine="docker")
    project.undisturbed()
    image = _image(project, docker)
    engine = PrivateEngine(place, docker)
    try:
        engine.start()
        save = subprocess.Popen([docker, "save", image], stdout=subprocess.PIPE)
        load = [docker, "-H", engine.address, "load"]
        subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
        assert save.wait() == 0
        project.environ = engine.environ
        yield engine, project
    finally:
        engine.stop()


KINDS = (("dockerd",), ("dockerd", "containerd"), ("containerd",), ("shim",),
         ("dockerd", "containerd", "shim"))  # fmt: skip


def kill_engine(ground: Ground, count: Count) -> None:
    """End the engine after a random line of a build: told, and the next one mends all."""
    docker, why = _docker()
    if why:
        count.skipped = why
        return
    with _private(ground, docker, ground.folder / "e") as (engine, project):
        right, lines = project.undisturbed()
        while count.more:
            number = ground.chance.randint(2, lines - 2)
            kinds = ground.chance.choice(KINDS)
            running = project.start()
            _read(running, number)
            ended = engine.kill(*kinds)
            code, said = _end_of(running)
            if "dockerd" in kinds:
                engine.start()
            else:
                time.sleep(1.0)  # dockerd starts its containerd again by itself
            if not ended or code == 0:
                count.missed()
                continue
            wrong = project.again(right)
            left = engine.ask("ps", "-aq").stdout.split()
            told = code in (1, 3) and "Traceback" not in said
            what = f"{kinds} after line {number}: exit {code}, {said[-300:]!r}; {wrong}; {left}"
            count.took(what, told and not wrong and not left)


def _end_of(running: subprocess.Popen[str]) -> tuple[int | None, str]:
    """Return how a command ended and what it said; ``None`` for one that did not end."""
    try:
        _, said = running.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        running.kill()
        return None, running.communicate()[1]
    return running.returncode, said


def full_engine(ground: Ground, count: Count) -> None:
    """The engine's disk is full, or becomes so in a build: told, and the next one mends all."""
    docker, why = _docker()
    if why:
        count.skipped = why
        return
    place = ground.folder / "disk"
    with _disk(place, 4096) as made:
        if not made:
            count.skipped = "mounting a disk of one's own needs root and mkfs.ext4"
            return
        with _private(ground, docker, place / "e") as (engine, project):
            right, lines = project.undisturbed()
            filler = place / "filler"
            while count.more:
                number = ground.chance.choice([0, ground.chance.randint(2, lines - 2)])
                kilobytes = ground.chance.choice([0, 0, 4, 40, 400])
                running = project.start() if number else None
                if running is not None:
                    _read(running, number)
                _fill(filler, kilobytes)
                running = running or project.start()
                code, said = _end_of(running)
                filler.unlink(missing_ok=True)
                if code == 0:
                    count.missed()
                    continue
                wrong = project.again(right)
                left = engine.ask("ps", "-aq").stdout.split()
                told = code in (1, 3) and "Traceback" not in said and "space" in said.lower()
                what = f"{kilobytes} KB, line {number}: exit {code}, {said[-300:]!r}; {wrong}"
                count.took(f"{what}; {left}", told and not wrong and not left)


def _fill(filler: Path, left: int) -> None:
    """Fill a disk but for so many kilobytes."""
    free = os.statvfs(filler.parent)
    size = free.f_bfree * free.f_bsize
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(0, size - (left << 10) - (1 << 20)))
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while os.statvfs(filler.parent).f_bfree * free.f_bsize > left << 10:
            file.write(bytes(4096))


@contextlib.contextmanager
def _disk(place: Path, megabytes: int) -> Iterator[bool]:
    """Have a disk of so much at a folder: a sparse file with ext4; tells whether it is there."""
    place.mkdir(parents=True, exist_ok=True)
    file = place.with_suffix(".img")
    with file.open("wb") as stream:
        stream.truncate(megabytes << 20)
    try:
        for words in (["mkfs.ext4", "-q", "-F", str(file)], ["mount", "-o", "loop", file, place]):
            if shutil.which(str(words[0])) is None or subprocess.run(words, check=False).returncode:
                yield False
                return
        try:
            yield True
        finally:
            subprocess.run(["umount", "-l", str(place)], check=False)
    finally:
        file.unlink(missing_ok=True)
