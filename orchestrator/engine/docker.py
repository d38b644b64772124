"""The Docker engine: every job in a box of its own, near or far."""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from hefsmith_worker.guard import ANSWER, MARK, measure

from orchestrator import files, paths, processes
from orchestrator.engine import images, registry, volumes
from orchestrator.engine.base import (
    IN,
    Box,
    BoxRefusedError,
    BuildRecord,
    Completed,
    EngineInfo,
    EngineLostError,
    ImageInfo,
    ImageMissingError,
    Job,
    Report,
    ignore,
)
from orchestrator.engine.box import (
    LABEL,
    Caller,
    ContainerSpec,
    Lifeline,
    create_config,
    plan_capture,
    plan_container,
    shell_line,
)
from orchestrator.engine.client import Connection
from orchestrator.engine.endings import Evidence, tell_ending
from orchestrator.engine.facts import normal_architecture
from orchestrator.engine.failures import all_errors, lost_errors
from orchestrator.engine.lifecycle import (
    GUARD_LINE,
    DockerRunning,
    remove_container,
    remove_named,
    undisturbed,
)
from orchestrator.engine.orphans import remove_orphans
from orchestrator.engine.owner import owner_id
from orchestrator.engine.transfer import stage_links
from orchestrator.engine.wire import LogStream, open_wire, split_lines
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.engine.address import Address
    from orchestrator.engine.base import Running

#: Seconds until the guard must have spoken. A suite's image on QEMU takes its time.
GUARD_TIMEOUT = 120.0

#: Seconds for which the end of this process waits until what killed runs left is removed.
SWEEPING = 5.0

#: Seconds for which it waits until the container of a job that is over is removed. The engine
#: was asked to, and goes on without us.
REMOVED_WITHIN = 0.25

#: What engines say about a folder that they do not see or may not share.
UNSEEN = ("bind source path does not exist", "mounts denied", "invalid mount config", "statfs")


def caller() -> Caller:
    """Return whom results must belong to: the user of this process."""
    if sys.platform == "win32":
        return Caller(None, None)
    return Caller(os.getuid(), os.getgid())


