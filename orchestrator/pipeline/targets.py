"""Which toolchain compiles and where it runs: the glue of ``toolchain`` and ``engine``.

Export and calibration run apart from the compiler, in the emulator's libraries or in the
export image that goes with a suite: torch and the compiler's pins do not live together.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hefsmith_worker.contract import chips
from hefsmith_worker.contract.stages import BEFORE_COMPILER, NAMES

from orchestrator.installation import install_command
from orchestrator.pipeline import identity
from orchestrator.pipeline.jobs import ExecutionTarget, Segment
from orchestrator.pipeline.sizes import read_size
from orchestrator.pipeline.trusting import check_settings, not_trusted, own_engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.engine.base import Box, Report
    from orchestrator.engine.protocols import Engine
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.plan import Plan
    from orchestrator.project.recipe import Arch
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace
    from orchestrator.toolchain.choose import ToolchainChoice
    from orchestrator.toolchain.gpu import Wish
    from orchestrator.toolchain.registry import GpuState, ImportedToolchain

EMULATOR = "emulator"


@dataclass(frozen=True)
class Toolchain:
    """A toolchain as a build needs it.

    ``engine_kind`` limits it to a kind of engine (the emulator's libraries may differ between
    image and environment); ``imported`` is the suite, ``None`` for the emulator.
    """

    name: str
    emulated: bool
    identities: Mapping[str, Mapping[str, Any]]
    engine_kind: Literal["docker", "local"] | None
    env: Mapping[str, str]
    imported: ImportedToolchain | None = None
    warnings: tuple[str, ...] = ()


def candidates(
    arch: Arch,
    settings: Settings,
    workspace: Workspace,
    memory: DigestMemory,
    hailort: str | None = None,
    *,
    tensorflow: bool = False,
) -> tuple[Toolchain, ...]:
    """Return the toolchains that may build for a chip, best first.

    ``hailort`` is the device's version, if one is known; ``tensorflow`` that the network comes
    from there. Raises :class:`~orchestrator.toolchain.choose.NoToolchainError`.
    """
    wanted = settings.text("toolchain") or "auto"
    if wanted != EMULATOR:
        suite = _suite(arch, wanted, workspace, hailort, tensorflow=tensorflow)
        if suite is not None:
            return (suite,)
    return _emulators(arch, settings, memory, tensorflow=tensorflow)


def _identities(
    export: Mapping[str, Any], compiler: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    return {name: export if name in BEFORE_COMPILER else compiler for name in NAMES}


def _emulators(
    arch: Arch, settings: Settings, memory: DigestMemory, *, tensorflow: bool
) -> tuple[Toolchain, ...]:
    compiler = chips.by_name()[arch].line.emulated_compiler
    code = identity.emulator_code(memory)
    env = {"HEFSMITH_EMULATED_DFC": compiler}
    pinned = _image_versions(tensorflow=tensorflow)
    installed = identity.installed_versions(tuple(pinned))
    kinds: list[tuple[Literal["docker", "local"] | None, Mapping[str, str]]] = []
    engine = settings.text("engine") or "auto"
    if engine != "local":
        kinds.append(("docker", pinned))
    if engine == "local" or (engine == "auto" and len(installed) == len(pinned)):
        kinds.append(("local", installed))
    if len(kinds) > 1 and pinned == installed:
        # The same libraries: what one engine made, the other need not make again.
        kinds = [(None, pinned)]
    return tuple(
        Toolchain(
            EMULATOR,
            emulated=True,
            identities=_identities(
                identity.libraries_identity(versions),
                identity.emulator_identity(code, versions, compiler),
            ),
            engine_kind=kind,
            env=env,
        )
        for kind, versions in kinds
    )


def _image_versions(*, tensorflow: bool) -> dict[str, str]:
    """Return what exports run with in our own image."""
    versions = identity.emulator_image_versions()
    return {**versions, **identity.TENSORFLOW} if tensorflow else versions


def _suite(
    arch: Arch, wanted: str, workspace: Workspace, hailort: str | None, *, tensorflow: bool
) -> Toolchain | None:
    """Return the imported suite that compiles for the chip; ``None`` = take the emulator."""
    choice = _choose(arch, wanted, workspace, hailort)
    if choice is None:
        return None
    from orchestrator.toolchain.suite import describe

    chosen = choice.toolchain
    export: Mapping[str, Any] = (
        {"export_image": chosen.export_image}
        if chosen.export_image and not tensorflow
        else identity.libraries_identity(_image_versions(tensorflow=tensorflow))
    )
    return Toolchain(
        chosen.name,
        emulated=False,
        identities=_identities(export, chosen.identity()),
        engine_kind="docker",
        env=describe(chosen).env,
        imported=chosen,
        warnings=choice.warnings,
    )


def imported_suite(
    arch: Arch, wanted: str, workspace: Workspace, hailort: str | None
) -> ImportedToolchain | None:
    """Return the suite that would compile for a chip, ``None`` when none is imported."""
    choice = _choose(arch, wanted, workspace, hailort)
    return None if choice is None else choice.toolchain


def _choose(
    arch: Arch, wanted: str, workspace: Workspace, hailort: str | None
) -> ToolchainChoice | None:
    from orchestrator import paths

    records = paths.user_data() / "toolchains"
    if wanted == "auto" and not records.is_dir():
        # The common case before anything was imported, decided without further imports.
        return None
    from orchestrator.toolchain import registry
    from orchestrator.toolchain.choose import choose
    from orchestrator.toolchain.lock import read_lock
    from orchestrator.toolchain.versions import line_of_chip, parse_version

    imported = registry.load_all()
    if wanted == "auto" and not imported:
        return None
    line = line_of_chip(arch)
    pins = read_lock(workspace.root)
    named = None if wanted in ("auto", "suite") else registry.find(wanted)
    return choose(
        arch,
        imported,
        hailort=parse_version(hailort),
        pin=pins.get(line) if line is not None else None,
        named=named,
    )


def open_engine(
    settings: Settings, workspace: Workspace, observer: Observer, *, need_docker: bool = False
) -> Engine:
    """Return the engine that the settings name; ``auto`` is Docker when it answers."""
    from orchestrator.engine.choose import choose_engine

    check_settings(workspace, settings)
    asked, named = settings.text("engine") or "auto", own_engines(workspace)
    if asked in workspace.file.engines and asked not in named:
        raise not_trusted(workspace, (f"the engine {asked}",))
    choice = choose_engine(asked, named=named, need_docker=need_docker)
    observer.note(choice.said)
    return choice.engine


@dataclass(frozen=True)
class SandboxOverrides:
    """What the command line allows beyond the tight box; recipes cannot."""

    network: bool = False
    memory: str | None = None
    cpus: float | None = None


def limits(overrides: SandboxOverrides, workspace: Workspace, *, gpus: bool = False) -> Box:
    """Return the box: the project's sizes, and what the command line allows beyond it."""
    from orchestrator.engine.base import Box

    memory = overrides.memory or workspace.file.limits.memory
    return Box(
        memory=read_size(memory, "memory limit") if memory else None,
        cpus=overrides.cpus or workspace.file.limits.cpus,
        network=overrides.network,
        gpus=gpus,
    )


