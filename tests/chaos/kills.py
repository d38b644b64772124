"""kill -9 of the host at each of its writes, of the worker, of containers, of the agent."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.chaos.builds import Place, at_write, count_writes, die
from tests.chaos.count import Count, Ground

ROOT = Path(__file__).resolve().parents[2]


def kill_host(ground: Ground, count: Count) -> None:
    """End ``hef build`` at a random write; the same command goes on, and all is as undisturbed."""
    place = Place.make(ground.folder)
    total = count_writes(place)
    right = _undisturbed(place)
    while count.more:
        number = ground.chance.randint(1, total)
        ended = place.hef(before=at_write(number, die))
        if ended.code != -signal.SIGKILL:
            count.missed()
        else:
            wrong = _again(place, right)
            count.took(f"write {number} of {total}: {wrong}", not wrong)
        if ground.chance.random() < 0.5:
            place.forget()  # else the next one goes on with what is there


def _undisturbed(place: Place) -> dict[str, str]:
    ended = place.hef()
    assert ended.code == 0, ended
    right = place.digests()
    place.forget()
    return right


def _again(place: Place, right: dict[str, str]) -> str:
    """Run the same command once more; return what is wrong then, or nothing."""
    ended = place.hef()
    if ended.code != 0 or not ended.plain:
        return str(ended)
    if place.digests() != right:
        return "another result"
    if left := place.leftovers():
        return f"left behind: {left}"
    return ""


def kill_store(ground: Ground, count: Count) -> None:
    """End ``hef cache push`` and ``pull`` at a random write; the store and the cache stay whole."""
    alice, bob = Place.make(ground.folder / "alice"), Place.make(ground.folder / "bob")
    share = ground.folder / "share"
    assert alice.hef().code == 0
    right = alice.digests()
    words = ("one", "--calibration", "--arch", "hailo8l")
    while count.more:
        share.mkdir()
        pull = ground.chance.random() < 0.5
        number = ground.chance.randint(1, 60)
        if pull:
            alice.hef("cache", "push", *words, "--to", str(share))
        who, verb, way = (bob, "pull", "--from") if pull else (alice, "push", "--to")
        ended = who.hef("cache", verb, *words, way, str(share), before=at_write(number, die))
        if ended.code != -signal.SIGKILL:
            count.missed()
        else:
            ends = [
                alice.hef("cache", "verify", "--at", str(share)),
                alice.hef("cache", "push", *words, "--to", str(share)),
                bob.hef("cache", "verify"),
                bob.hef("cache", "pull", *words, "--from", str(share)),
                bob.hef(),
            ]
            held = all(one.code == 0 and one.plain for one in ends) and bob.digests() == right
            count.took(f"{verb}, write {number}: {[str(one) for one in ends]}", held)
        bob.forget()
        shutil.rmtree(share)


def kill_worker(ground: Ground, count: Count) -> None:
    """End the local engine's job after a random line of the build; told, and mended by the next."""
    project = _Digits(ground.folder)
    right, lines = project.undisturbed()
    while count.more:
        number = ground.chance.randint(2, lines - 2)
        running = project.start()
        _read(running, number)
        workers = _end_workers(running)
        said = running.stderr.read() if running.stderr is not None else ""
        code = running.wait(timeout=120)
        if not workers or code == 0:
            count.missed()
            continue
        wrong = project.again(right)
        told = code in (1, 3) and "Traceback" not in said and "killed" in said.lower()
        count.took(f"line {number}: exit {code}, {said[-300:]!r}, then {wrong}", told and not wrong)


