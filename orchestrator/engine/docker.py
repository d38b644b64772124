"""The Docker engine: every job in a box of its own, near or far."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator import paths
from orchestrator.engine import images, registry
from orchestrator.engine.base import (
    IN,
    Box,
    BoxRefusedError,
    BuildRecord,
    Completed,
    EngineInfo,
    ImageInfo,
    ImageMissingError,
    Input,
    Job,
    Report,
    ignore,
)
from orchestrator.engine.box import (
    LABEL,
    Caller,
    ContainerSpec,
    plan_capture,
    plan_container,
    shell_line,
)
from orchestrator.engine.client import Connection
from orchestrator.engine.launch import Launcher, caller, process_labels
from orchestrator.engine.lifecycle import DockerRunning
from orchestrator.engine.orphans import remove_orphans
from orchestrator.engine.output import GUARD_LINE
from orchestrator.engine.owner import owner_id
from orchestrator.engine.wire import LogStream, split_lines
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.engine.address import Address
    from orchestrator.engine.image_store import DockerImages
    from orchestrator.engine.program import Program
    from orchestrator.engine.protocols import Running

#: Seconds for which the end of this process waits until what killed runs left is removed.
SWEEPING = 5.0

#: Seconds for which it waits until the container of a job that is over is removed. The engine
#: was asked to, and goes on without us.
REMOVED_WITHIN = 0.25


class DockerEngine:
    """A Docker engine (:class:`orchestrator.engine.protocols.Engine`)."""

    def __init__(self, address: Address, *, whose: Caller | None = None) -> None:
        self._connection = Connection(address)
        self._address = address
        self._caller = whose or caller()
        self._blind = False
        self._swept = False
        self._sweeper: threading.Thread | None = None
        self._removals: list[threading.Thread] = []

    @property
    def connection(self) -> Connection:
        """Return the connection, for what else talks to this engine (doctor, toolchains)."""
        return self._connection

    def info(self) -> EngineInfo:
        """Return what is known of the engine."""
        return self._connection.info()

    def clock(self) -> str | None:
        """Return the time that the engine says it is, asked anew."""
        with self._connection.calls("asking the engine for its clock"):
            return str(self._connection.api.info().get("SystemTime") or "")

    def close(self) -> None:
        """Let go of the connection."""
        if self._sweeper is not None:
            self._sweeper.join(SWEEPING)
            self._sweeper = None
        for removal in self._removals:
            removal.join(REMOVED_WITHIN)
        self._removals.clear()
        self._connection.close()

    # Images

    def find_image(self, reference: str) -> ImageInfo | None:
        """Return an image that the engine has; never pulls."""
        return images.find(self._connection, reference)

    def ensure_image(
        self, name: Literal["emulator", "pi"], *, report: Report = ignore
    ) -> ImageInfo:
        """Return one of our images; builds it if it is not there as its files are now."""
        return images.ensure(self._connection, name, report=report)

    def ready_image(self, name: Literal["emulator", "pi"]) -> ImageInfo | None:
        """Return one of our images, ``None`` if it would have to be built first."""
        return images.ready(self._connection, name)

    def add_packages(
        self, image: str, packages: tuple[str, ...], *, python: str, report: Report = ignore
    ) -> ImageInfo:
        """Return an image with packages on top; builds it when the engine lacks it."""
        from orchestrator.engine.packages import add

        return add(self._connection, image, packages, python=python, report=report)

    def image_store(self) -> DockerImages:
        """Return the images of others on this engine."""
        from orchestrator.engine.image_store import DockerImages

        return DockerImages(self, self._connection)

    def _image(self, reference: str) -> ImageInfo:
        image = self.find_image(reference)
        if image is None:
            msg = f"the engine has no image {escape_control(reference)}"
            raise ImageMissingError(
                msg,
                hint="For the vendor's suite: hef toolchain import ARCHIVE. Our own images are\n"
                "built by hef when they are needed.",
            )
        return image

    # Jobs

    def commands(self, job: Job) -> tuple[str, ...]:
        """Return the shell lines that ``start`` stands for; asks nobody."""
        info = self._guess_info()
        image = ImageInfo(job.image, (), 0, "", "", "", {}, {})
        client = f"docker -H {self._address.url}" if self._address.far else "docker"
        named = {f"in/{one.name}": f"hefsmith-data-{one.name}" for one in job.inputs}
        named |= {"worker": "hefsmith-data-worker", "work": "hefsmith-work-BUILD"}
        spec = plan_container(
            job,
            build="BUILD",
            info=info,
            image=image,
            caller=self._caller,
            worker=paths.worker_package(),
            transfer="copy" if self._address.far else "bind",
            lifeline="eof",
            volumes=named,
        )
        line = shell_line(spec).replace("docker run", f"{client} run", 1)
        if not self._address.far:
            return (line,)
        makes = tuple(f"{client} volume create {name}" for name in named.values())
        sends = tuple(
            f"tar -C {one.path.parent} -c {one.path.name} | {client} cp - BOX:{IN / one.name}"
            for one in job.inputs
        )
        return (*makes, *sends, line, f"{client} cp BOX:/hefsmith/work/. {job.work}")

    def shell(
        self,
        image: str,
        command: tuple[str, ...],
        folder: Path | None,
        *,
        terminal: bool,
        limits: Box | None = None,
    ) -> tuple[str, ...]:
        """Return the words that open a shell in the box; see :class:`Engine`."""
        from orchestrator.engine.shell import plan_shell

        inputs = (Input("model", folder),) if folder is not None else ()
        argv = command or ("bash",)
        job = Job("shell", image, argv, Path("/nowhere"), inputs=inputs, limits=limits or Box())
        product = self.info().product
        return plan_shell(self._plan_bare(job), self._address.url, product, terminal=terminal)

    def _plan_bare(self, job: Job) -> ContainerSpec:
        """Return the container of a job without guard, worker and build folder: for a shell."""
        spec = plan_container(
            job,
            build=secrets.token_hex(4),
            info=self.info(),
            image=self._image(job.image),
            caller=self._caller,
            worker=paths.worker_package(),
            transfer="bind",
            lifeline="eof",
            labels=process_labels(),
        )
        mounts = tuple(one for one in spec.mounts if one.target.is_relative_to(IN))
        return replace(spec, mounts=mounts)

    def log(self, record: BuildRecord, *, follow: bool) -> Iterator[str]:
        """Yield what a build has printed; ``follow``: and what it prints until it ends."""
        with self._connection.calls(f"reading the log of {record.id}"):
            stream = LogStream(self._connection.api, record.container, follow=follow)
            for _, line in split_lines(stream.frames()):
                if not line.startswith(GUARD_LINE):
                    yield line

    def _guess_info(self) -> EngineInfo:
        return EngineInfo(kind="docker", name="", address=self._address.url, version="")

    def start(
        self, job: Job, *, detached: bool = False, held: bool = False, report: Report = ignore
    ) -> DockerRunning:
        """Start a job; see :meth:`orchestrator.engine.protocols.Engine.start`."""
        image = self._image(job.image)
        info = self.info()
        launcher = Launcher(self._connection, self._address, self._caller)
        running: DockerRunning | None = None
        if not (info.userns or self._blind):
            running = launcher.launch(
                job, image, info, detached=detached, transfer="bind", report=report
            )
        if running is None:
            self._blind = True
            running = launcher.launch(
                job, image, info, detached=detached, transfer="copy", report=report
            )
        if running is None:
            msg = "the container did not see the build folder that was sent to it"
            raise BoxRefusedError(msg, hint="hef doctor tells more about this engine.")
        try:
            if job.waits:
                running.warm()
            self._sweep_aside()
            if not held:
                running.release()
            if detached:
                running.detach()
            elif running.record.transfer == "bind" and not self._address.far:
                running.removals = self._removals
                running.watch()
        except BaseException:
            running.stop()
            raise
        return running

    def _sweep_aside(self) -> None:
        """Sweep while the job runs: what killed runs left is in nobody's way."""
        if self._swept or self._sweeper is not None:
            return
        self._sweeper = threading.Thread(target=self.sweep, name="hefsmith-sweep", daemon=True)
        self._sweeper.start()

    def sweep(self) -> None:
        """Remove what killed runs of this user left on the engine; once for each client."""
        if not self._swept:
            self._swept = True
            remove_orphans(self._connection)

    def attach(self, record: BuildRecord) -> Running:
        """Return a build that was started earlier; its lines come from the beginning."""
        import docker.errors

        with self._connection.calls(f"looking for the build {record.id}"):
            try:
                found = self._connection.api.inspect_container(record.container)
            except docker.errors.NotFound as error:
                registry.forget(record.id)
                msg = f"the build {record.id} is gone from the engine"
                raise EngineError(
                    msg, hint="Run hef up again: finished stages are not repeated."
                ) from error
        if (found["Config"].get("Labels") or {}).get(f"{LABEL}.build") != record.id:
            msg = f"the container {record.container} is not of the build {record.id}"
            raise EngineError(msg)
        return DockerRunning(
            self._connection,
            record,
            info=self.info(),
            wire=None,
            beat=False,
            memory_limit=found["HostConfig"].get("Memory") or None,
            stops_on_leave=False,
        )

    def running(self) -> tuple[BuildRecord, ...]:
        """Return the builds of this user that the engine still has (running or ended)."""
        with self._connection.calls("listing builds"):
            wanted = {"label": f"{LABEL}.owner={owner_id()}"}
            listed = self._connection.api.containers(all=True, filters=wanted)
        there = {(one.get("Labels") or {}).get(f"{LABEL}.build") for one in listed}
        return tuple(one for one in registry.records() if one.id in there)

    def status(self, record: BuildRecord) -> str:
        """Return the state of a build in a word or two: running, ended (0), gone."""
        import docker.errors

        with self._connection.calls("asking for a build"):
            try:
                state = self._connection.api.inspect_container(record.container)["State"]
            except docker.errors.NotFound:
                return "gone"
        if state.get("Running"):
            return "running"
        return f"ended ({state.get('ExitCode')})"

    def _short_program(
        self, kind: str, image: str, argv: tuple[str, ...], limits: Box, env: Mapping[str, str]
    ) -> ContainerSpec:
        """Return the container of a program without inputs; what an earlier one left goes."""
        found = self._image(image)
        self.sweep()
        return plan_capture(
            found,
            argv,
            name=f"hefsmith-{kind}-{secrets.token_hex(4)}",
            info=self.info(),
            limits=limits,
            env=env,
            labels=process_labels(),
        )

    def capture(
        self,
        image: str,
        argv: tuple[str, ...],
        *,
        limits: Box | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 120.0,
        on_output: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a short program in the box, with no inputs and no build folder."""
        from orchestrator.engine.question import ask

        spec = self._short_program("ask", image, argv, limits or Box(), env or {})
        return ask(self._connection, spec, timeout=timeout, on_output=on_output)

    def open_program(self, image: str, argv: tuple[str, ...], env: Mapping[str, str]) -> Program:
        """Start a program in the box whose standard streams are ours."""
        from orchestrator.engine.program import Program

        spec = self._short_program("program", image, argv, Box(), env)
        return Program(self._connection, spec)