@dataclass(frozen=True)
class TargetResolver:
    """Turns a plan into segments on one engine; ``look_only`` builds no image (``--dry-run``)."""

    engine: Engine
    overrides: SandboxOverrides
    settings: Settings
    workspace: Workspace
    observer: Observer
    look_only: bool = False

    def first_segment(self, made: Plan, toolchain: Toolchain) -> Segment | None:
        """Return the first job of a plan if it is cheap to know: no image to build, no GPU to try.

        It equals the first of :meth:`segments`.
        """
        if _packages(made):
            return None
        imported = toolchain.imported
        before = tuple(name for name in made.to_run if name in BEFORE_COMPILER)
        if imported is not None and imported.export_image and not made.request.tensorflow:
            from orchestrator.toolchain.suite import EXPORT_PYTHON

            target = self._target(imported.export_image, EXPORT_PYTHON, {}, gpus=False)
            return Segment(before, target) if before else None
        if imported is not None and not before:
            return None
        image = self.engine.ready_image("emulator")
        if image is None:
            return None
        env = toolchain.env if imported is None else {}
        stages = made.to_run if imported is None else before
        return Segment(stages, self._target(image.id, "python", env, gpus=False))

    def segments(self, made: Plan, toolchain: Toolchain) -> tuple[Segment, ...]:
        """Return the jobs of a plan, in order."""
        packages = _packages(made)
        if toolchain.imported is None:
            image = self._with_packages(self._own_image(), packages)
            target = self._target(image, "python", toolchain.env, gpus=False)
            return (Segment(made.to_run, target),)
        from orchestrator.toolchain.suite import EXPORT_PYTHON

        for warning in toolchain.warnings:
            self.observer.note(f"warning: {warning}")
        before = tuple(name for name in made.to_run if name in BEFORE_COMPILER)
        after = tuple(name for name in made.to_run if name not in BEFORE_COMPILER)
        segments: list[Segment] = []
        if before:
            layer = toolchain.imported.export_image
            image, python = layer or "", EXPORT_PYTHON
            # TensorFlow goes on top of the image whose versions it is known to fit.
            if not layer or made.request.tensorflow:
                image, python = self._own_image(), "python"
            image = self._with_packages(image, packages, python=python)
            segments.append(Segment(before, self._target(image, python, {}, gpus=False)))
        if after:
            segments.append(Segment(after, self._suite_target(toolchain.imported)))
        return tuple(segments)

    def _suite_target(self, imported: ImportedToolchain) -> ExecutionTarget:
        from dataclasses import replace

        from orchestrator.toolchain.gpu import Probe, decide
        from orchestrator.toolchain.suite import describe

        wish = self.settings.text("gpu") or "auto"
        assert wish in ("auto", "on", "off")
        runtimes = self.engine.info().runtimes
        state = self._gpu_state(imported, wish)  # type: ignore[arg-type]
        probe = Probe(state.usable, state.why, state.name) if state.usable is not None else None
        decision = decide(wish, runtimes, probe)  # type: ignore[arg-type]
        self.observer.note(f"gpu: {'used' if decision.use else 'not used'} ({decision.why})")
        described = describe(imported, decision)
        target = self._target(described.image, described.python, described.env, gpus=described.gpus)
        return replace(target, answers=imported.answers)

    def _gpu_state(self, imported: ImportedToolchain, wish: Wish) -> GpuState:
        """Return what is known of a GPU inside the image, found out anew where that is old."""
        from dataclasses import replace

        from orchestrator.toolchain.gpu import needs_probe

        state = imported.gpu
        runtimes = self.engine.info().runtimes
        if self.look_only or not needs_probe(wish, runtimes, state.usable, state.why):
            return state
        store = self.engine.image_store()
        if store is None:
            return state
        from orchestrator.toolchain import importer, registry

        self.observer.note("gpu: trying it inside the container")
        state = importer.probe_gpu(imported.image, imported.python, store, wish)
        registry.save(replace(imported, gpu=state))
        return state

    def _own_image(self) -> str:
        if self.look_only:
            return "hefsmith-emulator"
        with self._building() as report:
            return self.engine.ensure_image("emulator", report=report).id

    def _with_packages(
        self, image: str, packages: tuple[str, ...], *, python: str = "python"
    ) -> str:
        if not packages:
            return image
        if self.look_only:
            return f"hefsmith-export({', '.join(packages)})"
        if self.engine.info().kind == "local" and packages == identity.TENSORFLOW_PACKAGES:
            _need_tensorflow()
            return image
        with self._building() as report:
            return self.engine.add_packages(image, packages, python=python, report=report).id

    @contextmanager
    def _building(self) -> Iterator[Report]:
        """Show an image being built; nothing is said while there is nothing to do."""
        from orchestrator.engine.base import Progress

        started: float | None = None

        def report(news: Progress | str, /) -> None:
            nonlocal started
            if started is None:
                started = time.monotonic()
                self.observer.stage_started("image")
            if isinstance(news, Progress):
                self.observer.progress("image", news.done, news.total, news.unit)
            else:
                self.observer.log(news)

        yield report
        if started is not None:
            self.observer.stage_finished("image", time.monotonic() - started)

    def _target(
        self, image: str, python: str, env: Mapping[str, str], *, gpus: bool
    ) -> ExecutionTarget:
        from orchestrator.engine.base import worker_argv

        info = self.engine.info()
        box = limits(self.overrides, self.workspace, gpus=gpus)
        return ExecutionTarget(
            engine=self.engine,
            image=image,
            argv=worker_argv(python=python),
            env=env,
            limits=box,
            facts={
                "kind": info.kind,
                "name": info.name,
                "version": info.version,
                "image": image,
                "boxed": info.boxed,
                "overridden": list(box.overridden()),
                "unlimited": list(info.lacks),
            },
        )


def _packages(made: Plan) -> tuple[str, ...]:
    """Return what is needed beside torch, if a stage runs that may use it.

    A source of calibration pictures may need a reader of videos. The emulator's translator reads
    a TensorFlow network too, so parsing needs the same.
    """
    users = (*BEFORE_COMPILER, "parse") if made.request.tensorflow else BEFORE_COMPILER
    if not any(name in made.to_run for name in users):
        return ()
    return tuple(made.request.parameters["export"].get("packages", ()))


def _need_tensorflow() -> None:
    """Raise unless this Python has what TensorFlow networks are read with."""
    from importlib.util import find_spec

    from orchestrator.engine.base import EngineUnavailableError

    missing = [name for name in ("tensorflow", "tf2onnx") if find_spec(name) is None]
    if missing:
        msg = f"the local engine lacks {' and '.join(missing)}, which read TensorFlow networks"
        raise EngineUnavailableError(
            msg, hint=f"{install_command('tensorflow')}\nor use Docker: --engine docker"
        )
