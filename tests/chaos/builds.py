"""Builds that take milliseconds: a forked child runs ``hef`` with an engine of trivial stages.

All else is the real thing: plan, cache, locks, publishing, store, manifest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.unit.matrix import trivial

#: Loaded once, before the forks.
_WARM = (
    "orchestrator.cli.app", "orchestrator.cli.up", "orchestrator.cli.matrix",
    "orchestrator.cli.cache", "orchestrator.pipeline.session", "orchestrator.pipeline.runner",
    "orchestrator.pipeline.matrix.runner", "orchestrator.pipeline.sharing.readthrough",
    "orchestrator.pipeline.sharing.content", "orchestrator.hef", "orchestrator.inspect.har",
    "orchestrator.inspect.onnx_file", "orchestrator.pipeline.finished.attest", "google.protobuf",
    "orchestrator.hef.writer", "rich.console",
)  # fmt: skip

#: Seconds of the clock after which a command counts as one that hangs.
PATIENCE = 60.0
#: The ends of the pipes of children that run.
_SAID: dict[int, list[int]] = {}
BUILD = ("build", "one", "--arch", "hailo8l")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or ``-9`` as the system has it; what it said."""

    code: int
    out: str
    err: str

    @property
    def plain(self) -> bool:
        """Whether it ended in words and in time."""
        return self.code not in (99, -signal.SIGALRM) and "Traceback" not in self.err

    def __str__(self) -> str:
        return f"exit {self.code}: {self.err[-300:]}"


@dataclass(frozen=True)
class Place:
    """A project with one model, and a cache, a home and a temporary folder of its own."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Place:
        """Make one anew."""
        for name in ("home", "tmp"):
            (root / name).mkdir(parents=True)
        trivial.make_model(root, "one")
        return cls(root)

    @property
    def build(self) -> Path:
        """The folder of the finished build."""
        return self.root / "artifacts" / "one" / "hailo8l"

    @property
    def cache(self) -> Path:
        """The cache."""
        return self.root / "cache"

    def environ(self) -> dict[str, str]:
        """Return what a command of this project finds in its environment."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "HEFSMITH_CACHE": str(self.cache),
            "HEFSMITH_DATA": str(self.root / "data"),
            "HEFSMITH_ENGINE": "local",
            "TRIVIAL_RUNS": str(self.root / "runs"),
        }

    def runs(self) -> list[str]:
        """Return the stages that ran so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.root / "runs").read_text().splitlines()
        return []

    def digests(self) -> dict[str, str]:
        """Return the content of the build; empty where there is none that is whole."""
        try:
            document = json.loads((self.build / "build.json").read_text())
            return {one["path"]: one["sha256"] for one in document["files"]}
        except (OSError, ValueError, KeyError):
            return {}

    def leftovers(self) -> list[str]:
        """Return what nobody has tidied up."""
        found = [*self.root.glob("artifacts/*/.*.building-*"), *(self.root / "tmp").iterdir()]
        return [str(one.relative_to(self.root)) for one in found]

    def forget(self) -> None:
        """Leave the project as it was at first."""
        for name in ("artifacts", "cache", "data", "runs"):
            path = self.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def start(
        self,
        *argv: str,
        before: Callable[[], None] = lambda: None,
        **environ: str,
    ) -> int:
        """Fork a child that runs ``hef argv``; ``before`` is called in it. Returns its number."""
        warm()
        sys.stdout.flush()
        # Pipes, not files: what a full disk refuses must not be the words about it.
        pipes = [os.pipe() for _ in "oe"]
        for _, write in pipes:
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 1 << 20)
        child = os.fork()
        if child:
            for _, write in pipes:
                os.close(write)
            _SAID[child] = [read for read, _ in pipes]
            return child
        code = 99
        try:
            os.chdir(self.root)
            os.environ.clear()
            os.environ.update({**self.environ(), **environ})
            for number, (_, write) in enumerate(pipes, 1):
                os.dup2(write, number)
                os.close(write)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            import tempfile

            tempfile.tempdir = None
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            trivial.install()
            before()
            from orchestrator.cli.app import run

            code = run(argv or BUILD)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            import traceback

            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def wait(self, child: int) -> Ended:
        """Wait for a child that :meth:`start` made."""
        _, status = os.waitpid(child, 0)
        said = []
        for pipe in _SAID.pop(child):
            os.set_blocking(pipe, False)
            content = b""
            with contextlib.suppress(BlockingIOError):
                while block := os.read(pipe, 1 << 20):
                    content += block
            os.close(pipe)
            said.append(content.decode("utf-8", "replace"))
        return Ended(os.waitstatus_to_exitcode(status), *said)

    def hef(self, *argv: str, before: Callable[[], None] = lambda: None, **environ: str) -> Ended:
        """Run ``hef argv`` to its end; a build where nothing is named."""
        return self.wait(self.start(*argv, before=before, **environ))


def warm() -> None:
    """Load what a build loads."""
    for name in _WARM:
        import_module(name)


#: Operations that change the disk: what a process is ended at, event by event.
WRITES = frozenset(
    {
        "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.chmod",
        "os.truncate", "shutil.rmtree", "shutil.copyfile", "os.utime", "tempfile.mkstemp",
        "tempfile.mkdtemp", "fcntl.flock",
    }
)  # fmt: skip


def at_write(number: int, act: Callable[[], None]) -> Callable[[], None]:
    """Return what calls ``act`` at the ``number``-th operation that changes the disk."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o3
        if opens or event in WRITES:
            seen += 1
            if seen == number:
                act()

    return lambda: sys.addaudithook(hook)


def die() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def count_writes(place: Place) -> int:
    """Return how many such operations a build has."""
    file = place.root / "writes"

    def begin() -> None:
        def hook(event: str, arguments: tuple[object, ...]) -> None:
            opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o3
            if opens or event in WRITES:
                os.write(number, b".")

        number = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        sys.addaudithook(hook)

    ended = place.hef(before=begin)
    assert ended.code == 0, ended
    found = file.stat().st_size
    file.unlink()
    place.forget()
    return found


def small_files(limit: int) -> Callable[[], None]:
    """Return what lets no file grow past ``limit`` bytes."""

    def begin() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return begin
