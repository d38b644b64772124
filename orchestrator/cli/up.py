"""``hef up`` (build, ship, validate: the main job) and ``hef build``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.project.loading import LoadedRecipe

Models = Annotated[
    list[str] | None,
    typer.Argument(help="Models by name or folder; default: the only one there is."),
]
ArchOption = Annotated[
    list[str] | None,
    typer.Option("--arch", help="Chip, such as hailo8l; default: the device's, else the recipe's."),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", help="auto, docker, local, ssh://user@host, or a name of hef.yaml."),
]
ToolchainOption = Annotated[
    str | None, typer.Option("--toolchain", help="auto, emulator, or an imported suite.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Device of hef.yaml, user@host, or embedded (the default)."),
]
StrictOption = Annotated[
    bool | None,
    typer.Option("--strict/--no-strict", help="Fail when less was done than was asked."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Run every stage, cached or not.")]
DryOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan and its commands; run nothing.")
]
MemoryOption = Annotated[
    str | None, typer.Option("--memory", help="Memory limit of the container, such as 12g.")
]
CpusOption = Annotated[float | None, typer.Option("--cpus", help="CPU limit of the container.")]
NetworkOption = Annotated[
    bool, typer.Option("--allow-network", help="Let the container reach the network (recorded).")
]
GpuOption = Annotated[str | None, typer.Option("--gpu", help="auto, on or off.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show the compiler's log.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(epilog="Example: hef up digits --device pi5")
    def up(
        models: Models = None,
        arch: ArchOption = None,
        device: DeviceOption = None,
        engine: EngineOption = None,
        toolchain: ToolchainOption = None,
        strict: StrictOption = None,
        fresh: FreshOption = False,
        dry_run: DryOption = False,
        detach: Annotated[
            bool, typer.Option("--detach", help="Build in the background; see hef ps.")
        ] = False,
        memory: MemoryOption = None,
        cpus: CpusOption = None,
        allow_network: NetworkOption = False,
        gpu: GpuOption = None,
        verbose: VerboseOption = False,
        json_: JsonOption = False,
    ) -> None:
        """Build a model, ship it to the device and prove it there: the main job."""
        flags = {
            "engine": engine,
            "toolchain": toolchain,
            "device": device,
            "gpu": gpu,
            "strict": strict,
        }
        overrides = {"memory": memory, "cpus": cpus, "network": allow_network}
        _run(
            models,
            arch,
            flags,
            overrides,
            fresh=fresh,
            dry_run=dry_run,
            detach=detach,
            verbose=verbose,
            as_json=json_,
            prove=True,
        )

    @app.command(epilog="Example: hef build digits --arch hailo8l --strict")
    def build(
        models: Models = None,
        arch: ArchOption = None,
        engine: EngineOption = None,
        toolchain: ToolchainOption = None,
        strict: StrictOption = None,
        fresh: FreshOption = False,
        dry_run: DryOption = False,
        memory: MemoryOption = None,
        cpus: CpusOption = None,
        allow_network: NetworkOption = False,
        gpu: GpuOption = None,
        verbose: VerboseOption = False,
        json_: JsonOption = False,
    ) -> None:
        """Build a model: export, calibrate, parse, optimize, compile, evaluate."""
        flags = {"engine": engine, "toolchain": toolchain, "gpu": gpu, "strict": strict}
        overrides = {"memory": memory, "cpus": cpus, "network": allow_network}
        _run(
            models,
            arch,
            flags,
            overrides,
            fresh=fresh,
            dry_run=dry_run,
            detach=False,
            verbose=verbose,
            as_json=json_,
            prove=False,
        )


def _run(
    models: list[str] | None,
    arch: list[str] | None,
    flags: Mapping[str, str | bool | None],
    overrides: Mapping[str, Any],
    *,
    fresh: bool,
    dry_run: bool,
    detach: bool,
    verbose: bool,
    as_json: bool,
    prove: bool,
) -> None:
    from orchestrator.cli.display import open_display
    from orchestrator.cli.output import emit_json
    from orchestrator.cli.summary import document, print_plan, print_summary
    from orchestrator.errors import ExitCode
    from orchestrator.pipeline.session import pick_archs

    if dry_run:
        with make_session(flags, overrides=overrides, fresh=fresh) as session:
            plans = [
                session.dry_run(loaded, chip)
                for loaded in _recipes(session, models)
                for chip in pick_archs(loaded, arch)
            ]
        if as_json:
            emit_json(plans[0] if len(plans) == 1 else plans)
        else:
            print_plan(plans)
        return
    if detach:
        _detach(models, arch, flags, overrides)
        return
    outcomes = []
    with (
        open_display(verbose=verbose) as display,
        make_session(flags, observer=display, overrides=overrides, fresh=fresh) as session,
    ):
        from orchestrator.pipeline.proof import Prover

        loaded_models = _recipes(session, models)
        with Prover(session) as prover:
            for loaded in loaded_models:
                for chip in prover.archs(loaded, arch) if prove else pick_archs(loaded, arch):
                    build_, made = session.build(loaded, chip)
                    proof = prover.prove(build_, loaded.folder) if prove else None
                    outcomes.append((build_, made, proof))
    documents = [document(build_, made, proof) for build_, made, proof in outcomes]
    if as_json:
        emit_json(documents[0] if len(documents) == 1 else documents)
    else:
        for one in documents:
            print_summary(one)
    if any(proof is not None and not proof.passed for _, _, proof in outcomes):
        raise typer.Exit(int(ExitCode.VERDICT))


def _detach(
    models: list[str] | None,
    arch: list[str] | None,
    flags: Mapping[str, str | bool | None],
    overrides: Mapping[str, Any],
) -> None:
    """Start each build in the background and say how to come back to it."""
    from orchestrator.cli.output import note, print_result
    from orchestrator.pipeline.session import pick_archs

    with make_session(flags, overrides=overrides) as session:
        for loaded in _recipes(session, models):
            for chip in pick_archs(loaded, arch):
                identifier = session.detach(loaded, chip)
                if identifier is None:
                    note(f"{loaded.name} for {chip} is up to date")
                else:
                    print_result(identifier)
                    note(f"{loaded.name} for {chip} goes on in the background:")
                    note(f"  hef logs {identifier}     hef attach {identifier}     hef ps")


def _recipes(session: BuildSession, models: list[str] | None) -> list[LoadedRecipe]:
    """Return the recipes asked for, else the only one there is."""
    names = models or [session.workspace.unnamed_model()]
    return [session.recipe(name) for name in names]


@contextmanager
def make_session(
    flags: Mapping[str, str | bool | None],
    *,
    observer: Observer | None = None,
    overrides: Mapping[str, Any] | None = None,
    fresh: bool = False,
) -> Iterator[BuildSession]:
    """Open the project of the current folder with the settings that the flags give."""
    import os

    from orchestrator.pipeline.observer import Silent
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.targets import SandboxOverrides
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    settings = resolve(workspace, os.environ, flags)
    session = BuildSession(
        workspace,
        settings,
        observer or Silent(),
        overrides=SandboxOverrides(**(overrides or {})),
        fresh=fresh,
    )
    try:
        yield session
    finally:
        session.close()
