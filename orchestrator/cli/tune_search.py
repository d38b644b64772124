"""The search of ``hef tune`` on the command line: analysis, points, finalists, what to keep."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.matrix.trials import TrialWorkers
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.tune.candidates import Space
    from orchestrator.pipeline.tune.search import Found, Point
    from orchestrator.pipeline.tune.tuning import BestTrial, Trial
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch

PAGE = "tune.html"


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    model: str | None
    arch: str | None
    device: str | None
    engine: str | None
    toolchain: str | None
    trials: int
    minutes: float | None
    compiles: int
    hours: float
    apply: bool
    cluster: str | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a search: the points, those that were compiled, and which one to keep."""

    analysis: Build
    space: Space
    found: Found
    trials: tuple[Trial, ...]
    choice: BestTrial | None
    page: Path


@contextmanager
def opened(wish: Wish, *, verbose: bool) -> Iterator[tuple[BuildSession, LoadedRecipe]]:
    """Open the session for what is wished, and the recipe that it is about."""
    from orchestrator.cli.display import open_display
    from orchestrator.cli.up import make_session

    flags = {"engine": wish.engine, "toolchain": wish.toolchain, "device": wish.device}
    with (
        open_display(verbose=verbose) as display,
        make_session(flags, observer=display) as session,
    ):
        yield session, session.recipe(wish.model or session.workspace.unnamed_model())


def run_search(wish: Wish, *, verbose: bool, as_json: bool) -> None:
    """Search, print what was found, and end with the code that fits."""
    from orchestrator.cli.output import emit_json
    from orchestrator.errors import ExitCode
    from orchestrator.pipeline.tune.tuning import applied as applied_to
    from orchestrator.pipeline.tune.tuning import asked_variants

    with opened(wish, verbose=verbose) as (session, loaded):
        for variant in asked_variants(wish.also, "--also"):
            applied_to(loaded, variant)  # wrong values end the command before anything runs
        outcome = _search(session, loaded, wish)
    document = _document(loaded.name, outcome)
    kept = outcome.choice.trial if outcome.choice is not None else None
    applied = bool(wish.apply and kept is not None and kept.variant.changes)
    if applied and kept is not None:
        from orchestrator.project.amend import amend

        amend(loaded.document.path, kept.variant.changes)
    if as_json:
        emit_json({**document, "applied": applied})
    else:
        _print(document, str(loaded.document.path), applied=applied)
    if outcome.found.stopped == "interrupted":
        raise typer.Exit(int(ExitCode.INTERRUPTED))
    if outcome.choice is None:
        raise typer.Exit(int(ExitCode.STAGE_FAILED))
    if not outcome.choice.trial.passed:
        raise typer.Exit(int(ExitCode.VERDICT))


def _search(session: BuildSession, loaded: LoadedRecipe, wish: Wish) -> Outcome:
    import json

    from orchestrator.files import write_atomic
    from orchestrator.pipeline.analysing import analyse
    from orchestrator.pipeline.finished.comparing import TUNED
    from orchestrator.pipeline.proof import Prover
    from orchestrator.pipeline.tune import tuning
    from orchestrator.pipeline.tune.search import Budget, SearchContext, Searcher

    with Prover(session) as prover, trial_workers(session, wish.cluster) as workers:
        chip: Arch = prover.archs(loaded, [wish.arch] if wish.arch else None)[0]
        folder = session.artifacts / loaded.name / ".tune" / chip
        build, analysis = analyse(session, loaded, chip)
        space = _space(session, loaded, build, analysis, wish)
        for note in space.notes:
            session.observer.note(note)
        samples = int(build.summary["stages"]["analyze"]["result"]["samples"])
        context = SearchContext(session, loaded, chip, folder, space, analysis, samples, workers)
        found = Searcher(context).search(Budget(wish.trials, wish.minutes, wish.compiles))
        trials: list[Trial] = []
        if found.stopped != "interrupted":
            on_device = session.settings.text("device") is not None
            device = prover.session(chip) if on_device else None
            runner = tuning.TrialRunner(session, loaded, chip, folder, device, workers)
            points = finalists(found, wish.compiles)
            trials = list(runner.try_all([point.variant for point in points]))
        choice = tuning.choose(trials)
    page = folder / PAGE
    outcome = Outcome(build, space, found, tuple(trials), choice, page)
    write_atomic(page, _page(loaded.name, outcome))
    # Two searches, or what one kept and the build, are compared by this.
    text = json.dumps(_document(loaded.name, outcome), indent=1) + "\n"
    write_atomic(folder / TUNED, text)
    return outcome


@contextmanager
def trial_workers(session: BuildSession, address: str | None) -> Iterator[TrialWorkers | None]:
    """Open the workers of a cluster for trials, ``None`` where there is no cluster."""
    if address is None:
        yield None
        return
    from orchestrator.pipeline.matrix.trials import TrialWorkers

    with TrialWorkers(session, address) as workers:
        yield workers


