"""The local engine: a job as a process of this machine, without Docker. For the emulator only.

On Linux bubblewrap makes a box around it where it is there: it sees the system and its inputs,
writes to its build folder, and has no network. Elsewhere a job can do what the user can, and
every command that uses it says so. It never loads more of a checkpoint than weights.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from hefsmith_worker import guard

from orchestrator import files, paths, processes
from orchestrator.engine import context, process, registry
from orchestrator.engine.base import (
    IN,
    PYTHON,
    ROOT,
    WORK,
    WORKER,
    Box,
    BuildRecord,
    Completed,
    EngineInfo,
    EngineUnavailableError,
    ImageInfo,
    ImageMissingError,
    Job,
    Report,
    ignore,
)
from orchestrator.engine.facts import normal_architecture
from orchestrator.engine.images import emulator_digest
from orchestrator.engine.local_job import (
    LocalAttached,
    LocalRunning,
    follow_file,
    local_info,
    output_file,
    status_file,
)
from orchestrator.engine.sandbox import boxed_program, bubblewrap
from orchestrator.errors import EngineError
from orchestrator.installation import install_command, missing_modules, pip_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

IMAGE = "local"

#: How folders with the inputs of builds in the background are called, and the seconds until one
#: that nobody names is taken for left: by a system that tells who works where, and by another.
KEPT = "hefsmith-kept-"
SETTLED = 60.0
OLD = 7 * 86400.0

#: Where a job in a box has its scratch files, and which folder of the host's that is.
BOX_TMP = "/tmp"  # noqa: S108  the box's own
SCRATCH = ".scratch"


def place_inside(path: PurePosixPath, inputs: Path, work: Path) -> Path:
    """Return where a path of the box is on this machine."""
    for inside, here in ((IN, inputs), (WORK, work), (WORKER, paths.worker_package().parent)):
        if path.is_relative_to(inside):
            return here.joinpath(*path.relative_to(inside).parts)
    msg = f"{path} is not a place below {ROOT}"
    raise EngineError(msg)


def translate(words: tuple[str | PurePosixPath, ...], inputs: Path, work: Path) -> tuple[str, ...]:
    """Return a job's command for this machine."""
    found = tuple(
        word if isinstance(word, str) else str(place_inside(word, inputs, work)) for word in words
    )
    return (sys.executable, *found[1:]) if found[0] == PYTHON else found


