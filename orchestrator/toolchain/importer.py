"""Brings the user's own compiler onto an engine: a download, an image, or wheels.

Nothing of the vendor's is fetched. The file is checked, streamed into the engine, and then the
image is asked what it is; only that answer is recorded.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from orchestrator.errors import ConfigError, EngineError, HefsmithError, escape_control
from orchestrator.toolchain import archive as archives
from orchestrator.toolchain import gpu as gpus
from orchestrator.toolchain import probe, registry
from orchestrator.toolchain.registry import GpuState, ImportedToolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

#: Seconds between two reports of progress.
PAUSE = 0.2
#: The rate is averaged over about this many seconds.
MEMORY = 10.0

_WHEEL = re.compile(r"^(?P<name>[A-Za-z0-9_.]+?)-(?P<version>\d[^-]*)-.+\.whl$")

#: Wheels that can be installed in a container for x86-64.
_FITTING = re.compile(r"-(any|[\w.]*x86_64)\.whl$")


class Found(Protocol):
    """An image on an engine."""

    @property
    def id(self) -> str:
        """Return the image's id, ``sha256:...``."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Return its tags; they prove nothing."""

    @property
    def size(self) -> int:
        """Return its size on the engine in bytes."""

    @property
    def user(self) -> str:
        """Return the user that it runs as by itself."""

    @property
    def architecture(self) -> str:
        """Return the processor that it is for."""

    @property
    def content(self) -> str:
        """Return the digest of what is in it, the same on every engine."""


class Said(Protocol):
    """What a short program in an image printed."""

    @property
    def exit_code(self) -> int:
        """Return its exit status."""

    @property
    def stdout(self) -> str:
        """Return its standard output."""

    @property
    def stderr(self) -> str:
        """Return its standard error."""


class ImageStore(Protocol):
    """What importing needs of an engine (:class:`orchestrator.engine.protocols.ImageStore`)."""

    @property
    def name(self) -> str:
        """Return the engine's address."""

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Return the container runtimes that the engine offers."""

    def find(self, reference: str) -> Found | None:
        """Return an image by tag or id."""

    def free_space(self) -> int | None:
        """Return free bytes where images are kept, ``None`` if nobody can tell."""

    def load(self, label: str, blocks: Iterator[bytes]) -> tuple[str, ...]:
        """Load an image archive from a stream; return names or ids."""

    def ask(
        self,
        image: str,
        argv: tuple[str, ...],
        *,
        gpus: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 300.0,
    ) -> Said:
        """Run a short program in an image, without network."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far an import is. ``rate`` is bytes per second, ``left`` seconds; ``None`` if unknown."""

    what: Literal["checking", "loading", "waiting for the engine", "asking the image", "building"]
    done: int = 0
    total: int | None = None
    rate: float | None = None
    left: float | None = None