def _space(
    session: BuildSession, loaded: LoadedRecipe, build: Build, analysis: Any, wish: Wish
) -> Space:
    from hefsmith_worker.contract.layout import HEAD

    from orchestrator.pipeline.tune.candidates import make_space
    from orchestrator.reading import read_json

    try:
        head = read_json(build.folder / HEAD)
    except (OSError, ValueError):
        head = {}
    calibrated = build.summary["stages"].get("optimize", {}).get("result", {})
    pictures = int(calibrated.get("images_given") or loaded.recipe.calibration.count)
    free = build.emulated or session.settings.text("gpu") == "on"
    return make_space(
        loaded.recipe,
        analysis,
        head,
        build.arch,
        pictures=pictures,
        hours=None if free else wish.hours,
        also=_also(session, loaded, wish.also),
    )


def _also(
    session: BuildSession, loaded: LoadedRecipe, asked: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Return further changes by name: those asked for, and the set that calib analyze chose."""
    from orchestrator.files import relative
    from orchestrator.pipeline.tune import tuning

    variants = tuning.asked_variants(asked, "--also")[1:] if asked else ()
    found = {variant.name: dict(variant.changes) for variant in variants}
    listed = session.workspace.calibration / f"{loaded.name}-chosen.txt"
    count = _lines_of(listed)
    if count >= loaded.recipe.calibration.minimum:
        source = relative(listed, loaded.folder)
        if loaded.recipe.calibration.source != source:
            changes: dict[str, object] = {"calibration.source": source, "calibration.count": count}
            found[f"the {count} chosen pictures"] = changes
    return found


def _lines_of(listed: Path) -> int:
    from orchestrator.reading import read_text

    try:
        lines = read_text(listed).splitlines()
    except (OSError, ValueError):
        return 0
    return sum(1 for line in lines if line.strip() and not line.startswith("#"))


def finalists(found: Found, count: int) -> list[Point]:
    """Return the points that are worth a compile: the recipe as it is, the best, the front."""
    from orchestrator.pipeline.tune.candidates import Choice
    from orchestrator.pipeline.tune.search import front_of

    whole = found.whole
    chosen = [one for one in whole if one.choice == Choice()]
    best = found.best
    front = front_of(whole)
    for one in ([best] if best is not None else []) + front[::-1]:
        if one not in chosen:
            chosen.append(one)
    return chosen[: max(count, 1)] if best in chosen[: max(count, 1)] else chosen[:2]


def _document(model: str, outcome: Outcome) -> dict[str, Any]:
    from orchestrator.pipeline.tune.tuning import front
    from orchestrator.reading import plain_values

    found, kept = outcome.found, outcome.choice
    best = front(outcome.trials)
    compiled = [
        {
            "name": trial.variant.name,
            "measures": dict(trial.measures),
            "passed": trial.passed if trial.error is None else None,
            "error": trial.error,
            "hef_bytes": None if trial.build is None else trial.build.hef_bytes,
            "fps": trial.fps,
            "latency_ms": trial.latency_ms,
            "watts": trial.watts,
            "front": trial in best if best else None,
            "folder": str(trial.build.folder) if trial.build is not None else None,
        }
        for trial in outcome.trials
    ]
    document = {
        "model": model,
        "arch": outcome.analysis.arch,
        "emulated": outcome.analysis.emulated,
        "samples": int(outcome.analysis.summary["stages"]["analyze"]["result"]["samples"]),
        "measure": found.measure,
        "float": found.ideal,
        "stopped": found.stopped,
        "notes": list(outcome.space.notes),
        "grid": outcome.space.size,
        "points": [point.to_json() for point in found.points],
        "compiled": compiled,
        "keep": None if kept is None else kept.trial.variant.name,
        "lead": None if kept is None else kept.lead,
        "changes": None if kept is None else dict(kept.trial.variant.changes),
        "recipe": None if kept is None else dict(kept.trial.variant.lines),
        "page": str(outcome.page),
    }
    return dict(plain_values(document))


def _page(model: str, outcome: Outcome) -> str:
    from orchestrator.cli.measures import measure_text
    from orchestrator.cli.summary import size_text
    from orchestrator.pipeline.tune.search import front_of
    from orchestrator.report.front import Dot, SearchPage, render_search
    from orchestrator.report.model import MEASURE_TITLES

    found = outcome.found
    front = front_of(found.whole)
    compiled = {trial.variant.name: trial for trial in outcome.trials if trial.error is None}
    kept = outcome.choice.trial.variant.name if outcome.choice is not None else None
    dots = []
    for point in found.points:
        value = point.measures.get(found.measure)
        if point.error is not None or value is None:
            continue
        trial = compiled.get(point.variant.name)
        size = trial.build.hef_bytes if trial is not None and trial.build is not None else None
        dots.append(
            Dot(
                name=point.variant.name,
                cost=point.cost.arithmetic,
                value=value,
                cells=(
                    measure_text(found.measure, value) + (" *" if point.dropped else ""),
                    measure_text("snr_db", point.measures.get("snr_db")),
                    str(point.samples),
                    f"{point.cost.weight_bytes / 1000:.1f} kB",
                    f"{point.cost.arithmetic:.3f}",
                    size_text(size) if size else "-",
                    f"{trial.fps:.0f}" if trial is not None and trial.fps else "-",
                    f"{trial.latency_ms:.1f}" if trial is not None and trial.latency_ms else "-",
                    f"{trial.watts:.2f}" if trial is not None and trial.watts else "-",
                ),
                front=point in front,
                kept=point.variant.name == kept,
                compiled=trial is not None,
                part=point.dropped,
            )
        )
    emulated = "Emulated: no number here is a measurement of a chip. " if (
        outcome.analysis.emulated
    ) else ""  # fmt: skip
    return render_search(
        SearchPage(
            title=f"Search for {model} on {outcome.analysis.arch}",
            note=f"{emulated}Stopped: {found.stopped}. A star: dropped early, on some samples.",
            measure=MEASURE_TITLES.get(found.measure, found.measure).capitalize(),
            cost_title="arithmetic (1 = all in 8 bits; 16 bits reckoned as 1.5)",
            dots=dots,
            heads=(
                "accuracy", "SNR (dB)", "samples", "weights", "arithmetic", "HEF", "FPS",
                "latency (ms)", "power (W)",
            ),
            lines=_lines(None if outcome.choice is None else outcome.choice.trial.variant.lines),
            ideal=found.ideal,
            percent=found.measure not in ("metric", "keypoint_distance"),
            failed=[(p.variant.name, p.error) for p in found.points if p.error is not None],
            compiles=len(outcome.trials),
            grid=outcome.space.size,
        )
    )  # fmt: skip


def _lines(recipe: Any) -> str:
    import yaml

    if not recipe:
        return "Nothing: the recipe stays as it is."
    return yaml.safe_dump(dict(recipe), sort_keys=False, default_flow_style=False, width=4096)


def _print(document: dict[str, Any], file: str, *, applied: bool) -> None:
    from orchestrator.cli.measures import measure_text
    from orchestrator.cli.output import print_result
    from orchestrator.cli.summary import columns, painter, size_text
    from orchestrator.errors import escape_control
    from orchestrator.report.model import MEASURE_TITLES

    paint, measure = painter(), document["measure"]
    title = f"{document['model']} for {document['arch']}, {document['samples']} samples"
    if document["emulated"]:
        title += "  EMULATED: no measure of a chip"
    rows = [["tried", MEASURE_TITLES.get(measure, measure).split(" (")[0], "SNR", "arithmetic"]]
    for one in document["points"]:
        name = escape_control(one["name"])
        rows.append(
            [
                (name if len(name) <= 44 else name[:41] + "...")
                + (" *" if one["name"] == document["keep"] else ""),
                "no build" if one["error"] else measure_text(measure, one["measures"].get(measure))
                + (" (part)" if one["dropped"] else ""),
                measure_text("snr_db", one["measures"].get("snr_db")) if not one["error"] else "",
                f"{one['arithmetic']:.3f}",
            ]
        )  # fmt: skip
    lines = [paint("bold", title), *columns(rows, paint, numbers=True), ""]
    if document["float"] is not None:
        lines.append(f"float    {measure_text(measure, document['float'])}")
    lines.append(
        f"stopped  {document['stopped']}: {len(document['points'])} tried, "
        f"{len(document['compiled'])} compiled, {document['grid']} in the grid"
    )
    for one in document["compiled"]:
        size = size_text(one["hef_bytes"]) if one["hef_bytes"] else "no HEF"
        rate = f", {one['fps']:.0f} FPS" if one["fps"] else ""
        rate += f", {one['latency_ms']:.1f} ms" if one["latency_ms"] else ""
        rate += f", {one['watts']:.2f} W" if one["watts"] else ""
        rate += ", none is as good and faster" if one["front"] else ""
        lines.append(f"compiled {escape_control(one['name'])}: {size}{rate}")
    lines += [f"note     {note}" for note in document["notes"]]
    if document["stopped"] == "interrupted":
        lines.append(f"go on    with the same command: hef tune {document['model']}")
    elif document["keep"] is None:
        lines.append("keep     nothing: no variant could be built")
    elif not document["recipe"]:
        lines.append("keep     the recipe as it is: nothing is better by more than chance")
    else:
        lines.append(f"keep     {escape_control(document['keep'])}")
        lines.append(f"written  into {file}:" if applied else f"write    into {file}, or --apply:")
        lines += [f"         {line}" for line in _lines(document["recipe"]).splitlines()]
    lines.append(f"page     {document['page']}")
    print_result("\n".join(line.rstrip() for line in lines))
