"""hefsmith from Python; the command line is built on this module.

.. code-block:: python

    from orchestrator import Project

    with Project(".", engine="local") as project:
        built = project.build("digits", arch="hailo8l")
        print(built.hef, built.cached, [finding.code for finding in built.findings])
        many = project.build_all(archs=["hailo8l", "hailo8"], jobs=2)
        print(many.exit_code, [cell.status for cell in many.cells])

What goes wrong is a :class:`~orchestrator.errors.HefsmithError` with a message, a hint, a stable
``code`` and the exit code that the command would have. The names in ``__all__`` are stable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from orchestrator.errors import ConfigError, HefsmithError, escape_control
from orchestrator.pipeline.archs import pick_archs
from orchestrator.pipeline.news import Event, Teller
from orchestrator.pipeline.observer import Silent
from orchestrator.pipeline.outcome import BuildResult, StageOutcome, outcome_of
from orchestrator.pipeline.session import BuildSession
from orchestrator.pipeline.sizes import read_size
from orchestrator.pipeline.targets import SandboxOverrides
from orchestrator.project.settings import resolve
from orchestrator.project.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.finished.attest import Statement
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.finished.kinship import Kinship
    from orchestrator.pipeline.finished.reproducing import Reproduction
    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.matrix.remote import ClusterRun
    from orchestrator.pipeline.matrix.result import CellResult, MatrixResult
    from orchestrator.pipeline.matrix.runner import View
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.proof import Prover
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch

__all__ = [
    "BuildResult",
    "CellResult",
    "Event",
    "HefsmithError",
    "MatrixResult",
    "Options",
    "PlanResult",
    "Project",
    "StageOutcome",
]


def __getattr__(name: str) -> Any:
    # What only a matrix needs is loaded when it is asked for.
    if name in ("CellResult", "MatrixResult"):
        from orchestrator.pipeline.matrix import result

        return getattr(result, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command line may say; ``None`` leaves it to the environment and ``hef.yaml``.

    ``memory`` (such as ``12g``), ``cpus`` and ``allow_network`` loosen the box of the jobs;
    ``fresh`` runs every stage, cached or not; ``locked`` refuses what differs from ``hef.lock``.
    """

    engine: str | None = None
    toolchain: str | None = None
    device: str | None = None
    gpu: str | None = None
    strict: bool | None = None
    cache: str | None = None
    store: str | None = None
    artifacts: str | None = None
    memory: str | None = None
    cpus: float | None = None
    allow_network: bool = False
    fresh: bool = False
    locked: bool = False

    @property
    def flags(self) -> dict[str, str | bool | None]:
        """The settings among them."""
        names = (
            "engine", "toolchain", "device", "gpu", "strict", "cache", "store", "artifacts",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


class OptionWords(TypedDict, total=False):
    """The fields of :class:`Options` as words of a call, for type checkers."""

    engine: str | None
    toolchain: str | None
    device: str | None
    gpu: str | None
    strict: bool | None
    cache: str | None
    store: str | None
    artifacts: str | None
    memory: str | None
    cpus: float | None
    allow_network: bool
    fresh: bool
    locked: bool


@dataclass(frozen=True)
class PlanResult:
    """What a build would do: each stage with ``run``, ``cached`` or ``not needed``.

    ``commands`` are the docker or shell lines that it stands for, ``document`` all of it as
    ``hef build --dry-run --json`` prints it.
    """

    model: str
    arch: str
    toolchain: str
    emulated: bool
    stages: Mapping[str, str]
    commands: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False)


