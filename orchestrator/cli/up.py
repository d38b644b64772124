"""``hef up`` (build, ship, validate: the main job) and ``hef build``."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import (  # noqa: TC001 (typer reads them)
    Archs,
    Cluster,
    Engine,
    Json,
    Models,
    Sets,
    Toolchain,
    Verbose,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.api import Options, Project
    from orchestrator.pipeline.matrix.cells import Cell
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.session import BuildSession

AllOption = Annotated[
    bool,
    typer.Option("--all", help="Every model and chip, or what matrix: in hef.yaml says."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Builds side by side; default: half of the cores."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="A known device, user@host, or embedded; default: the only one known, else embedded.",
    ),
]
StrictOption = Annotated[
    bool | None,
    typer.Option("--strict/--no-strict", help="Fail when less was done than was asked."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Run every stage, cached or not.")]
LockedOption = Annotated[
    bool, typer.Option("--locked", help="Refuse what differs from hef.lock, and show it.")
]
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


@dataclass(frozen=True)
class _Wish:
    """Which builds are asked for, and whether they are to be proven on a device."""

    models: Sequence[str] | None
    archs: Sequence[str] | None
    sets: Sequence[str] | None
    everything: bool
    jobs: int | None
    cluster: str | None
    prove: bool

    def cells(self, project: Project) -> tuple[Cell, ...]:
        """Return them."""
        return project.cells(
            self.models or (),
            self.archs or (),
            self.sets or (),
            everything=self.everything,
            prove=self.prove,
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up", epilog="Example: hef up digits --device pi5")(up)
    app.command("build", epilog="Example: hef build digits --arch hailo8l --strict")(build)


def up(
    models: Models = None,
    all_: AllOption = False,
    arch: Archs = None,
    sets: Sets = None,
    jobs: JobsOption = None,
    cluster: Cluster = None,
    device: DeviceOption = None,
    engine: Engine = None,
    toolchain: Toolchain = None,
    strict: StrictOption = None,
    fresh: FreshOption = False,
    locked: LockedOption = False,
    dry_run: DryOption = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Build in the background, ship later; see hef ps.")
    ] = False,
    memory: MemoryOption = None,
    cpus: CpusOption = None,
    allow_network: NetworkOption = False,
    gpu: GpuOption = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Build a model, ship it to the device and prove it there. The main job."""
    from orchestrator.api import Options

    options = Options(
        engine=engine,
        toolchain=toolchain,
        device=device,
        gpu=gpu,
        strict=strict,
        memory=memory,
        cpus=cpus,
        allow_network=allow_network,
        fresh=fresh,
        locked=locked,
    )
    wish = _Wish(models, arch, sets, all_, jobs, cluster, prove=True)
    _run(wish, options, dry_run=dry_run, detach=detach, verbose=verbose, as_json=as_json)


def build(
    models: Models = None,
    all_: AllOption = False,
    arch: Archs = None,
    sets: Sets = None,
    jobs: JobsOption = None,
    cluster: Cluster = None,
    engine: Engine = None,
    toolchain: Toolchain = None,
    strict: StrictOption = None,
    fresh: FreshOption = False,
    locked: LockedOption = False,
    dry_run: DryOption = False,
    memory: MemoryOption = None,
    cpus: CpusOption = None,
    allow_network: NetworkOption = False,
    gpu: GpuOption = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Build a model's HEF: export, calibrate, quantise, compile."""
    from orchestrator.api import Options

    options = Options(
        engine=engine,
        toolchain=toolchain,
        gpu=gpu,
        strict=strict,
        memory=memory,
        cpus=cpus,
        allow_network=allow_network,
        fresh=fresh,
        locked=locked,
    )
    wish = _Wish(models, arch, sets, all_, jobs, cluster, prove=False)
    _run(wish, options, dry_run=dry_run, detach=False, verbose=verbose, as_json=as_json)


def _run(
    wish: _Wish,
    options: Options,
    *,
    dry_run: bool,
    detach: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    from orchestrator.api import Project
    from orchestrator.cli.display import PlainDisplay
    from orchestrator.cli.output import emit_json

    with Project(options=options, observer=PlainDisplay(verbose=verbose)) as project:
        if dry_run:
            _show_plans(wish, project, as_json=as_json)
        elif detach:
            _detach(wish, project)
        else:
            cells = wish.cells(project)
            if len(cells) == 1 and not wish.everything and wish.cluster is None:
                _run_one(cells[0], project, wish, verbose=verbose, as_json=as_json)
                return
            from orchestrator.cli.matrix import open_view, print_matrix

            view = open_view(verbose=verbose)
            outcome = project.run_cells(
                cells, jobs=wish.jobs, prove=wish.prove, cluster=wish.cluster, view=view
            )
            if as_json:
                emit_json(outcome.to_json())
            else:
                print_matrix(outcome)
            if outcome.exit_code:
                raise typer.Exit(outcome.exit_code)


def _run_one(cell: Cell, project: Project, wish: _Wish, *, verbose: bool, as_json: bool) -> None:
    from orchestrator.cli.display import open_display
    from orchestrator.cli.output import emit_json
    from orchestrator.cli.summary import print_summary
    from orchestrator.errors import ExitCode

    with open_display(verbose=verbose) as display:
        project.session.observer = display
        result = project.make(cell, prove=wish.prove)
    document = result.to_json()
    if as_json:
        emit_json(document)
    else:
        print_summary(document)
    if not result.passed:
        raise typer.Exit(int(ExitCode.VERDICT))


def _show_plans(wish: _Wish, project: Project, *, as_json: bool) -> None:
    from dataclasses import replace

    from orchestrator.cli.output import emit_json
    from orchestrator.cli.summary import print_plan
    from orchestrator.pipeline.observer import Silent

    project.session.observer = Silent()
    # A plan asks no device: the chips are those of the recipes, unless others are named.
    cells = replace(wish, prove=False).cells(project)
    plans = [project.session.dry_run(*cell.to_build()) for cell in cells]
    if as_json:
        emit_json(plans[0] if len(plans) == 1 else plans)
    else:
        print_plan(plans)


def _detach(wish: _Wish, project: Project) -> None:
    """Start each build in the background and say how to come back to it."""
    from dataclasses import replace

    from orchestrator.cli.output import note, print_result
    from orchestrator.errors import ConfigError

    if wish.sets:
        msg = "--detach builds recipes as they are, not parameter sets"
        raise ConfigError(msg, hint="Leave out --set, or --detach.")
    for cell in replace(wish, prove=False).cells(project):
        identifier = project.session.detach(*cell.to_build())
        if identifier is None:
            note(f"{cell.name} is up to date")
        else:
            print_result(identifier)
            note(f"{cell.name} goes on in the background:")
            note(f"  hef logs {identifier}     hef attach {identifier}     hef ps")


@contextmanager
def make_session(
    flags: Mapping[str, str | bool | None],
    *,
    observer: Observer | None = None,
    fresh: bool = False,
) -> Iterator[BuildSession]:
    """Open the project of the current folder with the settings that the flags give."""
    from orchestrator.api import Options, Project

    with Project(options=Options(**flags, fresh=fresh), observer=observer) as project:  # type: ignore[arg-type]
        yield project.session