class Meter:
    """Turns bytes into steps with rate and time left, a few times a second."""

    def __init__(
        self,
        what: Literal["checking", "loading"],
        total: int,
        report: Callable[[Step], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what: Literal["checking", "loading"] = what
        self._total = total
        self._report = report
        self._clock = clock
        self._began = self._told = clock()
        self._last = 0
        self._rate: float | None = None

    def __call__(self, done: int) -> None:
        """Take the number of bytes so far."""
        now = self._clock()
        span = now - self._told
        if span < PAUSE and done < self._total:
            return
        if span > 0:
            fresh = (done - self._last) / span
            # Exponential: the last seconds count, one slow block does not jerk it.
            weight = min(1.0, span / MEMORY) if self._rate is not None else 1.0
            self._rate = fresh * weight + (self._rate or 0.0) * (1 - weight)
        self._told, self._last = now, done
        left = (self._total - done) / self._rate if self._rate else None
        self._report(Step(self._what, done, self._total, self._rate, left))


def import_file(
    path: Path,
    store: ImageStore,
    report: Callable[[Step], None],
    *,
    name: str | None = None,
    gpu: gpus.Wish = "auto",
) -> ImportedToolchain:
    """Import the vendor's download: zip, ``.tar.gz`` or tar.

    :raises BrokenArchiveError: the file is damaged or something else.
    :raises EngineError: no space, or the engine refuses.
    """
    archive = archives.look_at(path)
    check_space(archive, store.free_space())
    archives.verify(archive, Meter("checking", archive.size, report))
    names = store.load(archive.label, _metered(archive, report))
    found = _pick(names, store)
    label = archive.label
    return _record(
        found, store, report, kind="suite", source=label, name=name, gpu=gpu, shown=label
    )


def _metered(archive: archives.Archive, report: Callable[[Step], None]) -> Iterator[bytes]:
    meter = Meter("loading", archive.size, report)
    done = 0
    for block in archives.blocks(archive):
        yield block
        done += len(block)
        meter(done)
    report(Step("waiting for the engine", done, archive.size))


def check_space(archive: archives.Archive, free: int | None) -> None:
    """Raise unless the engine's disk has room for the image; unknown counts as room.

    :raises EngineError: there is too little, with both numbers.
    """
    if free is None or free >= archive.needed:
        return
    msg = (
        f"loading {archive.label} may need {_gigabytes(archive.needed)} on the engine's disk, "
        f"and {_gigabytes(free)} are free"
    )
    raise EngineError(
        msg,
        hint="Free space where the engine keeps its images (docker system df, docker image\n"
        "prune), or grow that disk. Docker Desktop: Settings, Resources, Disk.",
        code="engine.space",
    )


def import_image(
    reference: str,
    store: ImageStore,
    report: Callable[[Step], None],
    *,
    name: str | None = None,
    gpu: gpus.Wish = "auto",
) -> ImportedToolchain:
    """Import an image that the engine has already, by name or id."""
    found = store.find(reference)
    if found is None:
        msg = f"there is neither a file nor an image {escape_control(reference)!r}"
        raise ConfigError(
            msg,
            hint="Give the path of the download (…_docker.zip, .tar.gz, .tar), or a name that\n"
            "`docker images` shows.",
            code="toolchain.source",
        )
    source = f"image {reference}"
    return _record(
        found, store, report, kind="suite", source=source, name=name, gpu=gpu, shown=reference
    )


def import_built(
    found: Found,
    store: ImageStore,
    report: Callable[[Step], None],
    *,
    source: str,
    name: str | None = None,
    gpu: gpus.Wish = "auto",
) -> ImportedToolchain:
    """Record an image that was just built from wheels."""
    return _record(found, store, report, kind="wheels", source=source, name=name, gpu=gpu)


def _pick(names: tuple[str, ...], store: ImageStore) -> Found:
    """Return the image among those just loaded; several names may be one image."""
    found = {one.id: one for name in names if (one := store.find(name)) is not None}
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        msg = "the engine loaded the archive and has no image of it"
        raise EngineError(msg, hint="Look at docker images, and import it by its name.")
    listed = ", ".join(escape_control(name) for name in names)
    msg = f"the archive holds {len(found)} images: {listed}"
    raise ConfigError(
        msg, hint="They are loaded now; import one by its name.", code="toolchain.several"
    )


def _record(
    found: Found,
    store: ImageStore,
    report: Callable[[Step], None],
    *,
    kind: Literal["suite", "wheels"],
    source: str,
    name: str | None,
    gpu: gpus.Wish,
    shown: str | None = None,
) -> ImportedToolchain:
    shown = shown or (found.tags[0] if found.tags else found.id)
    _check_processor(found, shown)
    report(Step("asking the image"))
    try:
        said = store.ask(found.id, probe.command())
    except EngineError as error:
        msg = f"image {escape_control(shown)} did not say what it is: {error.message}"
        hint = error.hint or "A first start may take long on a slow disk: import it again by name."
        raise EngineError(msg, hint=hint, code=error.code) from error
    inside = probe.understand(shown, said.stdout, said.stderr)
    toolchain = ImportedToolchain(
        name=name or f"{kind}-{inside.versions['dfc']}",
        kind=kind,
        engine=store.name,
        image=found.id,
        python=inside.python,
        versions=inside.versions,
        tags=found.tags,
        size=found.size,
        zoo=inside.zoo,
        venv=inside.venv,
        path=inside.path,
        user=found.user,
        source=source,
        imported=datetime.now(UTC).isoformat(timespec="seconds"),
        content=found.content,
        gpu=probe_gpu(found.id, inside.python, store, gpu),
    )
    return registry.save(toolchain)


def _check_processor(found: Found, shown: str) -> None:
    """Refuse an image for another processor: Hailo has its compiler for x86-64 only."""
    if found.architecture in ("amd64", ""):
        return
    msg = (
        f"image {escape_control(shown)} is for {escape_control(found.architecture)}, and Hailo's "
        "compiler exists for x86-64 only"
    )
    raise ConfigError(
        msg,
        hint="It is not an AI Software Suite, or it was rebuilt on this machine. Import the\n"
        "download itself.",
        code="toolchain.processor",
    )


def probe_gpu(image: str, python: str, store: ImageStore, wish: gpus.Wish) -> GpuState:
    """Return whether a GPU is usable inside an image, by trying; never an error."""
    if not gpus.worth_trying(wish, store.runtimes):
        why = "switched off" if wish == "off" else gpus.NO_RUNTIME
        return GpuState(False if wish != "off" else None, why)
    try:
        said = store.ask(
            image, probe.gpu_command(python), gpus=True, env=gpus.GPU_ENVIRONMENT, timeout=180.0
        )
    except HefsmithError as error:
        return GpuState(False, error.message)
    answer = gpus.understand(probe.read_answer(said.stdout), said.stderr)
    return GpuState(answer.usable, answer.why, answer.name)


@dataclass(frozen=True)
class Wheels:
    """The vendor's wheels of a folder: paths to send, and the versions that their names tell."""

    paths: tuple[Path, ...]
    versions: Mapping[str, str]


def find_wheels(folder: Path) -> Wheels:
    """Return the wheels of a folder; others beside the vendor's travel along.

    :raises ConfigError: no compiler among them, or several.
    """
    if not folder.is_dir():
        msg = f"{escape_control(str(folder))} is not a folder"
        raise ConfigError(
            msg,
            hint="Give the folder with the wheels that you downloaded.",
            code="toolchain.wheels",
        )
    paths = tuple(sorted(folder.glob("*.whl")))
    versions: dict[str, str] = {}
    compilers = [one for one in paths if one.name.startswith("hailo_dataflow_compiler-")]
    if len(compilers) != 1:
        said = "no" if not compilers else "more than one"
        msg = f"{escape_control(str(folder))} has {said} hailo_dataflow_compiler-*.whl"
        raise ConfigError(
            msg,
            hint="Put one compiler wheel there (from Hailo's developer zone, with your login),\n"
            "and if you have them hailo_model_zoo-*.whl and hailort-*.whl of the same release.",
            code="toolchain.wheels",
        )
    foreign = [one.name for one in compilers if not _FITTING.search(one.name)]
    if foreign:
        msg = f"{escape_control(foreign[0])} is not for Linux on x86-64"
        raise ConfigError(
            msg,
            hint="The compiler exists for Linux on x86-64 only; what is for aarch64 belongs on\n"
            "the Pi (HailoRT). Download the compiler's own wheel.",
            code="toolchain.wheels",
        )
    # Wheels of HailoRT for the Pi lie in many a downloads folder; they are not for here.
    paths = tuple(one for one in paths if _FITTING.search(one.name))
    for path in paths:
        match = _WHEEL.match(path.name)
        if match and match["name"].startswith("hailo"):
            versions[match["name"]] = match["version"]
    return Wheels(paths, versions)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
