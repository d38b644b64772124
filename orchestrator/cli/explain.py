"""``hef explain``: what a log says about what ran, what went wrong, and what to do."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)
from orchestrator.cli.output import emit_json, print_result, screen_width
from orchestrator.errors import escape_control
from orchestrator.language import told

if TYPE_CHECKING:
    from orchestrator.contact_report import ContactReport
    from orchestrator.diagnose.explain import Explained
    from orchestrator.diagnose.finding import Diagnosis, Ran

_EXAMPLE = (
    "Example: hef explain artifacts/digits/hailo8l/run.log   or: hailomz ... 2>&1 | hef explain -"
)


def register(app: typer.Typer) -> None:
    """Add ``explain`` to the application."""
    app.command("explain", epilog=_EXAMPLE)(explain)


def explain(
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="Log files; - is standard input.")
    ],
    as_json: Json = False,
) -> None:
    """Explain a log of Hailo's tools, docker, pip, scp or dmesg.

    Several files are read in the order given, as one story.
    """
    import sys

    from orchestrator.diagnose.explain import explain_logs

    if len(logs) == 1 and (report := _contact_report(logs[0])) is not None:
        from orchestrator.contact_report import as_text

        if as_json:
            emit_json(report.to_json())
        else:
            for line in as_text(report, screen_width()).splitlines():
                print_result(escape_control(line), quoted=True)
        return
    read = explain_logs(logs, sys.stdin.buffer)
    ran, findings, notable = read.ran, read.findings, read.notable
    if as_json:
        emit_json(
            {
                "ran": ran.as_json(),
                "findings": [finding.as_json() for finding in findings],
                "notable": [
                    {"line": line, "file": file, "text": text} for line, file, text in notable
                ],
            }
        )
        return
    for line in _summary(ran):
        print_result(line, quoted=True)
    for finding in findings:
        print_result("")
        for line in _paragraph(finding):
            print_result(line, quoted=True)
    if not findings:
        print_result("")
        print_result(told("Nothing known was found in it."))
        if not notable and (advice := _what_next(read)):
            print_result(advice)
    # In a run that ended well, what is named harmless is all that there is to it.
    settled = ran.outcome == "ok" and findings and all(one.severity == "info" for one in findings)
    if notable and not settled and all(one.severity in {"unknown", "info"} for one in findings):
        print_result(told("These lines are most likely to matter:"))
        for number, file, text in notable:
            line = told(f"line {number}")
            where = f"{escape_control(file)}, {line}" if file else line
            print_result(f"  {where}: {escape_control(text[:300])}", quoted=True)


def _what_next(read: Explained) -> str:
    """Return what to do where a log shows nothing; nothing where it says that all went well."""
    if read.empty:
        return told("It is empty. Take errors along, too: COMMAND 2>&1 | hef explain -")
    if read.strange:
        return told(
            "It is not a text file. Use hef inspect FILE for a HEF. If it is a picture of the "
            "screen, copy the text instead."
        )
    if read.ran.outcome == "ok":
        return ""
    return told("Give more of it: the command, and all that it printed (2>&1 takes errors along).")


#: How bad a finding is, whose part is to be changed: the words of JSON, and those of the screen.
_SEVERITY_TITLES = {
    "fatal": "error",
    "unknown": "error of unknown cause",
    "possible": "possible cause",
    "silent": "worse result, without an error",
    "warn": "warning",
    "info": "harmless",
}
_FAULT_TITLES = {
    "machine": "the machine",
    "model": "the model",
    "recipe": "the recipe or command",
    "vendor": "Hailo's software",
}


def _row(title: str, text: str) -> str:
    """Return one fact of the table at the top; both parts are in the user's language already."""
    return f"{title:<12}  {text}"


def _summary(ran: Ran) -> list[str]:
    """Return what ran, one fact a line; what the log does not say is left out."""
    ends = {
        "ok": told("it ended well"),
        "failed": told("it failed"),
        "unknown": told("the log does not show an end; it may have been cut off"),
    }
    stopped = told("it was stopped from the keyboard (Ctrl+C)")
    lines = [_row(told("outcome"), stopped if ran.stopped else ends[ran.outcome])]
    if ran.step is not None:
        state = "" if ran.step_done else f" ({told('its end is not in the log')})"
        lines.append(_row(told("reached"), f"{escape_control(ran.step)}{state}"))
    unsaid = told("not said")
    if ran.level_run is not None or ran.level_asked is not None:
        asked = unsaid if ran.level_asked is None else ran.level_asked
        run = "?" if ran.level_run is None else ran.level_run
        lines.append(_row(told("level"), told(f"{run} (asked: {asked})")))
    if ran.images_used is not None or ran.images_given is not None:
        given = unsaid if ran.images_given is None else ran.images_given
        used = "?" if ran.images_used is None else ran.images_used
        lines.append(_row(told("images"), told(f"{used} used (given: {given})")))
    if ran.gpu is not None:
        lines.append(_row(told("ran on"), told("the GPU") if ran.gpu else told("the CPU")))
    if ran.contexts is not None:
        lines.append(_row(told("contexts"), str(ran.contexts)))
    for layer, decibels in ran.snr.items():
        lines.append(_row("SNR", f"{decibels:g} dB  {escape_control(layer)}"))
    for name, values in (
        (told("skipped"), ran.skipped),
        (told("4-bit"), ran.four_bit_layers),
        (told("not 16-bit"), ran.demoted_layers),
    ):
        if values:
            lines.append(_row(name, escape_control(", ".join(values))))
    if ran.versions:
        shown = ", ".join(f"{name} {version}" for name, version in ran.versions.items())
        lines.append(_row(told("versions"), escape_control(shown)))
    return lines


def _paragraph(finding: Diagnosis) -> list[str]:
    where = told(f"line {finding.line}" if finding.line else "over the whole log")
    if finding.file:
        where = f"{escape_control(finding.file)}, {where}"
    state = told(_SEVERITY_TITLES[finding.severity])
    if finding.recovered:
        state = told("the run went on")
    # Nobody knows what to change where nobody knows the cause; a general entry tells what stopped
    # the program, and why only as far as the line does.
    title = None if finding.umbrella else _FAULT_TITLES.get(finding.fault)
    whose = f" ({told('to change')}: {told(title)})" if title else ""
    stage = "" if finding.stage == "unknown" else f"{finding.stage}, "
    lines = [f"{finding.id}  {state}, {stage}{where}{whose}"]
    if finding.text:
        lines.append(f"  > {escape_control(finding.text[:300])}")
    parts = [(told("what") if finding.umbrella else told("why"), finding.cause)]
    if finding.severity == "possible" and finding.confirm:
        parts.append((told("certain if"), finding.confirm))
    parts.append((told("fix"), finding.remedy))
    wide = max(5, *(len(title) for title, _ in parts))
    lines += [f"  {f'{title}:':<{wide}} {escape_control(told(text))}" for title, text in parts]
    if finding.recipe:
        lines.append(f"  {told('in the recipe')}:")
        lines.extend(f"    {escape_control(line)}" for line in finding.recipe.splitlines())
    sources = [source for source in finding.sources if source.startswith("http")]
    lines.extend(f"  {told('see')}: {source}" for source in sources)
    return lines


def _contact_report(path: Path) -> ContactReport | None:
    """Return the report of a contact test, ``None`` for any other file."""
    from orchestrator.contact_report import read
    from orchestrator.reading import open_regular

    if path.suffix != ".json":
        return None
    with open_regular(path) as stream:
        return read(stream.read(1 << 20).decode("utf-8", "replace"))
