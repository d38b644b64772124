"""``hef tune``: build a model in several ways, judge each, and say which one to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.arguments import (  # noqa: TC001 (typer reads them)
    Cluster,
    Engine,
    Json,
    Toolchain,
    Verbose,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.cli.tune_search import Wish
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.tune.tuning import BestTrial, Trial, Variant
    from orchestrator.project.loading import LoadedRecipe


ArchOption = Annotated[
    str | None, typer.Option("--arch", help="Chip; default: the device's, else the recipe's first.")
]
TryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--try",
        metavar="KEY=A,B",
        help="Values for a key of the recipe, such as level=0,1,2; several are combined.",
    ),
]
AlsoOption = Annotated[
    list[str] | None,
    typer.Option(
        "--also",
        metavar="KEY=A,B",
        help="Let the search choose among these, too: calibration.source, parser.end_nodes, "
        "preprocessing.size and other keys of the recipe.",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Run and time each variant there: name, user@host, or embedded."),
]
MinutesOption = Annotated[
    float | None, typer.Option("--minutes", min=0.1, help="Stop the search after so long.")
]
CompilesOption = Annotated[
    int, typer.Option("--compiles", min=1, help="How many of the best points are compiled.")
]
HoursOption = Annotated[
    float, typer.Option("--hours", min=0.0, help="Longest training on a CPU that may start.")
]
AtMostOption = Annotated[
    int, typer.Option("--at-most", min=2, help="More variants than this are refused.")
]


def register(app: typer.Typer) -> None:
    """Add ``tune`` to the application."""
    app.command("tune", epilog="Example: hef tune digits --try level=0,1,2 --try count=64,1024")(
        _tune
    )


def _tune(
    model: Annotated[
        str | None, typer.Argument(help="Model by name or folder; default: the only one there is.")
    ] = None,
    arch: ArchOption = None,
    tries: TryOption = None,
    also: AlsoOption = None,
    device: DeviceOption = None,
    engine: Engine = None,
    toolchain: Toolchain = None,
    cluster: Cluster = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Points that the search tries.")
    ] = 12,
    minutes: MinutesOption = None,
    compiles: CompilesOption = 3,
    hours: HoursOption = 1.0,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write what is kept into the recipe.")
    ] = False,
    simple: Annotated[
        bool, typer.Option("--simple", help="Compare a few levels only, without a search.")
    ] = False,
    at_most: AtMostOption = 12,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Search for the settings that keep most accuracy. Says what to write into the recipe.

    The network is analysed; 16 bits for its worst layers, levels, AdaRound, fine-tunes and more
    are tried on the quantised network, judged on the held-out samples, and the best are compiled;
    with --device run on the chip, with its rate. Ctrl-C stops; the same command goes on later.
    With --try, every combination of the values given is built instead.
    """
    from orchestrator.cli.tune_search import Wish, run_search
    from orchestrator.errors import ConfigError

    if also and (tries or simple):
        msg = "--also is for the search: leave out --try and --simple"
        raise ConfigError(msg, code="usage")
    wish = Wish(
        model=model,
        arch=arch,
        device=device,
        engine=engine,
        toolchain=toolchain,
        trials=trials,
        minutes=minutes,
        compiles=compiles,
        hours=hours,
        apply=apply,
        cluster=cluster,
        also=tuple(also or ()),
    )
    if tries or simple or not _can_search():
        _compare(wish, tries or [], at_most, verbose=verbose, as_json=as_json)
    else:
        run_search(wish, verbose=verbose, as_json=as_json)


def _compare(wish: Wish, tries: list[str], at_most: int, *, verbose: bool, as_json: bool) -> None:
    """Build each combination of ``tries`` (without any: a few levels), print which one to keep."""
    from orchestrator.cli.output import emit_json
    from orchestrator.cli.tune_search import opened
    from orchestrator.errors import ConfigError, ExitCode
    from orchestrator.pipeline.tune import tuning

    with opened(wish, verbose=verbose) as (session, loaded):
        chosen = tuning.asked_variants(tries) if tries else tuning.usual_variants(loaded.recipe)
        if len(chosen) > at_most:
            msg = f"--try: that makes {len(chosen)} variants, more than {at_most}"
            raise ConfigError(msg, hint=f"Try less, or say --at-most {len(chosen)}.")
        built = _try(session, loaded, wish, chosen, wider=not tries)
    choice = tuning.choose(built)
    document = _document(loaded.name, built, choice)
    if as_json:
        emit_json(document)
    else:
        _print(document, str(loaded.document.path))
    if wish.apply and choice is not None and choice.trial.variant.changes:
        from orchestrator.project.amend import amend

        amend(loaded.document.path, choice.trial.variant.changes)
    if choice is None:
        raise typer.Exit(int(ExitCode.STAGE_FAILED))
    if not choice.trial.passed:
        raise typer.Exit(int(ExitCode.VERDICT))


def _can_search() -> bool:
    """Say whether the library of the search is there; one line tells how to get it if not."""
    from importlib.util import find_spec

    from orchestrator.cli.output import note
    from orchestrator.installation import install_command

    if find_spec("optuna") is not None:
        return True
    note(f"comparing a few levels; the search needs optuna: {install_command('tune')}")
    return False


