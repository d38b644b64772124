"""``hef report`` and ``hef history``: what a build is worth, beside another, and over time."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.cli.arguments import Arch, Json, Model, only_model

if TYPE_CHECKING:
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.report.markdown import Section
    from orchestrator.report.model import Verdict


def register(app: typer.Typer) -> None:
    """Add ``report`` and ``history`` to the application."""
    app.command("history", epilog="Example: hef history digits --open")(_history)
    app.command(
        "report",
        epilog="Example: hef report digits --open   or: hef report --compare digits~1 digits",
    )(_report)


def _report(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model that has been built.")
    ] = None,
    arch: Arch = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every build of the project, parameter sets too.")
    ] = False,
    form: Annotated[
        Literal["html", "md"],
        typer.Option("--format", help="html: a page beside the HEF. md: Markdown on stdout."),
    ] = "html",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Two builds side by side: MODEL, MODEL/CHIP, MODEL~1 (the one before), "
            "MODEL@tune, or a folder.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file of a comparison.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write the report of a build, as HTML or Markdown. The page needs no network."""
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.errors import ConfigError
    from orchestrator.report.markdown import render

    if compare is not None:
        from orchestrator.cli.comparing import print_comparison

        if model is not None or every:
            msg = "--compare takes two builds, and no MODEL or --all beside them"
            raise ConfigError(msg, hint="hef report --compare A B", code="report.which")
        print_comparison(compare, arch, output, form, show=show, as_json=as_json)
        return
    if output is not None:
        msg = "--output is for --compare: the report of a build stands beside its HEF"
        raise ConfigError(msg, code="usage")
    if model is not None and every:
        msg = "name one model, or say --all"
        raise ConfigError(msg, hint="hef report MODEL   or: hef report --all", code="report.which")
    if not every:
        model = model or only_model()
    made = [(build, _write(build, _recipe(build))) for build in _builds(model, arch)]
    if show:
        for build, _ in made:
            typer.launch(build.report.resolve().as_uri())
    if as_json:
        documents = [{"report": str(build.report), **told.to_json()} for build, told in made]
        emit_json({"reports": documents} if every else documents[0])
    elif form == "md":
        sections = [_section(build, verdict) for build, verdict in made]
        missing = _not_built({one.name for one in sections}, arch) if every else []
        print_result(render(sections, missing).rstrip(), quoted=True)
    else:
        for build, _ in made:
            print_result(str(build.report))


def _history(
    model: Model,
    arch: Arch = None,
    show: Annotated[bool, typer.Option("--open", help="Open the chart in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Show the builds of a model over time. A chart of them is written as HTML."""
    from orchestrator.cli.comparing import print_history

    print_history(model, arch, show=show, as_json=as_json)


def _builds(model: str | None, arch: str | None) -> list[Build]:
    from orchestrator.cli.proving import find_one_build
    from orchestrator.pipeline.finished.builds import read_build
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    if model is not None:
        return [find_one_build(model, arch)]
    workspace = open_workspace()
    artifacts = resolve(workspace).artifacts_of(workspace)
    folders = [*artifacts.glob("*/*/build.json"), *artifacts.glob("*/sets/*/*/build.json")]
    found = [read_build(file.parent) for file in sorted(folders)]
    return [
        build
        for build in found
        if build is not None
        and not build.folder.name.startswith(".")
        and arch in (None, build.arch)
    ]


def _not_built(there: set[str], arch: str | None) -> list[str]:
    """Return the builds that ``hef build --all`` would make and that are not there."""
    from orchestrator import Project

    with Project() as project:
        cells = project.cells(archs=arch or (), everything=True) if project.models else ()
    return [cell.name for cell in cells if cell.name not in there]


def _recipe(build: Build) -> Path | None:
    from orchestrator.cli.proving import recipe_folder

    return recipe_folder(build.model)


def _write(build: Build, recipe: Path | None) -> Verdict:
    from orchestrator.pipeline.finished.reporting import write_report

    return write_report(build, recipe_folder=recipe)


def _section(build: Build, verdict: Verdict) -> Section:
    from orchestrator.cli.measures import step_table
    from orchestrator.report.markdown import Section

    parts = build.folder.parts
    name = f"{build.model} {build.arch}"
    if len(parts) > 2 and parts[-3] == "sets":
        name += f" {parts[-2]}"
    return Section(
        name=name,
        toolchain=f"{build.summary.get('toolchain', '')}{' (emulated)' if build.emulated else ''}",
        emulated=build.emulated or verdict.emulated,
        verdict=verdict,
        steps=step_table(verdict.step_documents),
        findings=build.findings,
        hef_bytes=build.hef_bytes,
    )