class Project:
    """A project on disk: any folder with ``hef.yaml`` or ``models/``, or one below such a folder.

    Options are those of :class:`Options`, by name or as ``options``. ``on_event`` is called with
    each :class:`Event` while something is done: from another thread at times, never at once.
    Use it as a context manager, or call :meth:`close`: it keeps an engine and a device open.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        on_event: Callable[[Event], None] | None = None,
        observer: Observer | None = None,
        options: Options | None = None,
        **named: Unpack[OptionWords],
    ) -> None:
        from pathlib import Path

        if on_event is not None:
            _check("on_event", on_event, callable, "a function that takes an Event")
        if options is not None and named:
            msg = f"options has them all: say {', '.join(named)} there"
            raise TypeError(msg)
        self.options = options or Options(**named)
        self._on_event = on_event
        if observer is None:
            observer = Silent() if on_event is None else Teller(on_event)
        if folder is not None and not Path(folder).is_dir():
            msg = f"{escape_control(str(folder))} is not a folder"
            raise ConfigError(
                msg, hint="Name the folder of hef.yaml, or leave it out.", code="project.folder"
            )
        workspace = open_workspace(None if folder is None else Path(folder))
        chosen = self.options
        if chosen.memory is not None:
            # Told now, and not when hours later a container is started with it.
            read_size(chosen.memory, "memory limit")
        self.session = BuildSession(
            workspace,
            resolve(workspace, flags=chosen.flags),
            observer,
            overrides=SandboxOverrides(
                network=chosen.allow_network, memory=chosen.memory, cpus=chosen.cpus
            ),
            fresh=chosen.fresh,
        )
        self._prover: Prover | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine and the device."""
        if self._prover is not None:
            self._prover.__exit__(None, None, None)
            self._prover = None
        self.session.close()

    # --- what is there --------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Folder of the project."""
        return self.session.workspace.root

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models."""
        return tuple(self.session.workspace.model_names())

    def archs(self, model: str | None = None) -> tuple[str, ...]:
        """Return the chips that a model's recipe names."""
        return tuple(self.recipe(model).recipe.arch)

    def recipe(self, model: str | None = None) -> LoadedRecipe:
        """Return a recipe; without a name that of the only model. Bundled pictures are made."""
        name = self.session.workspace.unnamed_model() if model is None else _text("model", model)
        return self.session.recipe(name)

    @property
    def prover(self) -> Prover:
        """What ships to the device and validates there; opened once."""
        if self._prover is None:
            from orchestrator.pipeline.proof import Prover

            self._prover = Prover(self.session)
        return self._prover

    # --- one build ------------------------------------------------------------------------------

    def plan(self, model: str | None = None, arch: str | None = None) -> PlanResult:
        """Return what :meth:`build` would do; nothing is started."""
        loaded = self.recipe(model)
        document = self.session.dry_run(loaded, self._one(loaded, arch))
        return PlanResult(
            model=document["model"],
            arch=document["arch"],
            toolchain=document["toolchain"],
            emulated=document["emulated"],
            stages={stage["name"]: stage["action"] for stage in document["stages"]},
            commands=tuple(document["commands"]),
            document=document,
        )

    def build(self, model: str | None = None, arch: str | None = None) -> BuildResult:
        """Return the up-to-date build of a model for a chip, made now if need be.

        Without ``arch`` the recipe must name one chip only. Raises
        :class:`~orchestrator.errors.StageFailed`, :class:`~orchestrator.errors.EngineError`,
        :class:`~orchestrator.errors.ConfigError`.
        """
        loaded = self.recipe(model)
        return self._made(loaded, self._one(loaded, arch), prove=False)

    def up(self, model: str | None = None, arch: str | None = None) -> BuildResult:
        """Build, ship to the device and validate there: what ``hef up`` does.

        The device decides the chip unless ``arch`` does. The result's ``passed`` tells whether
        the verdict is within the recipe's thresholds.
        """
        loaded = self.recipe(model)
        (chip, *others) = self.prover.archs(loaded, [arch] if arch else None)
        assert not others
        return self._made(loaded, chip, prove=True)

    def make(self, cell: Cell, *, prove: bool = False) -> BuildResult:
        """Build one cell that :meth:`cells` returned; raises what is wrong with it."""
        return self._made(*cell.to_build(), cell.set, prove=prove)

    def _made(
        self, loaded: LoadedRecipe, arch: Arch, set_name: str | None = None, *, prove: bool
    ) -> BuildResult:
        session = self.session
        if isinstance(session.observer, Teller):
            session.observer.about = (loaded.name, arch, set_name)
        folder = None
        if set_name is not None:
            from orchestrator.pipeline.matrix.cells import folder_of

            folder = folder_of(session.artifacts, loaded.name, set_name, arch)
        from orchestrator.pipeline.finished.pins import name_of, need_locked

        if self.options.locked:
            final = folder or session.final_folder(loaded.name, arch)
            planned, materials, _ = session.plan(session.request(loaded, arch), final)
            need_locked(self.root, name_of(loaded.name, arch, set_name), planned, materials)
        build, made = session.build(loaded, arch, folder)
        if self.options.locked:
            self._tell_of_bytes(name_of(loaded.name, arch, set_name), build)
        proof = self.prover.prove(build, loaded.folder) if prove else None
        return outcome_of(build, made, proof)

    def _tell_of_bytes(self, name: str, build: Build) -> None:
        """Tell where the same inputs gave other bytes than ``hef.lock`` has."""
        from orchestrator.pipeline.finished.pins import relation

        found = relation(self.root, name, build)
        if found is None or found.same_bytes:
            return
        if found.same_numbers:
            self.session.observer.note(f"{name}: {found.words} (to the locked build)")
            return
        from hefsmith_worker.contract.findings import Finding

        self.session.observer.finding(
            Finding(
                "lock.bytes",
                "warning",
                f"{found.words} to the locked build",
                fix="Show both: hef reproduce MANIFEST, or lock what is there now: hef lock",
            )
        )

    def _one(self, loaded: LoadedRecipe, arch: str | None) -> Arch:
        chips = pick_archs(loaded, None if arch is None else _text("arch", arch))
        if len(chips) > 1:
            msg = f"{loaded.name} is for several chips: {', '.join(chips)}"
            raise ConfigError(
                msg, hint="Name one (arch=...), or use build_all.", code="arch.several"
            )
        return chips[0]

    def reproduce(
        self,
        statement: Statement,
        *,
        folder: Path,
        model: str | None = None,
        set_name: str | None = None,
    ) -> Reproduction:
        """Build what a manifest tells of again, in ``folder``, and compare.

        Nothing is taken from the cache. Raises :class:`ConfigError` with every difference when
        what goes in is not the same.
        """
        from orchestrator.pipeline.finished import reproducing

        (cell, *_) = self.cells(
            [model or statement.model], [statement.arch], [set_name] if set_name else []
        )
        loaded, arch = cell.to_build()
        session = self.session
        session.fresh = True
        made, materials, _ = session.plan(session.request(loaded, arch), folder)
        tools = reproducing.need_same_inputs(statement, made, materials)
        build, _ = session.build(loaded, arch, folder)
        return reproducing.Reproduction(reproducing.compare(statement, build), tools, folder)

    # --- many -----------------------------------------------------------------------------------

    def cells(
        self,
        models: str | Sequence[str] = (),
        archs: str | Sequence[str] = (),
        sets: str | Sequence[str] = (),
        *,
        everything: bool = False,
        prove: bool = False,
    ) -> tuple[Cell, ...]:
        """Return the builds that these names stand for; with ``prove`` the device names the chip.

        ``everything`` takes what is not named from ``matrix:`` of ``hef.yaml``, else all models
        and their chips.
        """
        from orchestrator.pipeline.matrix.cells import Asked, wanted_cells

        workspace = self.session.workspace
        models, archs, sets = (
            _texts(what, value)
            for what, value in (("models", models), ("archs", archs), ("sets", sets))
        )
        if not models and not everything:
            models = (workspace.unnamed_model(),)
        own = workspace.model_names()
        if not own and not models and not workspace.file.matrix.models:
            own = [workspace.unnamed_model()]  # it tells how to begin

        def chips(loaded: LoadedRecipe, asked: Sequence[str]) -> Sequence[Arch]:
            if prove and not (everything and self.prover.spec.about.any_chip):
                return self.prover.archs(loaded, asked or None)
            return pick_archs(loaded, asked)

        return wanted_cells(
            Asked(models, archs, sets, everything),
            workspace.file.matrix,
            own,
            self.session.recipe,
            chips,
        )

    def build_all(
        self,
        models: str | Sequence[str] = (),
        archs: str | Sequence[str] = (),
        sets: str | Sequence[str] = (),
        *,
        jobs: int | None = None,
        prove: bool = False,
        cluster: str | None = None,
    ) -> MatrixResult:
        """Build every cell of the project's matrix, or of what is named; see :meth:`cells`.

        A cell that fails does not stop the others: the result has its error. ``jobs`` is how
        many run side by side, at most.
        """
        cells = self.cells(models, archs, sets, everything=True, prove=prove)
        return self.run_cells(cells, jobs=jobs, prove=prove, cluster=cluster)

    def run_cells(
        self,
        cells: Sequence[Cell],
        *,
        jobs: int | None = None,
        prove: bool = False,
        cluster: str | None = None,
        view: View | None = None,
    ) -> MatrixResult:
        """Build the cells that :meth:`cells` returned; ``view`` shows them.

        ``cluster`` is the address of a Dask scheduler, whose workers make them then.
        """
        if jobs is not None:
            _check("jobs", jobs, lambda value: isinstance(value, int), "a whole number")
        if jobs is not None and jobs < 1:
            msg = f"jobs={jobs}: at least one build must run"
            raise ConfigError(msg, hint="Leave it out for half of the cores.", code="matrix.jobs")
        from orchestrator.pipeline.matrix.builder import LocalBuilder
        from orchestrator.pipeline.matrix.capacity import find_capacity
        from orchestrator.pipeline.matrix.runner import MatrixRunner

        shown = view if view is not None else self._eventful()
        if cluster is not None:
            from orchestrator.pipeline.matrix.remote import ClusterRun

            run = ClusterRun(self.session, cluster, jobs=jobs, prove=prove)
            return self._follow(run, cells, jobs, shown)
        capacity = find_capacity(self.session, jobs)
        builder = LocalBuilder(self.session, prove=prove)
        try:
            return MatrixRunner(
                self.session, cells, builder, capacity, shown, locked=self.options.locked
            ).run()
        finally:
            builder.close()

    def attach(
        self, run: str | None = None, *, cluster: str, view: View | None = None
    ) -> MatrixResult:
        """Come back to a run that :meth:`build_all` began on a cluster, and take its results.

        ``run`` is its name or the beginning of it; without it there must be one only. What is
        interrupted is the following: the run goes on. Raises :class:`ConfigError` for no such
        run, or one of another project.
        """
        from orchestrator.pipeline.matrix.orders import cells_of
        from orchestrator.pipeline.matrix.remote import ClusterRun, find_run

        followed = ClusterRun(self.session, cluster, run=find_run(cluster, run))
        assert followed.run is not None
        cells = cells_of(self.session, followed.run.cells)
        shown = view if view is not None else self._eventful()
        return self._follow(followed, cells, followed.run.jobs, shown)

    def _follow(
        self, run: ClusterRun, cells: Sequence[Cell], jobs: int | None, view: View
    ) -> MatrixResult:
        from orchestrator.pipeline.matrix.runner import MatrixRunner
        from orchestrator.pipeline.matrix.schedule import Capacity

        try:
            capacity = Capacity(min(jobs or run.slots, run.slots))
            locked = self.options.locked
            runner = MatrixRunner(self.session, cells, run, capacity, view, locked=locked)
            run.on_begun, run.on_published = runner.begun, runner.published
            run.on_note = view.note
            return runner.run()
        finally:
            run.close()

    def lock(self, cells: Sequence[Cell]) -> tuple[str, ...]:
        """Write what the cells are made with and of into ``hef.lock``; return their names."""
        from orchestrator.pipeline.finished.builds import read_build
        from orchestrator.pipeline.finished.pins import pin_of, write_pins

        pins = {
            name: pin_of(made, inputs, read_build(final))
            for name, made, inputs, final in self._planned(cells)
        }
        write_pins(self.root, pins)
        return tuple(pins)

    def check_lock(self, cells: Sequence[Cell]) -> dict[str, Kinship | None]:
        """Raise :class:`ConfigError` unless the cells are as ``hef.lock`` has them.

        Returns, by name, how a build that is there is related to the locked one.
        """
        from orchestrator.pipeline.finished.builds import read_build
        from orchestrator.pipeline.finished.pins import need_locked, relation

        found: dict[str, Kinship | None] = {}
        for name, made, inputs, final in self._planned(cells):
            need_locked(self.root, name, made, inputs)
            build = read_build(final)
            current = build is not None and build.key == made.key
            found[name] = relation(self.root, name, build) if build and current else None
        return found

    def _planned(
        self, cells: Sequence[Cell]
    ) -> Iterator[tuple[str, Plan, Mapping[str, str], Path]]:
        from orchestrator.pipeline.finished.pins import name_of

        session = self.session
        for cell in cells:
            loaded, arch = cell.to_build()
            final = cell.folder_in(session.artifacts)
            made, inputs, _ = session.plan(session.request(loaded, arch), final)
            yield name_of(cell.model, arch, cell.set), made, inputs, final

    def _eventful(self) -> View:
        from orchestrator.pipeline.matrix.runner import Forwarding, NoView

        if self._on_event is None:
            return NoView()
        return Forwarding(self._on_event)


def _check(what: str, value: object, fits: Callable[[object], bool], wanted: str) -> None:
    if not fits(value):
        msg = f"{what} is {wanted}, not {value!r}"
        raise TypeError(msg)


def _text(what: str, value: str) -> str:
    _check(what, value, lambda one: isinstance(one, str), "a name")
    return value


def _texts(what: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """Return names as they were given: one, or several."""
    if isinstance(value, str):
        return (value,)
    return tuple(_text(f"each of {what}", one) for one in value)