def kill_container(ground: Ground, count: Count) -> None:
    """End the container of a build after a random line of it."""
    docker = shutil.which("docker", path="/usr/bin:/bin") or shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode:
        count.skipped = "no Docker engine"
        return
    project = _Digits(ground.folder, engine="docker")
    right, lines = project.undisturbed()
    while count.more:
        number = ground.chance.randint(2, lines - 2)
        before = _containers(docker)
        running = project.start()
        _read(running, number)
        ours = sorted(_containers(docker) - before)
        for one in ours:
            label = subprocess.run(
                [docker, "inspect", "-f", "{{json .Mounts}}", one], capture_output=True, text=True
            ).stdout
            if str(ground.folder) in label:
                subprocess.run([docker, "kill", "-s", "KILL", one], capture_output=True)
        said = running.stderr.read() if running.stderr is not None else ""
        code = running.wait(timeout=180)
        if not ours or code == 0:
            count.missed()
            continue
        wrong = project.again(right)
        told = code in (1, 3) and "Traceback" not in said
        count.took(f"line {number}: exit {code}, {said[-300:]!r}, then {wrong}", told and not wrong)


def kill_agent(ground: Ground, count: Count) -> None:
    """End the device's side at its file operations, each in turn; ``current`` stays whole."""
    program = ROOT / "tests" / "unit" / "device" / "die_everywhere.py"
    stride = 1 if count.wanted > 40 else 7
    done = subprocess.run(
        [sys.executable, str(program), str(ground.folder), str(stride)],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    for action, found in json.loads(done.stdout).items():
        for number in range(found["deaths"]):
            wrong = found["wrong"][number] if number < len(found["wrong"]) else ""
            count.took(f"{action}: {wrong}", not wrong)


class _Digits:
    """The bundled model with the emulator: real stages, real processes."""

    def __init__(self, root: Path, engine: str = "local") -> None:
        self.root = root
        self.engine = engine
        #: of its commands, beside that of this process
        self.environ: dict[str, str] = {}
        (root / "tmp").mkdir()

    def start(self) -> subprocess.Popen[str]:
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        shutil.rmtree(self.root / "artifacts", ignore_errors=True)
        return self._hef()

    def _hef(self) -> subprocess.Popen[str]:
        places = {f"HEFSMITH_{name.upper()}": str(self.root / name) for name in ("cache", "data")}
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "build", "digits", "--engine", self.engine],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=self.root,
            env={**os.environ, **places, **self.environ, "TMPDIR": str(self.root / "tmp")},
        )  # fmt: skip

    def digests(self) -> dict[str, str]:
        try:
            text = (self.root / "artifacts/digits/hailo8l/build.json").read_text()
        except OSError:
            return {}
        kinds = ("onnx", "har", "hef", "script", "golden")
        return {f["path"]: f["sha256"] for f in json.loads(text)["files"] if f["role"] in kinds}

    def undisturbed(self) -> tuple[dict[str, str], int]:
        running = self.start()
        said = running.stderr.read() if running.stderr is not None else ""
        assert running.wait() == 0, said
        return self.digests(), len(said.splitlines())

    def again(self, right: dict[str, str]) -> str:
        running = self._hef()
        said = running.stderr.read() if running.stderr is not None else ""
        if running.wait(timeout=180) != 0:
            return said[-300:]
        if self.digests() != right:
            return "another result"
        left = [
            *self.root.glob("artifacts/*/.*.building-*"),
            *(self.root / "tmp").glob("hefsmith*"),
        ]
        return f"left behind: {left}" if left else ""


def _read(running: subprocess.Popen[str], lines: int) -> None:
    assert running.stderr is not None
    for _ in range(lines):
        if not running.stderr.readline():
            return
    time.sleep(random.random() * 0.05)


def _end_workers(running: subprocess.Popen[str]) -> int:
    """End the workers of a build; return how many still ran, as some end by themselves just now."""
    ended = 0
    with suppress(psutil.NoSuchProcess):
        for one in psutil.Process(running.pid).children(recursive=True):
            if "hefsmith_worker" in " ".join(_command(one)):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
                    ended += 1
    return ended


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _containers(docker: str) -> set[str]:
    done = subprocess.run([docker, "ps", "-q", "--no-trunc"], capture_output=True, text=True)
    return set(re.findall(r"[0-9a-f]{64}", done.stdout))
