"""A container from its plan to the guard's report: files brought or shared, created, started.

The engine may see other files than we do, whatever its address says. So the container tells what
it sees of ours before the job begins; if that is not the same, the files are sent to it.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hefsmith_worker.guard import ANSWER, MARK, measure

from orchestrator import files, paths, processes
from orchestrator.engine import products, registry, volumes
from orchestrator.engine.base import (
    IN,
    BoxRefusedError,
    BuildRecord,
    EngineInfo,
    EngineLostError,
    ImageInfo,
    Job,
    Report,
)
from orchestrator.engine.box import (
    LABEL,
    Caller,
    ContainerSpec,
    Lifeline,
    create_config,
    plan_container,
)
from orchestrator.engine.endings import Evidence, tell_ending
from orchestrator.engine.failures import lost_errors
from orchestrator.engine.lifecycle import DockerRunning
from orchestrator.engine.output import GUARD_LINE
from orchestrator.engine.owner import owner_id
from orchestrator.engine.removal import remove_container, undisturbed
from orchestrator.engine.transfer import stage_links
from orchestrator.engine.wire import open_wire
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.engine.address import Address
    from orchestrator.engine.client import Connection

#: Seconds until the guard must have spoken. A suite's image on QEMU takes its time.
GUARD_TIMEOUT = 120.0

#: What engines say about a folder that they do not see or may not share.
UNSEEN = ("bind source path does not exist", "mounts denied", "invalid mount config", "statfs")


def caller() -> Caller:
    """Return whom results must belong to: the user of this process."""
    if sys.platform == "win32":
        return Caller(None, None)
    return Caller(os.getuid(), os.getgid())


def process_labels(*, detached: bool = False) -> dict[str, str]:
    """Return the labels by which containers of this process are known again."""
    return {
        f"{LABEL}.owner": owner_id(),
        f"{LABEL}.process": str(processes.this_process()),
        f"{LABEL}.detached": str(int(detached)),
    }


@dataclass(frozen=True, slots=True)
class _Planned:
    """A container before it is made: what it is, what is noted of it, what is sent to it."""

    spec: ContainerSpec
    record: BuildRecord
    parcels: tuple[volumes.Parcel, ...]


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts containers of jobs on one engine, for one user."""

    connection: Connection
    address: Address
    caller: Caller

    def launch(
        self,
        job: Job,
        image: ImageInfo,
        info: EngineInfo,
        *,
        detached: bool,
        transfer: Literal["bind", "copy"],
        report: Report,
    ) -> DockerRunning | None:
        """Start the container up to the guard's report; ``None`` if it sees other files."""
        build = secrets.token_hex(4)
        staged: Path | None = None
        if transfer == "bind":
            job, staged = _stage(job, build, detached=detached)
        else:
            report("preparing files for an engine that does not see ours")
        planned = self._plan(job, build, image, info, staged, detached=detached, transfer=transfer)
        record = planned.record
        mark = secrets.token_hex(16)
        marked = job.work / MARK
        running: DockerRunning | None = None
        try:
            if transfer == "bind":
                marked.write_bytes(mark.encode("ascii"))
            running = self._create(job, planned, info, report)
            if running is None:
                return None
            said = _hear_guard(running, info)
            if transfer == "bind" and not self._agrees(said, job, mark, info):
                running.stop()
                return None
        except BaseException:
            if running is not None:
                running.let_go()
            undisturbed(lambda: remove_container(self.connection, record))
            raise
        finally:
            marked.unlink(missing_ok=True)
            (job.work / ANSWER).unlink(missing_ok=True)
        registry.save(record)
        return running

    def _plan(
        self,
        job: Job,
        build: str,
        image: ImageInfo,
        info: EngineInfo,
        staged: Path | None,
        *,
        detached: bool,
        transfer: Literal["bind", "copy"],
    ) -> _Planned:
        """Decide what the container is, what is sent to it, and what is noted of it."""
        lifeline: Lifeline = "eof"
        if detached:
            lifeline = "none"
        elif self.address.far:
            lifeline = "beat"
        worker = paths.worker_package()
        named: dict[str, str] = {}
        parcels: tuple[volumes.Parcel, ...] = ()
        if transfer == "copy":
            named, parcels = volumes.plan_parcels(job, worker)
            named["work"] = f"hefsmith-work-{build}"
        spec = plan_container(
            job,
            build=build,
            info=info,
            image=image,
            caller=self.caller,
            worker=worker,
            transfer=transfer,
            lifeline=lifeline,
            volumes=named,
            labels=process_labels(detached=detached),
        )
        record = BuildRecord(
            id=build,
            name=job.name,
            engine=self.address.url,
            container=spec.name,
            image=image.id,
            work=job.work,
            started=time.time(),
            process=str(processes.this_process()),
            detached=detached,
            transfer=transfer,
            volume=named.get("work"),
            staged=staged if staged is not None and staged.exists() else None,
            tls=self.address.tls,
            verify_tls=self.address.verify_tls,
            notes=dict(job.notes),
        )
        return _Planned(spec, record, parcels)

    def _create(
        self, job: Job, planned: _Planned, info: EngineInfo, report: Report
    ) -> DockerRunning | None:
        spec, record, parcels = planned.spec, planned.record, planned.parcels
        uid, gid = (int(part) for part in spec.user.split(":"))
        with self.connection.calls("creating the container"):
            api = self.connection.api
            if record.volume is not None:
                mine = {**process_labels(detached=record.detached), f"{LABEL}.work": record.id}
                api.create_volume(record.volume, labels=mine)
                volumes.send(
                    api,
                    spec.image,
                    [one for one in parcels if not volumes.is_whole(api, one.volume)],
                    work=record.volume,
                    name=f"{spec.name}-carrier",
                    uid=uid,
                    gid=gid,
                    labels=process_labels(),
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
                self.connection.api, spec.name, job.work, uid=uid, gid=gid, report=report
            )

        return DockerRunning(
            self.connection,
            record,
            info=info,
            wire=wire,
            beat=spec.lifeline == "beat",
            memory_limit=spec.memory,
            waits=job.waits,
            before_release=send_work if record.transfer == "copy" else None,
            report=report,
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
        mapped = products.find(info.product).maps_owner or self.caller.uid is None
        if not mapped and whose.st_uid != self.caller.uid:
            return False
        seen = said.get("seen") or {}
        for one in job.inputs:
            ours = measure(str(one.path))
            theirs = seen.get(str(IN / one.name))
            if theirs is None or ours is None or tuple(theirs) != ours:
                return False
        return True


def _stage(job: Job, build: str, *, detached: bool) -> tuple[Job, Path]:
    """Gather links to inputs beside the build's folder; return the job with them, and where."""
    files.remove_abandoned(job.work.parent, ".hefsmith-in")
    kept = f".hefsmith-kept-{build}"
    staged = job.work.with_name(kept if detached else files.marked_name(".hefsmith-in"))
    return replace(job, inputs=stage_links(job.inputs, staged)), staged


def _hear_guard(running: DockerRunning, info: EngineInfo) -> Mapping[str, Any]:
    """Return the guard's report; a container that ended without one is explained."""
    deadline = time.monotonic() + GUARD_TIMEOUT
    while (line := running.first_line(deadline - time.monotonic())) is not None:
        if line.startswith(GUARD_LINE):
            said: Mapping[str, Any] = json.loads(line)
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
