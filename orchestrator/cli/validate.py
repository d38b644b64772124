"""``hef validate``: the golden samples on the device, and the verdict on every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Arch, Device, Json, Model  # noqa: TC001 (typer reads them)

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.report import Verdict


def register(app: typer.Typer) -> None:
    """Add ``validate`` to the application."""
    app.command("validate", epilog="Example: hef validate digits --device pi5")(_validate)


def _validate(
    model: Model,
    device: Device = None,
    arch: Arch = None,
    api: Annotated[
        str, typer.Option("--api", help="auto, infer_model, or vstreams (the older interface).")
    ] = "auto",
    native: Annotated[
        bool,
        typer.Option("--native-outputs", help="Read integers and de-quantise them ourselves."),
    ] = False,
    repeats: Annotated[
        int, typer.Option("--repeats", min=0, help="Runs of the first sample, to see noise.")
    ] = 5,
    as_json: Json = False,
) -> None:
    """Run the samples on the device and give the verdict. It names the step at fault."""
    from orchestrator.cli.output import emit_json, note
    from orchestrator.cli.proving import device_for, recipe_folder
    from orchestrator.errors import ConfigError, ExitCode, escape_control
    from orchestrator.pipeline.validation import validate_build

    if api not in ("auto", "infer_model", "vstreams"):
        msg = f"--api: no interface {escape_control(api)!r}"
        raise ConfigError(msg, hint="Interfaces: auto, infer_model, vstreams.")
    with device_for(model, arch, device) as (session, build, identity):
        emulated = " (emulated)" if identity.emulated or build.emulated else ""
        note(f"running {build.hef.name} on {session.spec.name}{emulated}")
        verdict = validate_build(
            session,
            build,
            api=api,  # type: ignore[arg-type]
            output_format="native" if native else "float32",
            repeats=repeats,
            recipe_folder=recipe_folder(model),
            on_progress=_progress(),
        )
    if as_json:
        document = {"model": build.model, "arch": build.arch, "device": session.spec.name}
        emit_json({**document, **verdict.to_json()})
    else:
        print_verdict(verdict)
    if not verdict.passed:
        raise typer.Exit(int(ExitCode.VERDICT))


def _progress() -> Callable[[int, int], None]:
    """Return a listener that says on stderr how far the samples are, once a second at most."""
    import time

    from orchestrator.cli.output import note

    said = time.monotonic()

    def hear(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 1.0:
            said = time.monotonic()
            note(f"  {done} of {total} samples")

    return hear


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict for people, on stdout."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from orchestrator.cli.measures import step_table
    from orchestrator.errors import escape_control
    from orchestrator.language import told

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    header, *rows = [[told(cell) for cell in row] for row in step_table(verdict.step_documents)]
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column(header[0])
    for name in header[1:]:
        table.add_column(name, justify="right")
    guilty = verdict.fault.step if verdict.fault is not None else None
    for report, row in zip(verdict.steps, rows, strict=True):
        table.add_row(*row, style="red" if report.step == guilty else "")
    console.print(table)
    colour = {"passed": "green", "unproven": "yellow"}.get(verdict.outcome, "red")
    console.print(
        Text(escape_control(told(verdict.headline)), style=f"bold {colour}"), soft_wrap=True
    )
    if verdict.checked:
        console.print(told(f"  the last step with outputs is {verdict.checked}:"), soft_wrap=True)
    for check in verdict.checks:
        mark = "ok  " if check.passed else "FAIL"
        console.print(Text(f"  {mark} {told(check.text)}"), soft_wrap=True)
    if verdict.fault is not None:
        console.print(Text(told("likely causes, most likely first:")))
        for number, cause in enumerate(verdict.fault.causes[:4], 1):
            known = f" [{cause.known}]" if cause.known else ""
            console.print(Text(f"  {number}. {told(cause.text)}{known}"), soft_wrap=True)
            if cause.evidence:
                seen = f"     {told('seen')}: {escape_control(told(cause.evidence))}"
                console.print(Text(seen), soft_wrap=True)
            console.print(Text(f"     {told('try')}:  {told(cause.advice)}"), soft_wrap=True)
    for text in verdict.notes:
        console.print(
            Text(f"{told('note')}: {escape_control(told(text))}", style="dim"), soft_wrap=True
        )
