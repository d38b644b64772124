"""What engines are given and what they answer: jobs, limits, endings, facts, errors.

A :class:`Job` names paths as they are inside the box (``/hefsmith/...``), as
``PurePosixPath``. An engine without a box translates them. Nothing here imports Docker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from hefsmith_worker.contract import names
from hefsmith_worker.contract.layout import PLAN

from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where things are inside the box.
ROOT = PurePosixPath("/hefsmith")
IN = ROOT / "in"
WORK = ROOT / "work"
WORKER = ROOT / "worker"

#: As ``argv[0]``: the image's own Python; the local engine puts its interpreter there.
PYTHON = "python"

GIB = 1024**3

EngineKind = Literal["docker", "local"]


@dataclass(frozen=True, slots=True)
class Box:
    """Limits of one job. The defaults are the tightest; only the command line may loosen them.

    ``memory`` and ``tmp`` are bytes, ``None`` means what the engine has. ``tmp`` is the size of
    the memory-backed ``/tmp``, which counts as memory. ``gpus`` hands every NVIDIA GPU over.
    """

    memory: int | None = None
    cpus: float | None = None
    pids: int = 2048
    tmp: int = 4 * GIB
    shm: int = GIB
    network: bool = False
    gpus: bool = False
    writable_root: bool = False

    def overridden(self) -> tuple[str, ...]:
        """Return what differs from the tight box, in words, for the screen and the manifest."""
        found = {
            "network": self.network,
            "gpus": self.gpus,
            "writable root": self.writable_root,
        }
        return tuple(name for name, on in found.items() if on)


@dataclass(frozen=True, slots=True)
class Input:
    """A file or folder that the job may read, at ``/hefsmith/in/<name>``.

    ``digest`` is the sha256 of its content, as ``orchestrator.engine.digest_tree`` has it, when
    the caller knows it; engines that must copy it work it out otherwise.
    """

    name: str
    path: Path
    digest: str | None = None

    def __post_init__(self) -> None:
        """Refuse a name that would put it elsewhere than below the inputs."""
        try:
            names.parts(self.name)
        except names.NameRefused as error:
            msg = f"the input {error}"
            raise EngineError(msg, code="engine.input") from error


@dataclass(frozen=True, slots=True)
class Job:
    """One program run: what to run, what it may read, where it may write.

    ``argv`` and ``env`` hold strings, and ``PurePosixPath`` for places inside the box.
    ``work`` is the build folder on this machine (exists; what the job leaves in
    ``/hefsmith/work`` ends there and belongs to the caller). ``notes`` is the caller's own: it
    is kept with a detached build and given back on attach (JSON values only). A program that
    ``waits`` begins at the line ``begin`` on its standard input (``worker --wait``): when it is
    started ``held``, it is loaded already while it waits.
    """

    name: str
    image: str
    argv: tuple[str | PurePosixPath, ...]
    work: Path
    inputs: tuple[Input, ...] = ()
    env: Mapping[str, str | PurePosixPath] = field(default_factory=lambda: MappingProxyType({}))
    limits: Box = field(default_factory=Box)
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    waits: bool = False


def worker_argv(python: str = PYTHON) -> tuple[str | PurePosixPath, ...]:
    """Return the command that runs the worker."""
    return (python, "-m", "hefsmith_worker", "--plan", WORK / PLAN, "--inputs", IN, "--work", WORK)


#: The line that a program which waits begins at.
BEGIN = b"begin\n"


class EndKind(StrEnum):
    """How a job ended; every kind but ``ok`` and ``failed`` is the engine's to explain."""

    OK = "ok"
    FAILED = "failed"
    OOM = "oom"
    KILLED = "killed"
    INTERRUPTED = "interrupted"
    ENGINE_LOST = "engine_lost"
    DISK_FULL = "disk_full"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended: ``exit_code`` as a shell has it (128+n for a signal), ``None`` if unknown.

    ``detail`` is one sentence for people, ``hint`` what to do about it.
    """

    kind: EndKind
    exit_code: int | None
    detail: str
    hint: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the program ended with status 0."""
        return self.kind is EndKind.OK


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What is known of an engine. Sizes are bytes; unknown facts are ``None``.

    ``lacks`` names the limits that its kernel cannot set. ``boxed`` is false for the local
    engine: there a job can do whatever the user can, unless ``sandbox`` names a program that
    keeps it from files and the network (not from memory and time). ``wsl`` is true on a
    kernel of WSL 2. ``containerd_store`` tells whose image store it is: containerd's may lie
    elsewhere than ``data_root``. ``product`` is a name of
    :data:`orchestrator.engine.products.PRODUCTS`.
    """

    kind: EngineKind
    name: str
    address: str
    version: str
    api: str | None = None
    os: str = ""
    architecture: str = ""
    cpus: int | None = None
    memory: int | None = None
    rootless: bool = False
    userns: bool = False
    product: str = "docker"
    data_root: str | None = None
    runtimes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    boxed: bool = True
    sandbox: str = ""
    wsl: bool = False
    containerd_store: bool = False


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that the engine has.

    ``id`` (``sha256:...``) names it on this engine alone: Docker's old image store takes the
    digest of the image's settings, containerd's (new installations of Docker 29, Docker Desktop)
    that of a manifest, which each load may write anew. ``content`` is the digest of what is in
    it: equal wherever the same archive was loaded. Pin that.
    """

    id: str
    tags: tuple[str, ...]
    size: int
    architecture: str
    created: str
    user: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    content: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer or an image build is. ``total`` is ``None`` when it cannot be known."""

    what: str
    done: int
    total: int | None = None
    unit: Literal["bytes", "steps"] = "bytes"


class Report(Protocol):
    """Takes news while something long runs: a :class:`Progress`, or a line of output."""

    def __call__(self, news: Progress | str, /) -> None:
        """Take one piece of news; must return at once."""


def ignore(news: Progress | str, /) -> None:
    """Drop all news."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Outcome of a short program (:meth:`Engine.capture`)."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A build that an engine was given: kept on disk, so that another ``hef`` can find it.

    ``work`` is the build folder on this machine, ``transfer`` how files travel. ``staged`` is a
    folder of inputs made for this build alone, ``process`` the ``hef`` that started it, as
    ``orchestrator.processes`` names it. ``tls`` holds the PEM files that the engine wants to see.
    ``notes`` are the job's own.
    """

    id: str
    name: str
    engine: str
    container: str
    image: str
    work: Path
    started: float
    process: str
    detached: bool
    transfer: Literal["bind", "copy"]
    volume: str | None = None
    staged: Path | None = None
    tls: Path | None = None
    verify_tls: bool = True
    notes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed (or would be): names of images and volumes, and orphaned containers.

    ``bytes`` is the size of the images; layers that they shared with others count in full. Steps
    of their builds, which hold nothing else, are named and not counted.
    """

    images: tuple[str, ...]
    volumes: tuple[str, ...]
    containers: int
    bytes: int


class EngineUnavailableError(EngineError):
    """No engine answers at the address, or it may not be used."""

    default_code = "engine.unavailable"


class EngineLostError(EngineError):
    """The engine went away while it was being used."""

    default_code = "engine.lost"


class ImageMissingError(EngineError):
    """The engine does not have the image, and we cannot make it."""

    default_code = "engine.image-missing"


class ImageBuildError(EngineError):
    """An image could not be built or loaded."""

    default_code = "engine.image-build"


class BoxRefusedError(EngineError):
    """The engine refused to create or start the container as the box wants it."""

    default_code = "engine.refused"
