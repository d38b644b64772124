"""What every engine offers: jobs go in, lines of output come out, and an ending that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from orchestrator.engine.base import Report, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path
    from typing import Self

    from orchestrator.engine.base import (
        Box,
        BuildRecord,
        Completed,
        Ending,
        EngineInfo,
        ImageInfo,
        Job,
        Pruned,
    )
    from orchestrator.engine.program import Program


class Running(Protocol):
    """A job that runs. As a context manager it stops and removes the job on the way out.

    Leaving the ``with`` block on an exception (Ctrl-C too) climbs the ladder: interrupt, wait,
    terminate, wait, kill; gone in under 10 s. A detached job is left running.
    """

    @property
    def record(self) -> BuildRecord:
        """Return what identifies this build."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Stop the job if it still runs, and remove what it leaves on the engine."""

    def release(self) -> None:
        """Let a job that was started with ``held=True`` begin; its work folder is final now."""

    def lines(self) -> Iterator[str]:
        """Yield the lines that the program prints, as they come, without their line ends.

        Ends when the output ends, which proves nothing: :meth:`wait` tells how the job ended.
        """

    def interrupt(self) -> None:
        """Ask the program to stop (SIGINT); returns at once."""

    def stop(self) -> Ending:
        """Climb the whole ladder and return the ending, in under 10 s."""

    def wait(self, *, told: bool = False) -> Ending:
        """Wait for the end, bring the results to the build folder, and tell how it ended.

        ``told``: the program has said that all is done, so its exit status is no news. Then the
        end may be taken from the system, and the engine's own clean-up goes on behind it.
        """

    def sync(self) -> None:
        """Bring the results so far to the build folder; nothing to do where they are there."""


class ImageStore(Protocol):
    """The images of others on an engine: what toolchains need of it."""

    @property
    def name(self) -> str:
        """Return what the engine is called in records: its address."""

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Return the container runtimes that the engine offers."""

    @property
    def architecture(self) -> str:
        """Return the processor of the engine (``amd64``, ``arm64``)."""

    def find(self, reference: str) -> ImageInfo | None:
        """Return an image by tag or id, ``None`` if the engine lacks it; never pulls."""

    def free_space(self) -> int | None:
        """Return free bytes on the disk of the engine's images, ``None`` if nobody can tell."""

    def prune(self, *, keep: Collection[str], dry_run: bool = False) -> Pruned:
        """Remove our old images and leftovers, without the images (ids) to ``keep``."""

    def load(self, label: str, blocks: Iterator[bytes]) -> tuple[str, ...]:
        """Load an image archive from a stream; return the names or ids in it."""

    def ask(
        self,
        image: str,
        argv: tuple[str, ...],
        *,
        gpus: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 300.0,
    ) -> Completed:
        """Run a short program in an image, without network, and return what it printed."""

    def build_suite(
        self,
        folder: Path,
        wheels: tuple[Path, ...],
        *,
        tag: str,
        dockerfile: str = "Dockerfile",
        arguments: Mapping[str, str] | None = None,
        report: Report = ignore,
    ) -> ImageInfo:
        """Build an image of ``docker/suite`` (``folder``) with the user's own ``wheels``."""


class Engine(Protocol):
    """A place where jobs run."""

    def info(self) -> EngineInfo:
        """Return what is known of the engine; raises :class:`EngineError` if it is away."""

    def find_image(self, reference: str) -> ImageInfo | None:
        """Return an image that the engine has, by tag or id; never pulls."""

    def ready_image(self, name: Literal["emulator", "pi"]) -> ImageInfo | None:
        """Return one of our images, ``None`` if it would have to be built first."""

    def ensure_image(
        self, name: Literal["emulator", "pi"], *, report: Report = ignore
    ) -> ImageInfo:
        """Return one of our images; builds it when the engine lacks it or its files changed."""

    def add_packages(
        self, image: str, packages: tuple[str, ...], *, python: str, report: Report = ignore
    ) -> ImageInfo:
        """Return ``image`` with a network's own packages on top; ``python`` is the one inside."""

    def commands(self, job: Job) -> tuple[str, ...]:
        """Return what would be run, as shell lines, for ``--dry-run``; touches nothing."""

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

    def open_program(
        self, image: str, argv: tuple[str, ...], env: Mapping[str, str]
    ) -> Program | None:
        """Start a program in the box whose streams are ours, ``None`` where there is no box."""

    def start(
        self, job: Job, *, detached: bool = False, held: bool = False, report: Report = ignore
    ) -> Running:
        """Start ``job``. ``held``: it waits for :meth:`Running.release` before it begins."""

    def attach(self, record: BuildRecord) -> Running:
        """Return a build that was started earlier; its lines come from the beginning."""

    def running(self) -> tuple[BuildRecord, ...]:
        """Return the builds of this user that the engine still has."""

    def log(self, record: BuildRecord, *, follow: bool) -> Iterator[str]:
        """Yield what a build has printed; ``follow``: and what it prints until it ends."""

    def status(self, record: BuildRecord) -> str:
        """Return the state of a build in a word or two: running, ended (0), gone."""

    def image_store(self) -> ImageStore | None:
        """Return the images of others that the engine keeps, ``None`` if it keeps no images."""

    def shell(
        self,
        image: str,
        command: tuple[str, ...],
        folder: Path | None,
        *,
        terminal: bool,
        limits: Box | None = None,
    ) -> tuple[str, ...] | None:
        """Return the words that open a shell in the box, ``None`` where there is no box.

        ``folder`` is readable there as ``/hefsmith/in/model``; no command means ``bash``.
        """

    def clock(self) -> str | None:
        """Return the time that the engine says it is (ISO 8601), ``None`` if it is our clock."""

    def close(self) -> None:
        """Let go of connections; running jobs that are not detached end."""