def _try(
    session: BuildSession,
    loaded: LoadedRecipe,
    wish: Wish,
    variants: Sequence[Variant],
    *,
    wider: bool,
) -> list[Trial]:
    from orchestrator.cli.tune_search import trial_workers
    from orchestrator.pipeline.proof import Prover
    from orchestrator.pipeline.tune import tuning

    with Prover(session) as prover, trial_workers(session, wish.cluster) as workers:
        chip = prover.archs(loaded, [wish.arch] if wish.arch else None)[0]
        folder = session.artifacts / loaded.name / ".tune" / chip
        on_device = session.settings.text("device") is not None
        device = prover.session(chip) if on_device else None
        runner = tuning.TrialRunner(session, loaded, chip, folder, device, workers)
        runner.check(variants)
        trials = list(runner.try_all(variants))
        best = tuning.choose(trials) if wider else None
        more = tuning.wider_outputs(best.trial.variant, loaded.recipe) if best else None
        if more is not None:
            trials += runner.try_all([more])
    return trials


def _document(model: str, trials: Sequence[Trial], choice: BestTrial | None) -> dict[str, object]:
    """Return what was found as JSON values."""
    from orchestrator.reading import plain_values

    entries: list[dict[str, object]] = []
    for trial in trials:
        entry = _trial(trial)
        twin = (one for one in entries if entry["hef"] and one["hef"] == entry["hef"])
        entry["same_hef_as"] = next((str(one["name"]) for one in twin), None)
        entries.append(entry)
    built = next((trial.build for trial in trials if trial.build is not None), None)
    kept = choice.trial if choice is not None else None
    return {
        "model": model,
        "arch": built.arch if built is not None else None,
        "emulated": any(trial.verdict is not None and trial.verdict.emulated for trial in trials),
        "samples": next((t.verdict.samples for t in trials if t.verdict is not None), 0),
        "variants": plain_values(entries),
        "keep": None if kept is None else kept.variant.name,
        "measure": None if choice is None else choice.measure,
        "lead": None if choice is None else choice.lead,
        "recipe": None if kept is None else dict(kept.variant.lines),
    }


def _trial(trial: Trial) -> dict[str, object]:
    build = trial.build
    hef = None
    if build is not None:
        hef = next((one for one in build.summary["files"] if one["role"] == "hef"), None)
    return {
        "name": trial.variant.name,
        "changes": dict(trial.variant.changes),
        "ran": dict(build.summary["ran"]) if build is not None else None,
        "measures": dict(trial.measures),
        "passed": trial.passed if trial.error is None else None,
        "headline": trial.verdict.headline if trial.verdict is not None else None,
        "error": trial.error,
        "hef": {"sha256": hef["sha256"], "bytes": hef["bytes"]} if hef else None,
        "fps": trial.fps,
        "latency_ms": trial.latency_ms,
        "watts": trial.watts,
        "seconds": round(trial.seconds, 3),
        "folder": str(build.folder) if build is not None else None,
    }


def _print(document: Mapping[str, Any], file: str) -> None:
    from orchestrator.cli.measures import SHOWN, measure_text
    from orchestrator.cli.output import print_result
    from orchestrator.cli.summary import columns, painter, size_text
    from orchestrator.errors import escape_control

    paint = painter()
    title = f"{document['model']} for {document['arch']}, {document['samples']} samples"
    if document["emulated"]:
        title += "  EMULATED: made without Hailo's compiler, no measure of a chip"
    variants = document["variants"]
    names = [name for name in SHOWN if any(name in one["measures"] for one in variants)]
    fps = ["FPS"] if any(one["fps"] for one in variants) else []
    rows = [["variant", "level run", *names, "HEF", *fps, "time", "verdict"]]
    for one in variants:
        built = one["error"] is None
        level = (one["ran"] or {}).get("level_run")
        cells = [measure_text(name, one["measures"].get(name)) if built else "" for name in names]
        rows.append(
            [
                escape_control(one["name"]) + (" *" if one["name"] == document["keep"] else ""),
                "-" if level is None else str(level),
                *cells,
                size_text(one["hef"]["bytes"]) if one["hef"] else "-",
                *([f"{one['fps']:.0f}" if one["fps"] else "-"] if fps else []),
                f"{one['seconds']:.1f} s",
                "no build" if not built else "passed" if one["passed"] else "failed",
            ]
        )
    lines = [paint("bold", title), *columns(rows, paint, numbers=True), ""]
    lines += [
        paint("yellow", f"{one['name']}: {escape_control(one['error'])}")
        for one in variants
        if one["error"]
    ]
    lines += [
        f"note     the HEF of {one['name']} is that of {one['same_hef_as']}"
        for one in variants
        if one["same_hef_as"]
    ]
    lines += _advice(document, file)
    print_result("\n".join(line.rstrip() for line in lines))


def _advice(document: Mapping[str, Any], file: str) -> list[str]:
    """Return what to do now."""
    from orchestrator.cli.measures import measure_text
    from orchestrator.report.model import MEASURE_TITLES

    if document["keep"] is None:
        return ["keep     nothing: no variant could be built"]
    kept = next(one for one in document["variants"] if one["name"] == document["keep"])
    if not document["recipe"]:
        lines = ["keep     the recipe as it is: no variant is better by more than chance"]
    else:
        import yaml

        measure = document["measure"]
        value = measure_text(measure, kept["measures"].get(measure))
        lines = [f"keep     {document['keep']}: {MEASURE_TITLES[measure]} {value}"]
        lines.append(f"write    into {file}:")
        text = yaml.safe_dump(document["recipe"], sort_keys=False, default_flow_style=None)
        lines += [f"         {line}" for line in text.splitlines()]
    if not kept["passed"]:
        lines.append(f"note     {kept['headline']}")
    return lines
