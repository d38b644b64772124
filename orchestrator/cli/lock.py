"""``hef lock``: note what builds are made with and of, so that ``--locked`` can compare."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.arguments import (  # noqa: TC001 (typer reads them)
    Archs,
    Engine,
    Json,
    Models,
    Sets,
    Toolchain,
)


def register(app: typer.Typer) -> None:
    """Add ``lock`` to the application."""
    app.command("lock", epilog="Example: hef lock --all   then: hef build --all --locked")(_lock)


def _lock(
    models: Models = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every build of the project, as hef build --all has it.")
    ] = False,
    arch: Archs = None,
    sets: Sets = None,
    engine: Engine = None,
    toolchain: Toolchain = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: fail when something differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Pin in hef.lock what builds are made with and of."""
    from orchestrator.api import Options, Project
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.toolchain.lock import NAME

    options = Options(engine=engine, toolchain=toolchain)
    with Project(options=options) as project:
        cells = project.cells(models or (), arch or (), sets or (), everything=all_)
        related = project.check_lock(cells) if check else {}
        names = tuple(related) if check else project.lock(cells)
        path = project.root / NAME
    if as_json:
        kin = {name: one.to_json() for name, one in related.items() if one is not None}
        emit_json({"lock": str(path), "builds": list(names), "checked": check, "made": kin})
        return
    for name in names:
        found = related.get(name)
        told = f" ({found.words})" if found is not None else ""
        print_result(f"{name} {'is as locked' if check else 'is locked'}{told}")
    print_result(str(path))
