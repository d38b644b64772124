"""``hef doctor``: what is wrong with this machine, its engine or a device, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.diagnose.doctor.checks import Result


#: Where a check looks.
_GROUP_TITLES = {
    "host": "this machine",
    "engine": "engine",
    "toolchain": "toolchains",
    "device": "device",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: hef doctor --device kitchen --json")(doctor)


def doctor(
    device: Annotated[str | None, typer.Option("--device", help="Look at this device too.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="Another engine than the project's.")
    ] = None,
    as_json: Json = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what is well, too.")
    ] = False,
) -> None:
    """Check this machine, the engine and the Pi. Says why it matters and how to fix it.

    Ends with status 3 if something of the engine, 4 if something of the device, and 2 if
    something else makes builds impossible.
    """
    from pathlib import Path

    from orchestrator.cli.output import emit_json
    from orchestrator.diagnose.doctor import checks_engine, checks_host, facts
    from orchestrator.diagnose.doctor.checks import run_checks

    results = [*run_checks(checks_host.CHECKS, facts.collect_host())]
    found = facts.collect_engine(engine or _project_engine(), named_engines())
    results += run_checks(checks_engine.ENGINE_CHECKS, found)
    toolchains = facts.collect_toolchains(Path.cwd())
    results += run_checks(checks_engine.TOOLCHAIN_CHECKS, toolchains)
    if device is not None:
        results += device_results(device)
    code = exit_code(results)
    if as_json:
        emit_json({"ok": code == 0, "results": [one.as_json() for one in results]})
    else:
        _print(results, verbose=verbose)
    raise typer.Exit(code)


def exit_code(results: Sequence[Result]) -> int:
    """Return 0, or the status of the worst group that has an error."""
    from hefsmith_worker.contract.findings import ERROR

    from orchestrator.errors import ExitCode

    bad = {one.group for one in results if one.finding.severity == ERROR}
    for group, code in (
        ("engine", ExitCode.ENGINE),
        ("device", ExitCode.DEVICE),
        ("toolchain", ExitCode.USAGE),
        ("host", ExitCode.USAGE),
    ):
        if group in bad:
            return int(code)
    return 0


def device_results(name: str) -> tuple[Result, ...]:
    """Return what the checks of devices say of one device, or of a group of them."""
    from orchestrator.cli.devices import choose_devices
    from orchestrator.diagnose.doctor import checks_device
    from orchestrator.diagnose.doctor.checks import Result, error, run_checks
    from orchestrator.errors import DeviceError

    results: list[Result] = []
    for spec in choose_devices([name]):
        try:
            results += run_checks(checks_device.CHECKS, checks_device.collect(spec))
        except DeviceError as problem:
            finding = error(problem.message, "nothing can be shipped to it", problem.hint or "")
            results.append(Result("device.reached", "device", "connection", finding))
    return tuple(results)


def named_engines() -> dict[str, str]:
    """Return the engines that have names in ``hef.yaml``, where its user may name them."""
    from orchestrator.pipeline.trusting import own_engines
    from orchestrator.project.workspace import open_workspace

    return own_engines(open_workspace())


def _project_engine() -> str | None:
    from orchestrator.errors import ConfigError
    from orchestrator.pipeline.trusting import check_settings
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    settings = resolve(workspace)
    try:
        check_settings(workspace, settings)
    except ConfigError:
        return None  # a stranger's: nobody is asked in its name
    return settings.text("engine")


def _print(results: Sequence[Result], *, verbose: bool) -> None:
    from hefsmith_worker.contract.counting import counted
    from hefsmith_worker.contract.findings import ERROR, INFO, OK, WARNING

    from orchestrator.cli.output import print_result
    from orchestrator.errors import escape_control
    from orchestrator.language import told

    marks = {OK: "ok", INFO: "info", WARNING: told("warning"), ERROR: told("error").upper()}
    group = None
    for one in results:
        if one.group != group:
            group = one.group
            print_result(f"{told(_GROUP_TITLES[group])}:")
        finding = one.finding
        found = " / ".join(escape_control(line) for line in told(finding.message).splitlines())
        print_result(f"  {marks[finding.severity]:<8}{told(one.title)}: {found}")
        if finding.severity == OK or (finding.severity == INFO and not verbose):
            continue
        if finding.why:
            print_result(f"          {told('why')}: {told(finding.why)}")
        title = f"{told('fix')}:"
        for line in told(finding.fix).splitlines():
            print_result(f"          {title} {line}")
            title = " " * len(title)
    errors = sum(one.finding.severity == ERROR for one in results)
    warnings = sum(one.finding.severity == WARNING for one in results)
    counts = (
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(len(results), "check"),
    )
    print_result(", ".join(map(told, counts)))
