"""``hef analyze``: what quantisation costs, layer by layer, and what would win it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import (  # noqa: TC001 (typer reads them)
    Engine,
    Json,
    Toolchain,
    Verbose,
)

if TYPE_CHECKING:
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.report.analysis import Analysis, Harm

#: Columns of a terminal that the reasons are folded to.
WIDTH = 80


def register(app: typer.Typer) -> None:
    """Add ``analyze`` to the application."""
    app.command("analyze", epilog="Example: hef analyze digits")(_analyze)


def _analyze(
    model: Annotated[
        str | None, typer.Argument(help="Model by name or folder; default: the only one there is.")
    ] = None,
    arch: Annotated[
        str | None, typer.Option("--arch", help="Chip; default: the recipe's first.")
    ] = None,
    worst: Annotated[int, typer.Option("--worst", min=1, help="How many layers to show.")] = 10,
    engine: Engine = None,
    toolchain: Toolchain = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make it anew, ignore the cache.")] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Show where quantisation loses accuracy, and what would help.

    The network is quantised as a build would, and each layer compared with the float one.
    Nothing is compiled.
    """
    from orchestrator.cli.display import open_display
    from orchestrator.cli.output import emit_json
    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.analysing import analyse
    from orchestrator.pipeline.archs import pick_archs
    from orchestrator.report.analysis import worst_layers

    flags = {"engine": engine, "toolchain": toolchain}
    with (
        open_display(verbose=verbose) as display,
        make_session(flags, observer=display, fresh=fresh) as session,
    ):
        loaded = session.recipe(model or session.workspace.unnamed_model())
        chip = pick_archs(loaded, arch)[0]
        build, found = analyse(session, loaded, chip)
    harms = worst_layers(found, build.arch, worst)
    if as_json:
        emit_json(_document(build, found, harms))
    else:
        _print(build, found, harms)


def _document(build: Build, found: Analysis, harms: tuple[Harm, ...]) -> dict[str, object]:
    from dataclasses import asdict

    from orchestrator.report.analysis import branch_notes

    return {
        "model": build.model,
        "arch": build.arch,
        "emulated": build.emulated,
        "toolchain": build.summary["toolchain"],
        "samples": found.samples,
        "bits": found.counts(),
        "weights": found.weights,
        "macs": found.macs,
        "outputs": [asdict(one) for one in found.outputs],
        "notes": list(branch_notes(found)),
        "worst": [harm.to_json() for harm in harms],
        "layers": [asdict(layer) for layer in found.layers],
        "findings": [finding.to_json() for finding in build.findings],
        "folder": str(build.folder),
    }


def _print(build: Build, found: Analysis, harms: tuple[Harm, ...]) -> None:
    import textwrap

    from orchestrator.cli.output import print_result
    from orchestrator.cli.summary import columns, painter
    from orchestrator.report.analysis import branch_notes, decibel_text

    paint = painter()
    title = f"{build.model} for {build.arch}, {found.samples} samples"
    if build.emulated:
        title += "  EMULATED: a generic 8-bit quantisation, not Hailo's"
    bits = ", ".join(f"{count} {mode}" for mode, count in found.counts().items())
    lines = [paint("bold", title), f"layers   {len(found.layers)}: {bits}", ""]
    rows = [["output", "role", "SNR (dB)"]]
    rows += [[one.stream, one.role or "-", decibel_text(one.snr_db)] for one in found.outputs]
    lines += [*columns(rows, paint), ""]
    for note in branch_notes(found):
        lines += textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
    if not harms:
        lines.append("The compiler told nothing of single layers.")
    rows = [["worst layers", "type", "bits", "alone (dB)", "SNR (dB)", "range"]]
    for harm in harms:
        one = harm.layer
        span = "-" if one.low is None or one.high is None else f"{one.low:.3g} .. {one.high:.3g}"
        ratios = (decibel_text(one.alone_db), decibel_text(one.snr_db))
        rows.append([one.short, one.type, one.precision, *ratios, span])
    lines += columns(rows, paint) if harms else []
    for harm in harms:
        if not harm.advice or (harm.layer.alone_db or 0.0) >= 40.0:
            continue
        lines += ["", paint("bold", harm.layer.short) + (f": {harm.why}" if harm.why else "")]
        for advice in harm.advice:
            lines += textwrap.wrap(
                f"{advice.text}: {advice.cost}",
                WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
            )
            if advice.line:
                lines.append(f"    {advice.line}")
    lines += ["", f"try      hef tune {build.model}   tries these, and measures what they bring"]
    print_result("\n".join(line.rstrip() for line in lines))