class LocalEngine:
    """This machine, without a box (:class:`orchestrator.engine.protocols.Engine`)."""

    def info(self) -> EngineInfo:
        """Return what is known of this machine."""
        return local_info()

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def find_image(self, reference: str) -> ImageInfo | None:
        """Return the one image that there is: this Python with the emulator's libraries."""
        if reference not in {IMAGE, f"{IMAGE}:{emulator_digest()[:16]}"}:
            return None
        return self.ensure_image("emulator")

    def ensure_image(
        self,
        name: Literal["emulator", "pi"],
        *,
        report: Report = ignore,  # noqa: ARG002
    ) -> ImageInfo:
        """Return the stand-in for the emulator's image; raises if its libraries are missing."""
        if name != "emulator":
            msg = f"the local engine cannot run the image {name}"
            raise ImageMissingError(msg, hint="It needs Docker: --engine docker")
        if missing := missing_modules():
            msg = f"the local engine lacks {', '.join(missing)}"
            raise EngineUnavailableError(
                msg, hint=f"{install_command('emulator')}\nor use Docker: --engine docker"
            )
        digest = emulator_digest()
        return ImageInfo(
            id=f"{IMAGE}:{digest[:16]}",
            tags=(IMAGE,),
            size=0,
            architecture=normal_architecture(platform.machine().lower()),
            created="",
            user="",
            env={},
            labels={"org.hefsmith.emulator": digest},
        )

    def ready_image(self, name: Literal["emulator", "pi"]) -> ImageInfo | None:
        """Return the stand-in for the emulator's image, ``None`` if libraries are missing."""
        return None if name != "emulator" or missing_modules() else self.ensure_image(name)

    def add_packages(
        self,
        image: str,  # noqa: ARG002
        packages: tuple[str, ...],
        *,
        python: str,  # noqa: ARG002
        report: Report = ignore,  # noqa: ARG002
    ) -> ImageInfo:
        """Return the stand-in for the image; raises if this Python lacks one of the packages."""
        from orchestrator.engine.packages import missing

        if unmet := missing(packages):
            wanted = [one.partition(" (")[0] for one in unmet]
            msg = f"the network needs packages that this Python lacks: {', '.join(unmet)}"
            hint = f"{pip_command(wanted)}\nor use Docker: --engine docker"
            raise EngineUnavailableError(msg, hint=hint, code="engine.packages")
        return self.ensure_image("emulator")

    def python_path(self) -> tuple[Path, ...]:
        """Return what goes on ``PYTHONPATH``: the emulator, and the worker where it is apart."""
        root = context.program_package().parent
        return tuple(dict.fromkeys((*paths.emulator_path(), root)))

    def _environment(self, job: Job, inputs: Path) -> dict[str, str]:
        wanted = {
            name: value if isinstance(value, str) else str(place_inside(value, inputs, job.work))
            for name, value in job.env.items()
        }
        binaries = paths.image_context("emulator") / "bin"
        env = process.job_environment(os.environ, wanted, self.python_path())
        env["PATH"] = os.pathsep.join(filter(None, (str(binaries), env.get("PATH"))))
        return env

    def commands(self, job: Job) -> tuple[str, ...]:
        """Return the shell line that ``start`` stands for."""
        import shlex

        words = translate(job.argv, Path("INPUTS"), job.work)
        path = os.pathsep.join(str(one) for one in self.python_path())
        links = [f"ln -s {shlex.quote(str(one.path))} INPUTS/{one.name}" for one in job.inputs]
        return (*links, f"PYTHONPATH={shlex.quote(path)} {shlex.join(words)}")

    def start(
        self,
        job: Job,
        *,
        detached: bool = False,
        held: bool = False,
        report: Report = ignore,  # noqa: ARG002
    ) -> LocalRunning:
        """Start a job as a process, or make it ready (``held``)."""
        self.ensure_image("emulator")
        files.remove_abandoned(Path(tempfile.gettempdir()), "hefsmith-in")
        remove_forgotten(Path(tempfile.gettempdir()), KEPT)
        # A detached job goes on without us: its files are its own.
        prefix = KEPT if detached else f"hefsmith-in-{processes.this_process()}."
        inputs = Path(tempfile.mkdtemp(prefix=prefix))
        for one in job.inputs:
            lend(one.path, inputs / one.name)
        build = secrets.token_hex(4)
        record = BuildRecord(
            id=build,
            name=job.name,
            engine="local",
            container="",
            image=job.image,
            work=job.work,
            started=time.time(),
            process=str(processes.this_process()),
            detached=detached,
            transfer="bind",
            volume=str(inputs),
            notes=dict(job.notes),
        )
        command = translate(job.argv, inputs, job.work)
        environment = self._environment(job, inputs)
        if (program := boxed_program()) is not None:
            # A job is started by a thread that ends before it; it ends with its standard input.
            command = self._in_box(job, command, inputs, program, follows=detached)
            environment |= dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), BOX_TMP)
        if detached:
            settings = {"patience": None, "status": str(status_file(build))}
            command = (sys.executable, "-I", guard.__file__, json.dumps(settings), *command)
        running = LocalRunning(
            record,
            command,
            environment,
            inputs=inputs,
            detached=detached,
            waits=job.waits,
        )
        if job.waits:
            running.launch()
        if not held:
            running.release()
        return running

    def _in_box(
        self, job: Job, command: tuple[str, ...], inputs: Path, program: str, *, follows: bool
    ) -> tuple[str, ...]:
        """Return the command in a box that shows its inputs, where they are on this machine."""
        scratch = inputs / SCRATCH
        scratch.mkdir()
        lent = (one.path.resolve() for one in job.inputs)
        readable = (*self.python_path(), paths.image_context("emulator"), inputs, *lent)
        return bubblewrap(
            command,
            readable=readable,
            writable=job.work,
            program=program,
            scratch=scratch,
            folder=inputs,
            network=job.limits.network,
            follows=follows,
        )

    def attach(self, record: BuildRecord) -> LocalAttached:
        """Return a detached build that was started earlier."""
        return LocalAttached(record)

    def running(self) -> tuple[BuildRecord, ...]:
        """Return the detached builds of this engine."""
        return tuple(one for one in registry.records() if one.engine == "local")

    def log(self, record: BuildRecord, *, follow: bool) -> Iterator[str]:
        """Yield what a detached build has printed; ``follow``: and prints until it ends."""
        path = output_file(record.id)
        if path.exists():
            runs = (lambda: processes.is_alive(record.container)) if follow else (lambda: False)
            yield from follow_file(path, runs)

    def status(self, record: BuildRecord) -> str:
        """Return the state of a build in a word or two."""
        if processes.is_alive(record.container):
            return "running"
        try:
            return f"ended ({status_file(record.id).read_text(encoding='ascii')})"
        except OSError:
            return "gone"

    def image_store(self) -> None:
        """Return ``None``: this Python is the only image."""

    def shell(
        self,
        image: str,
        command: tuple[str, ...],
        folder: Path | None,
        *,
        terminal: bool,
        limits: Box | None = None,
    ) -> None:
        """Return ``None``: there is no box to open a shell in."""

    def clock(self) -> None:
        """Return ``None``: our clock is its own."""

    def open_program(
        self,
        image: str,
        argv: tuple[str, ...],
        env: Mapping[str, str],
    ) -> None:
        """Return ``None``: programs of the embedded device run in our own process's system."""

    def capture(
        self,
        image: str,  # noqa: ARG002
        argv: tuple[str, ...],
        *,
        limits: Box | None = None,  # noqa: ARG002
        env: Mapping[str, str] | None = None,
        timeout: float = 120.0,
        on_output: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a short program as a process."""
        words = (sys.executable, *argv[1:]) if argv[0] == PYTHON else argv
        variables = process.job_environment(os.environ, dict(env or {}), self.python_path())
        try:
            done = subprocess.run(
                words, capture_output=True, timeout=timeout, env=variables, check=False
            )
        except subprocess.TimeoutExpired as error:
            msg = f"{argv[0]} did not end within {timeout:.0f} s"
            raise EngineError(msg, code="engine.timeout") from error
        out = done.stdout.decode("utf-8", "replace")
        if on_output is not None:
            for line in out.splitlines():
                on_output(line)
        return Completed(done.returncode, out, done.stderr.decode("utf-8", "replace"))


def remove_forgotten(place: Path, stem: str) -> tuple[Path, ...]:
    """Remove folders of builds in the background that no record names and nobody works in.

    They stay when a machine stops at the wrong moment. Another ``hef`` of the user may keep its
    records elsewhere, so a folder in which a process works is left alone, and one whose use the
    system does not tell until it is old.
    """
    named = {one.volume for one in registry.records()}
    removed: list[Path] = []
    for folder in place.glob(f"{stem}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            age = time.time() - found.st_mtime
            if not stat.S_ISDIR(found.st_mode) or not mine or str(folder) in named:
                continue
            used = processes.works_in(folder)
            if (used is False and age > SETTLED) or (used is None and age > OLD):
                files.remove_tree(folder)
                removed.append(folder)
    return tuple(removed)


def lend(source: Path, place: Path) -> None:
    """Let a job see ``source`` as ``place``: a link, and where links are not allowed, a copy.

    Either is made anew: what is at ``place`` already is never written to, link or not. Raises
    :class:`FileExistsError` then.
    """
    try:
        place.symlink_to(source.resolve(), target_is_directory=source.is_dir())
    except FileExistsError:
        raise
    except OSError:
        # Windows lets only some users make links.
        if source.is_dir():
            shutil.copytree(source, place)
            return
        with source.open("rb") as stream, place.open("xb") as copy:
            shutil.copyfileobj(stream, copy)