class DockerEngine:
    """A Docker engine (:class:`orchestrator.engine.base.Engine`)."""

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

    def images(self) -> tuple[ImageInfo, ...]:
        """Return every tagged image."""
        return images.listing(self._connection)

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

    def plan_bare(self, job: Job) -> ContainerSpec:
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
            labels=self.labels(),
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

    def labels(self, *, detached: bool = False) -> dict[str, str]:
        """Return the labels by which containers of this process are known again."""
        return {
            f"{LABEL}.owner": owner_id(),
            f"{LABEL}.process": str(processes.this_process()),
            f"{LABEL}.detached": str(int(detached)),
        }

    def start(
        self, job: Job, *, detached: bool = False, held: bool = False, report: Report = ignore
    ) -> DockerRunning:
        """Start a job; see :meth:`orchestrator.engine.base.Engine.start`."""
        image = self._image(job.image)
        info = self.info()
        running: DockerRunning | None = None
        if not (info.userns or self._blind):
            running = self._launch(job, image, info, detached, "bind", report)
        if running is None:
            self._blind = True
            running = self._launch(job, image, info, detached, "copy", report)
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

    def _launch(
        self,
        job: Job,
        image: ImageInfo,
        info: EngineInfo,
        detached: bool,
        transfer: Literal["bind", "copy"],
        report: Report,
    ) -> DockerRunning | None:
        """Start the container up to the guard's report; ``None`` if it sees other files."""
        build = secrets.token_hex(4)
        staged: Path | None = None
        if transfer == "bind":
            files.remove_abandoned(job.work.parent, ".hefsmith-in")
            kept = f".hefsmith-kept-{build}"
            staged = job.work.with_name(kept if detached else files.marked_name(".hefsmith-in"))
            job = replace(job, inputs=stage_links(job.inputs, staged))
        lifeline: Lifeline = "eof"
        if detached:
            lifeline = "none"
        elif self._address.far:
            lifeline = "beat"
        labels = self.labels(detached=detached)
        worker = paths.worker_package()
        named: dict[str, str] = {}
        parcels: tuple[volumes.Parcel, ...] = ()
        if transfer == "copy":
            report("preparing files for an engine that does not see ours")
            named, parcels = volumes.plan_parcels(job, worker)
            named["work"] = f"hefsmith-work-{build}"
        spec = plan_container(
            job,
            build=build,
            info=info,
            image=image,
            caller=self._caller,
            worker=worker,
            transfer=transfer,
            lifeline=lifeline,
            volumes=named,
            labels=labels,
        )
        record = BuildRecord(
            id=build,
            name=job.name,
            engine=self._address.url,
            container=spec.name,
            image=image.id,
            work=job.work,
            started=time.time(),
            process=str(processes.this_process()),
            detached=detached,
            transfer=transfer,
            volume=named.get("work"),
            staged=staged if staged is not None and staged.exists() else None,
            tls=self._address.tls,
            verify_tls=self._address.verify_tls,
            notes=dict(job.notes),
        )
        mark = secrets.token_hex(16)
        marked = job.work / MARK
        running: DockerRunning | None = None
        try:
            if transfer == "bind":
                marked.write_text(mark, encoding="ascii")
            running = self._create(job, spec, record, parcels, info, report)
            if running is None:
                return None
            said = self._hear_guard(running, info)
            if transfer == "bind" and not self._agrees(said, job, mark, info):
                running.stop()
                return None
        except BaseException:
            if running is not None:
                running.let_go()
            undisturbed(lambda: self._discard(record))
            raise
        finally:
            marked.unlink(missing_ok=True)
            (job.work / ANSWER).unlink(missing_ok=True)
        registry.save(record)
        return running

    def _discard(self, record: BuildRecord) -> None:
        remove_container(self._connection, record)

    def _create(
        self,
        job: Job,
        spec: ContainerSpec,
        record: BuildRecord,
        parcels: tuple[volumes.Parcel, ...],
        info: EngineInfo,
        report: Report,
    ) -> DockerRunning | None:
        uid, gid = (int(part) for part in spec.user.split(":"))
        with self._connection.calls("creating the container"):
            api = self._connection.api
            if record.volume is not None:
                mine = {**self.labels(detached=record.detached), f"{LABEL}.work": record.id}
                api.create_volume(record.volume, labels=mine)
                volumes.send(
                    api,
                    spec.image,
                    [one for one in parcels if not volumes.is_whole(api, one.volume)],
                    work=record.volume,
                    name=f"{spec.name}-carrier",
                    uid=uid,
                    gid=gid,
                    labels=self.labels(),
                    report=report,
                )
            try:
                api.create_container_from_config(create_config(spec, api), spec.name)
            except BoxRefusedError:
                raise
            except lost_errors() as error:
                if record.transfer == "bind" and any(mark in str(error) for mark in UNSEEN):
                    return None
                raise
            wire = open_wire(api, spec.name)
            try:
                api.start(spec.name)
            except BaseException:
                wire.close()
                raise

        def send_work() -> None:
            volumes.send_work(
                self._connection.api, spec.name, job.work, uid=uid, gid=gid, report=report
            )

        return DockerRunning(
            self._connection,
            record,
            info=info,
            wire=wire,
            beat=spec.lifeline == "beat",
            memory_limit=spec.memory,
            waits=job.waits,
            before_release=send_work if record.transfer == "copy" else None,
            report=report,
        )

    def _hear_guard(self, running: DockerRunning, info: EngineInfo) -> dict[str, Any]:
        """Return the guard's report; a container that ended without one is explained."""
        deadline = time.monotonic() + GUARD_TIMEOUT
        while (line := running.first_line(deadline - time.monotonic())) is not None:
            if line.startswith(GUARD_LINE):
                said: dict[str, Any] = json.loads(line)
                return said
        tail = running.tail
        code = running.exit_code()
        if code is None:
            msg = "the engine went away while the container started"
            raise EngineLostError(msg, hint="Run the same command again.")
        ending = tell_ending(Evidence(exit_code=code or 1, tail=tail), info)
        lines = "\n".join(escape_control(line) for line in tail[-5:])
        raise BoxRefusedError(
            f"the container ended before the job began: {ending.detail}\n{lines}".rstrip(),
            hint=ending.hint or "The image must have the Python that the toolchain names.",
        )

    def _agrees(self, said: Mapping[str, Any], job: Job, mark: str, info: EngineInfo) -> bool:
        """Tell whether the container sees our very folders, and writes as our user."""
        if said.get("mark") != mark:
            return False
        answer = job.work / ANSWER
        try:
            whose = answer.stat()
            if answer.read_text(encoding="ascii") != mark:
                return False
        except OSError:
            return False
        mapped = info.product in {"desktop", "orbstack", "colima"} or self._caller.uid is None
        if not mapped and whose.st_uid != self._caller.uid:
            return False
        seen = said.get("seen") or {}
        for one in job.inputs:
            ours = measure(str(one.path))
            theirs = seen.get(str(IN / one.name))
            if theirs is None or ours is None or tuple(theirs) != ours:
                return False
        return True

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
        found = self._image(image)
        self.sweep()
        spec = plan_capture(
            found,
            argv,
            name=f"hefsmith-ask-{secrets.token_hex(4)}",
            info=self.info(),
            limits=limits or Box(),
            env=env or {},
            labels=self.labels(),
        )
        api = self._connection.api
        try:
            with self._connection.calls(f"running {argv[0]}"):
                config = {**create_config(spec, api), "OpenStdin": False, "AttachStdin": False}
                api.create_container_from_config(config, spec.name)
                api.start(spec.name)
                return self._await_output(spec.name, timeout, on_output)
        finally:
            undisturbed(lambda: _ignored(remove_named(self._connection, spec.name)))

    def _await_output(
        self, name: str, timeout: float, on_output: Callable[[str], None] | None
    ) -> Completed:
        api = self._connection.api
        late = threading.Event()

        def end() -> None:
            late.set()
            other = Connection(self._address)
            try:
                other.api.kill(name, "SIGKILL")
            except all_errors():
                return
            finally:
                other.close()

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            for _, line in split_lines(LogStream(api, name, follow=True).frames()):
                if on_output is not None:
                    on_output(line)
            code = int(api.wait(name, timeout=10)["StatusCode"])
        finally:
            timer.cancel()
        if late.is_set():
            msg = f"the program in the container did not end within {timeout:.0f} s"
            raise EngineError(msg, code="engine.timeout")
        return Completed(
            code,
            api.logs(name, stdout=True, stderr=False).decode("utf-8", "replace"),
            api.logs(name, stdout=False, stderr=True).decode("utf-8", "replace"),
        )

    def foreign(self, image: ImageInfo) -> str | None:
        """Return a warning when the image is for another processor than the engine's."""
        here = normal_architecture(self.info().architecture)
        if not image.architecture or not here or image.architecture == here:
            return None
        return (
            f"the image is for {image.architecture} and the engine is {here}: it runs, if at all, "
            "under QEMU, many times slower; a remote engine is the good way"
        )


def _ignored(_: object) -> None:
    """Drop a value."""
