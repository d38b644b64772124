"""``hef report``: one page with what was asked, what ran, and how well it works."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.validate import Arch, Json, Model  # noqa: TC001 (typer reads them)


def register(app: typer.Typer) -> None:
    """Add ``report`` to the application."""
    app.command("report", epilog="Example: hef report digits --open")(_report)


def _report(
    model: Model,
    arch: Arch = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write the report of a build as one HTML file that needs no network."""
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.cli.proving import find_one_build, recipe_folder
    from orchestrator.pipeline.reporting import write_report

    build = find_one_build(model, arch)
    verdict = write_report(build, recipe_folder=recipe_folder(model))
    if show:
        typer.launch(build.report.resolve().as_uri())
    if as_json:
        emit_json({"report": str(build.report), **verdict.to_json()})
    else:
        print_result(str(build.report))
