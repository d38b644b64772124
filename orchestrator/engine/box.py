"""The box: which container a job gets, decided before anything is touched.

One plan, two forms: keyword arguments for the SDK (:func:`create_config`) and the line of the
``docker`` command that does the same (:func:`shell_line`), for ``--dry-run``.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.engine import graphics
from orchestrator.engine.base import IN, ROOT, WORK, WORKER, Box, EngineInfo, ImageInfo, Job
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from docker import APIClient

#: Prefix of our labels; nothing without them is ever touched.
LABEL = "org.hefsmith"

VOLUMES = ROOT / "volumes"
GUARD = WORKER / "hefsmith_worker" / "guard.py"

#: Share of the engine's memory that a job may use when nobody says otherwise. The rest keeps
#: the engine alive, so that the job is killed and told, not the machine.
MEMORY_SHARE = 0.9

Transfer = Literal["bind", "copy"]

#: How the job learns that the host is gone: the end of standard input, silence, or never.
Lifeline = Literal["eof", "beat", "none"]

#: Seconds of silence after which a job on a far engine ends, and between two beats.
PATIENCE = 120.0
BEAT = 10.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom the results must belong to; ``None`` where the host has no such numbers (Windows)."""

    uid: int | None
    gid: int | None


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: a host folder or file (``bind``) or a named volume."""

    kind: Literal["bind", "volume"]
    source: str
    target: PurePosixPath
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container as it will be created."""

    name: str
    image: str
    command: tuple[str, ...]
    user: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    tmpfs: Mapping[str, str]
    limits: Box
    memory: int | None
    memory_and_swap: int | None
    cpus: float | None
    pids: int | None
    lifeline: Lifeline


