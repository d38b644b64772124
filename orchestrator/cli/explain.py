"""``hef explain``: what a log says about what ran, what went wrong, and what to do."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.output import emit_json, print_result, screen_width
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from orchestrator.contact_report import ContactReport
    from orchestrator.diagnose.finding import Diagnosis, Ran

_EXAMPLE = (
    "Example: hef explain artifacts/digits/hailo8l/run.log   or: hailomz ... 2>&1 | hef explain -"
)


def register(app: typer.Typer) -> None:
    """Add ``explain`` to the application."""

    @app.command(epilog=_EXAMPLE)
    def explain(
        logs: Annotated[
            list[Path], typer.Argument(metavar="LOG...", help="Log files; - is standard input.")
        ],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Explain any log of Hailo's tools, docker, pip, scp or dmesg; also ones made without us.

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
                    print_result(escape_control(line))
            return
        ran, findings, notable = explain_logs(logs, sys.stdin.buffer)
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
            print_result(line)
        for finding in findings:
            print_result("")
            for line in _paragraph(finding):
                print_result(line)
        if not findings:
            print_result("")
            print_result("Nothing known was found in it.")
        if notable and all(one.severity in {"unknown", "info"} for one in findings):
            print_result("These lines are most likely to matter:")
            for number, file, text in notable:
                where = f"{escape_control(file)}, line {number}" if file else f"line {number}"
                print_result(f"  {where}: {escape_control(text[:300])}")


def _summary(ran: Ran) -> list[str]:
    """Return what ran, one fact a line; what the log does not say is left out."""
    outcome = {
        "ok": "it ended well",
        "failed": "it failed",
        "unknown": "the log does not show an end; it may have been cut off",
    }[ran.outcome]
    lines = [f"outcome   {outcome}"]
    if ran.step is not None:
        state = "" if ran.step_done else " (its end is not in the log)"
        lines.append(f"reached   {escape_control(ran.step)}{state}")
    if ran.level_run is not None or ran.level_asked is not None:
        asked = "not said" if ran.level_asked is None else ran.level_asked
        lines.append(
            f"level     {'?' if ran.level_run is None else ran.level_run} (asked: {asked})"
        )
    if ran.images_used is not None or ran.images_given is not None:
        given = "not said" if ran.images_given is None else ran.images_given
        used = "?" if ran.images_used is None else ran.images_used
        lines.append(f"images    {used} used (given: {given})")
    if ran.gpu is not None:
        lines.append(f"ran on    {'a GPU' if ran.gpu else 'the CPU'}")
    if ran.contexts is not None:
        lines.append(f"contexts  {ran.contexts}")
    for layer, decibels in ran.snr.items():
        lines.append(f"SNR       {decibels:g} dB  {escape_control(layer)}")
    for name, values in (
        ("skipped", ran.skipped),
        ("4-bit", ran.four_bit_layers),
        ("not 16-bit", ran.demoted_layers),
    ):
        if values:
            lines.append(f"{name:<9} {escape_control(', '.join(values))}")
    if ran.versions:
        shown = ", ".join(f"{name} {version}" for name, version in ran.versions.items())
        lines.append(f"versions  {escape_control(shown)}")
    return lines


def _paragraph(finding: Diagnosis) -> list[str]:
    where = f"line {finding.line}" if finding.line else "over the whole log"
    if finding.file:
        where = f"{escape_control(finding.file)}, {where}"
    state = "got over it" if finding.recovered else finding.severity
    lines = [f"{finding.id}  {state}, {finding.stage}, {where} (up to: {finding.fault})"]
    if finding.text:
        lines.append(f"  > {escape_control(finding.text[:300])}")
    lines.append(f"  why:  {escape_control(finding.cause)}")
    if finding.severity == "possible" and finding.confirm:
        lines.append(f"  sure, if:  {escape_control(finding.confirm)}")
    lines.append(f"  do:   {escape_control(finding.remedy)}")
    if finding.recipe:
        lines.append("  in the recipe:")
        lines.extend(f"    {escape_control(line)}" for line in finding.recipe.splitlines())
    lines.extend(f"  see:  {source}" for source in finding.sources if source.startswith("http"))
    return lines


def _contact_report(path: Path) -> ContactReport | None:
    """Return the report of a contact test, ``None`` for any other file."""
    from orchestrator.contact_report import read
    from orchestrator.reading import open_regular

    if path.suffix != ".json":
        return None
    with open_regular(path) as stream:
        return read(stream.read(1 << 20).decode("utf-8", "replace"))
