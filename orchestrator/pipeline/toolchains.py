"""Which toolchain compiles and where it runs: the glue of ``toolchain`` and ``engine``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.errors import ConfigError
from orchestrator.pipeline import identity
from orchestrator.pipeline.run import Bench
from orchestrator.pipeline.sizes import read_size
from orchestrator.project.recipe import LINE_3_ARCHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engine.base import Box, Engine
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.journey import Loosening
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.plan import Plan
    from orchestrator.project.recipe import Arch
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace

#: Compiler versions that the emulator shows for the two lines.
EMULATED_COMPILER = {3: "3.33.0", 5: "5.2.0"}

EMULATOR = "emulator"


@dataclass(frozen=True)
class Toolchain:
    """A toolchain as a build needs it.

    ``engine_kind`` limits it to a kind of engine (the emulator's libraries may differ between
    image and environment); ``image`` is a reference of the engine, ``None`` = our emulator's.
    """

    name: str
    emulated: bool
    identity: Mapping[str, Any]
    engine_kind: Literal["docker", "local"] | None
    env: Mapping[str, str]
    image: str | None = None
    python: str = "python"


def candidates(
    arch: Arch, settings: Settings, workspace: Workspace, memory: DigestMemory
) -> tuple[Toolchain, ...]:
    """Return the toolchains that may build for a chip, best first; all give the same line."""
    wanted = settings.text("toolchain") or "auto"
    if wanted != EMULATOR:
        suite = _suite(arch, wanted, workspace)
        if suite is not None:
            return (suite,)
    if wanted not in ("auto", EMULATOR):
        msg = f"{settings.toolchain.origin}: no toolchain {wanted!r} is imported"
        raise ConfigError(
            msg,
            hint="hef toolchain list shows what is there; hef toolchain import FILE adds one.",
            code="toolchain.missing",
        )
    return _emulators(arch, settings, memory)


def _emulators(arch: Arch, settings: Settings, memory: DigestMemory) -> tuple[Toolchain, ...]:
    compiler = EMULATED_COMPILER[3 if arch in LINE_3_ARCHS else 5]
    code = identity.emulator_code(memory)
    env = {"HEFSMITH_EMULATED_DFC": compiler}
    pinned = identity.emulator_image_versions()
    installed = identity.installed_versions()
    kinds: list[tuple[Literal["docker", "local"], Mapping[str, str]]] = []
    engine = settings.text("engine") or "auto"
    if engine != "local":
        kinds.append(("docker", pinned))
    if engine in ("auto", "local") and len(installed) == len(identity.LIBRARIES):
        kinds.append(("local", installed))
    if not kinds:
        kinds.append(("local", installed))
    if len(kinds) == 2 and kinds[0][1] == kinds[1][1]:
        # The same libraries: what one engine made, the other need not make again.
        return (
            Toolchain(
                EMULATOR, True, identity.emulator_identity(code, pinned, compiler), None, env
            ),
        )
    return tuple(
        Toolchain(EMULATOR, True, identity.emulator_identity(code, versions, compiler), kind, env)
        for kind, versions in kinds
    )


def _suite(arch: Arch, wanted: str, workspace: Workspace) -> Toolchain | None:
    """Return the imported suite that can compile for the chip, ``None`` when there is none."""
    from orchestrator.paths import user_data

    if wanted == "auto" and not (user_data() / "toolchains").exists():
        # The common case before anything was imported, decided without further imports.
        return None
    return None


def open_engine(settings: Settings, workspace: Workspace, observer: Observer) -> Engine:
    """Return the engine that the settings name; ``auto`` is Docker when it answers."""
    from orchestrator.engine.choose import choose_engine

    named = {name: entry.address for name, entry in workspace.file.engines.items()}
    choice = choose_engine(settings.text("engine") or "auto", named=named)
    observer.note(choice.said)
    return choice.engine


def _limits(loosening: Loosening, settings: Settings, workspace: Workspace) -> Box:  # noqa: ARG001
    from orchestrator.engine.base import Box

    memory = loosening.memory or workspace.file.limits.memory
    return Box(
        memory=read_size(memory, "memory limit") if memory else None,
        cpus=loosening.cpus or workspace.file.limits.cpus,
        network=loosening.network,
    )


def bench(
    engine: Engine,
    toolchain: Toolchain,
    made: Plan,
    loosening: Loosening,
    settings: Settings,
    workspace: Workspace,
    observer: Observer,
) -> Bench:
    """Return what a run needs; builds or checks the image on the way."""
    from orchestrator.engine.base import Progress

    image = toolchain.image
    if image is None:
        started = False

        def report(news: Progress | str, /) -> None:
            nonlocal started
            if not started:
                started = True
                observer.stage_started("image")
            if isinstance(news, Progress):
                observer.progress("image", news.done, news.total, news.unit)
            else:
                observer.log(news)

        image = engine.ensure_image("emulator", report=report).id
    info = engine.info()
    return Bench(
        engine=engine,
        image=image,
        argv=_argv(toolchain),
        env=toolchain.env,
        limits=_limits(loosening, settings, workspace),
        labels={"org.hefsmith.model": made.request.model},
        facts={
            "kind": info.kind,
            "name": info.name,
            "version": info.version,
            "image": image,
            "boxed": info.boxed,
            "loosened": list(_limits(loosening, settings, workspace).loosened()),
        },
    )


def bench_for_display(
    engine: Engine,
    toolchain: Toolchain,
    made: Plan,  # noqa: ARG001
    loosening: Loosening,
    settings: Settings,
    workspace: Workspace,
) -> Bench:
    """Return what a run would need, with the image by name; nothing is built."""
    return Bench(
        engine=engine,
        image=toolchain.image or "hefsmith/emulator",
        argv=_argv(toolchain),
        env=toolchain.env,
        limits=_limits(loosening, settings, workspace),
    )


def _argv(toolchain: Toolchain) -> tuple[Any, ...]:
    from orchestrator.engine.base import worker_argv

    return worker_argv(python=toolchain.python)