def plan_container(
    job: Job,
    *,
    build: str,
    info: EngineInfo,
    image: ImageInfo,
    caller: Caller,
    worker: Path,
    transfer: Transfer,
    lifeline: Lifeline,
    volumes: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> ContainerSpec:
    """Decide the container of ``job``.

    ``build`` is the id of the build, ``worker`` the ``hefsmith_worker`` package on this machine.
    With ``transfer="copy"``, ``volumes`` maps ``work``, ``worker`` and ``in/<name>`` to named
    volumes that hold the data; an input's volume holds it under ``data``.
    """
    links: dict[str, str] = {}
    if transfer == "bind":
        mounts = _bind_mounts(job, worker)
    else:
        mounts, links = _volume_mounts(job, volumes or {})
    mounts += _driver_mounts(info, job.limits)
    tmpfs = {"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={job.limits.tmp}"}  # noqa: S108
    if links:
        tmpfs[str(IN)] = "rw,nosuid,nodev,noexec,mode=1777,size=1m"
    settings = {
        "links": links,
        "work": str(WORK),
        "inputs": [str(IN / one.name) for one in job.inputs],
        "patience": {"eof": 0, "beat": PATIENCE, "none": None}[lifeline],
    }
    argv = tuple(str(word) for word in job.argv)
    limits = _limits(job.limits, info)
    return ContainerSpec(
        name=f"hefsmith-{safe_name(job.name)}-{build}",
        image=image.id,
        command=(argv[0], "-I", str(GUARD), json.dumps(settings, sort_keys=True), *argv),
        user=choose_user(info, caller),
        env=environment(job.env, image.env, info=info, gpus=job.limits.gpus),
        labels={**job.labels, **(labels or {}), f"{LABEL}.build": build},
        mounts=mounts,
        tmpfs=tmpfs,
        limits=job.limits,
        lifeline=lifeline,
        **limits,
    )


def plan_capture(
    image: ImageInfo,
    argv: tuple[str, ...],
    *,
    name: str,
    info: EngineInfo,
    limits: Box,
    env: Mapping[str, str],
    labels: Mapping[str, str],
) -> ContainerSpec:
    """Decide the container of a short program: the same box, no mounts, nobody's uid."""
    return ContainerSpec(
        name=name,
        image=image.id,
        command=argv,
        user="0:0" if info.rootless else "65534:65534",
        env=environment(env, image.env, info=info, gpus=limits.gpus),
        labels=labels,
        mounts=_driver_mounts(info, limits),
        tmpfs={"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={limits.tmp}"},  # noqa: S108
        limits=limits,
        lifeline="eof",
        **_limits(limits, info),
    )


def _bind_mounts(job: Job, worker: Path) -> tuple[Mount, ...]:
    inputs = tuple(Mount("bind", str(one.path), IN / one.name) for one in job.inputs)
    return (
        Mount("bind", str(worker), WORKER / "hefsmith_worker"),
        *inputs,
        Mount("bind", str(job.work), WORK, read_only=False),
    )


def _driver_mounts(info: EngineInfo, limits: Box) -> tuple[Mount, ...]:
    folder = graphics.wsl_folder(info) if limits.gpus else None
    return () if folder is None else (Mount("bind", folder, graphics.WSL),)


def _volume_mounts(
    job: Job, volumes: Mapping[str, str]
) -> tuple[tuple[Mount, ...], dict[str, str]]:
    # A volume is a folder and cannot be mounted as a file, so inputs are links into volumes.
    targets = {f"in/{one.name}": VOLUMES / volumes[f"in/{one.name}"] for one in job.inputs}
    links = {str(ROOT / key): str(target / "data") for key, target in targets.items()}
    # Two inputs with the same content share one volume, which can be mounted once.
    shared = {volumes[key]: target for key, target in targets.items()}
    mounts = (
        Mount("volume", volumes["worker"], WORKER),
        *(Mount("volume", source, target) for source, target in shared.items()),
        Mount("volume", volumes["work"], WORK, read_only=False),
    )
    return mounts, links


def _limits(box: Box, info: EngineInfo) -> dict[str, Any]:
    """Return the limits in numbers; one that the engine lacks is an error only if asked for."""
    asked = {"memory": box.memory, "cpus": box.cpus}
    for limit, value in asked.items():
        if value is not None and limit in info.lacks:
            raise _lacking(limit)
    memory = box.memory
    swap = box.memory
    if memory is None and info.memory is not None and "memory" not in info.lacks:
        memory = int(info.memory * MEMORY_SHARE)
        # People help the vendor's compiler with big swap files: leave those to them.
        swap = -1
    if "swap" in info.lacks:
        swap = None
    cpus = box.cpus
    if cpus is not None and info.cpus is not None:
        # Asking for more processors than there are is an error of the engine.
        cpus = min(cpus, float(info.cpus))
    pids = None if "pids" in info.lacks else box.pids
    return {"memory": memory, "memory_and_swap": swap, "cpus": cpus, "pids": pids}


def _lacking(limit: str) -> EngineError:
    return EngineError(
        f"the engine cannot limit {limit}: its kernel lacks the control group for it",
        hint="Leave the limit out, or give the engine that control group (cgroup v2 with\n"
        "delegation for rootless engines).",
        code="engine.limit",
    )


def choose_user(info: EngineInfo, caller: Caller) -> str:
    """Return ``uid:gid`` for the container, such that what it writes belongs to the caller.

    In a rootless engine the caller *is* root inside. Docker Desktop and its kin map owners by
    themselves; Windows has no numbers, so any plain user does.
    """
    if info.rootless:
        return "0:0"
    if caller.uid is None:
        return "1000:1000"
    return f"{caller.uid}:{caller.gid if caller.gid is not None else caller.uid}"


def environment(
    wanted: Mapping[str, str | PurePosixPath],
    image: Mapping[str, str],
    *,
    info: EngineInfo,
    gpus: bool,
) -> dict[str, str]:
    """Return the variables of the container.

    The worker goes in front of the image's own ``PYTHONPATH``. ``USER`` is set because the
    vendor's allocator reads it unguarded; ``HOME`` because the image's may not be writable.
    """
    path = ":".join(filter(None, (str(WORKER), image.get("PYTHONPATH"))))
    base = {
        "HOME": "/tmp",  # noqa: S108
        "USER": "hefsmith",
        "LOGNAME": "hefsmith",
        "LANG": "C.UTF-8",
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HAILORT_LOGGER_PATH": "NONE",
    }
    if gpus:
        base |= graphics.variables(info, image.get("LD_LIBRARY_PATH"))
    return {**base, **{name: str(value) for name, value in wanted.items()}}


def safe_name(name: str) -> str:
    """Return ``name`` with what a container's name may not hold replaced, at most 40 long."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in name)
    return kept.strip("-._")[:40].strip("-._") or "job"


def create_config(spec: ContainerSpec, api: APIClient) -> dict[str, object]:
    """Return the body of the engine's create call for ``spec``."""
    from docker.types import DeviceRequest, LogConfig, Ulimit
    from docker.types import Mount as SdkMount

    mounts = [
        # ``volumes=`` would make a missing host folder, as root; this form refuses.
        SdkMount(
            str(mount.target),
            mount.source,
            type=mount.kind,
            read_only=mount.read_only,
            no_copy=True if mount.kind == "volume" else None,
        )
        for mount in spec.mounts
    ]
    gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if spec.limits.gpus else None
    host = api.create_host_config(
        mounts=mounts,
        tmpfs=dict(spec.tmpfs),
        read_only=not spec.limits.writable_root,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="bridge" if spec.limits.network else "none",
        init=True,
        mem_limit=spec.memory,
        memswap_limit=spec.memory_and_swap,
        nano_cpus=None if spec.cpus is None else int(spec.cpus * 1e9),
        pids_limit=spec.pids,
        shm_size=spec.limits.shm,
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
        device_requests=gpus,
        log_config=LogConfig(type=LogConfig.types.JSON),
    )
    config: dict[str, object] = api.create_container_config(
        image=spec.image,
        command=list(spec.command),
        entrypoint=[],
        user=spec.user,
        environment=dict(spec.env),
        labels=dict(spec.labels),
        stdin_open=spec.lifeline != "none",
        hostname="hefsmith",
        working_dir="/tmp",  # noqa: S108
        host_config=host,
    )
    # With StdinOnce the engine closes standard input when we go, which ends the job. A job on
    # a far engine must outlive a dropped connection instead.
    config["OpenStdin"] = True
    config["AttachStdin"] = True
    config["StdinOnce"] = spec.lifeline == "eof"
    return config


def shell_line(spec: ContainerSpec) -> str:
    """Return the ``docker run`` line that makes the same container."""
    words = ["docker", "run", "--rm", "-i", "--init", "--name", spec.name]
    words += ["--network", "bridge" if spec.limits.network else "none"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    if not spec.limits.writable_root:
        words.append("--read-only")
    words += ["--user", spec.user, "--workdir", "/tmp", "--ulimit", "core=0"]  # noqa: S108
    if spec.pids is not None:
        words += ["--pids-limit", str(spec.pids)]
    if spec.memory is not None:
        words += ["--memory", str(spec.memory)]
    if spec.memory_and_swap is not None:
        words += ["--memory-swap", str(spec.memory_and_swap)]
    if spec.cpus is not None:
        words += ["--cpus", f"{spec.cpus:g}"]
    words += ["--shm-size", str(spec.limits.shm)]
    if spec.limits.gpus:
        words += ["--gpus", "all"]
    for target, options in spec.tmpfs.items():
        words += ["--tmpfs", f"{target}:{options}"]
    for mount in spec.mounts:
        words += ["--mount", _mount_words(mount)]
    for name, value in sorted(spec.env.items()):
        words += ["--env", f"{name}={value}"]
    for name, value in sorted(spec.labels.items()):
        words += ["--label", f"{name}={value}"]
    # The guard is for a program on the other side; by hand the job starts at once.
    command = spec.command
    if len(command) > 4 and command[2] == str(GUARD):
        command = command[4:]
    return shlex.join([*words, spec.image, *command])


def _mount_words(mount: Mount) -> str:
    words = f"type={mount.kind},source={mount.source},target={mount.target}"
    return f"{words},readonly" if mount.read_only else words
