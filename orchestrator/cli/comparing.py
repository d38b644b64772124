"""What ``hef report --compare`` and ``hef history`` print and write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.finished.history import Entry
    from orchestrator.report.comparison import Comparison, Row
    from orchestrator.report.trend import TrendPoint

COMPARED, TREND = "compare.html", "history.html"


def _artifacts() -> Path:
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    return resolve(workspace).artifacts_of(workspace)


# --- two builds ------------------------------------------------------------------------------


def print_comparison(
    names: tuple[str, str],
    arch: str | None,
    output: Path | None,
    form: str,
    *,
    show: bool,
    as_json: bool,
) -> None:
    """Compare two builds, write the page, and print what differs."""
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.cli.proving import recipe_folder
    from orchestrator.pipeline.finished.comparing import compare_builds, find_side
    from orchestrator.report.comparison import render_comparison

    artifacts = _artifacts()
    first, second = (find_side(artifacts, name, arch) for name in names)
    found, views = compare_builds(
        first, second, (recipe_folder(first[1].model), recipe_folder(second[1].model))
    )
    page = _written(
        output or _page_of(artifacts, first[1]),
        render_comparison(found, views),
        asked=output is not None or show,
    )
    if show and page is not None:
        typer.launch(page.resolve().as_uri())
    if as_json:
        emit_json({**found.to_json(), "page": None if page is None else str(page)})
    elif form == "md":
        print_result(_markdown(found), quoted=True)
    else:
        print_result("\n".join(_told(found, page)))


def _written(page: Path, text: str, *, asked: bool) -> Path | None:
    """Write a page, and return it; ``None``, which is told, where one may only look.

    What is printed is worth as much there. A page that somebody has asked for is another matter.
    """
    from orchestrator.cli.output import note
    from orchestrator.errors import escape_control
    from orchestrator.files import FORBIDDEN, write_atomic

    try:
        write_atomic(page, text)
    except OSError as error:
        if asked or error.errno not in FORBIDDEN:
            raise
        note(f"note: the page was not written: {escape_control(str(page.parent))} is read-only")
        return None
    return page


def _page_of(artifacts: Path, build: Build) -> Path:
    return artifacts / build.model / COMPARED


def _value(row: Row, value: float | None) -> str:
    from orchestrator.cli.measures import measure_text

    return measure_text(row.name, value) or "-"


def _told(found: Comparison, page: Path | None) -> list[str]:
    from orchestrator.cli.summary import columns, painter, size_text
    from orchestrator.language import told
    from orchestrator.report.comparison import ideals
    from orchestrator.report.model import SHORT_TITLES

    paint = painter()
    lines = [
        paint("bold", f"{letter}  {side.title} for {side.arch}")
        + ("  EMULATED" if side.emulated else "")
        + f"\n   {side.headline}"
        for letter, side in (("A", found.a), ("B", found.b))
    ]
    rows = [[told("measure"), told("float"), "A", "B", told("better")]]
    rows += [
        [
            told(SHORT_TITLES.get(row.name, row.name)),
            " / ".join(_value(row, one) for one in ideals(found, row.name)) or "-",
            _value(row, row.a),
            _value(row, row.b),
            row.better.upper(),
        ]
        for row in found.measures
    ]
    sizes = [size_text(side.hef_bytes) if side.hef_bytes else "-" for side in (found.a, found.b)]
    rows.append(["HEF", "-", *sizes, ""])
    lines += ["", *columns(rows, paint, numbers=True)]
    lines += [f"note     {told(note)}" for note in found.notes]
    lines += [f"set      {name}: {a} -> {b}" for name, a, b in found.settings]
    changed = [one for one in found.script if one[:1] in "+-" and one[:3] not in ("+++", "---")]
    lines += [f"script   {line}" for line in changed] or [f"script   {told('the same')}"]
    lines += [f"page     {page}"] if page is not None else []
    return [line.rstrip() for line in lines]


def _markdown(found: Comparison) -> str:
    from orchestrator.report.model import MEASURE_TITLES

    lines = [
        f"| | {_escaped(found.a.title)} | {_escaped(found.b.title)} |",
        "|---|---|---|",
        *(
            f"| {MEASURE_TITLES.get(row.name, row.name)} | {_value(row, row.a)} "
            f"| {_value(row, row.b)} |"
            for row in found.measures
        ),
        *(f"| {_escaped(name)} | {_escaped(a)} | {_escaped(b)} |" for name, a, b in found.settings),
    ]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    from orchestrator.report.markdown import plain

    return plain(text)


# --- over time -------------------------------------------------------------------------------


def print_history(model: str, arch: str | None, *, show: bool, as_json: bool) -> None:
    """Print every build of a model that is known, and write the chart."""
    from orchestrator.cli.output import emit_json, print_result, screen_width
    from orchestrator.cli.proving import recipe_folder
    from orchestrator.cli.summary import columns, painter
    from orchestrator.errors import ArtifactError, ConfigError
    from orchestrator.pipeline.finished.builds import read_build
    from orchestrator.pipeline.finished.history import entry_of, history_of
    from orchestrator.pipeline.validation import judge_build
    from orchestrator.project.recipe import MODEL_NAME
    from orchestrator.report.trend import drawn_measure, render_trend

    if not MODEL_NAME.match(model):
        from orchestrator.errors import escape_control

        msg = f"{escape_control(model)} is not the name of a model"
        raise ConfigError(msg, hint="hef history MODEL", code="usage")
    artifacts = _artifacts()
    entries = []
    for entry in history_of(artifacts, model, arch):
        build = read_build(Path(entry.folder))
        if entry.outcome is None and build is not None:
            try:
                verdict = judge_build(build, recipe_folder=recipe_folder(model), keep_trouble=True)
                entries.append(entry_of(build, entry.back, verdict.to_json()))
                continue
            except ArtifactError:
                pass  # its samples were too large to keep: the row says that nobody judged it
        entries.append(entry)
    measure = drawn_measure([dict(entry.measures) for entry in entries])
    heads = ("measure", "float", "SNR (dB)", "level", "pictures", "HEF", "verdict")
    page = _written(
        artifacts / model / TREND,
        render_trend(f"Builds of {model}", measure, heads, _points(entries, measure)),
        asked=show,
    )
    if show and page is not None:
        typer.launch(page.resolve().as_uri())
    if as_json:
        document = [entry.to_json() for entry in entries]
        place = None if page is None else str(page)
        emit_json({"model": model, "measure": measure, "builds": document, "page": place})
        return
    rows = [["build", "finished (UTC)", "chip", measure or "measure", *heads[1:]]]
    rows += [[one.name, one.when, one.chip, *one.cells] for one in _points(entries, measure)[::-1]]
    paint = painter()
    lines = columns(narrowed(rows, screen_width()), paint)
    lines += [
        f"note     the manifest of {_name(one)} is not the one that it was finished with"
        for one in entries
        if not one.sound
    ]
    lines += [""]
    if len(entries) > 1:
        lines += [f"compare  hef report --compare {model}~1 {model}"]
    lines += [f"page     {page}"] if page is not None else []
    print_result("\n".join(line.rstrip() for line in lines))


#: What a narrow screen goes without; the page has all of them. The first goes first.
LESS = ("level", "pictures", "HEF", "SNR (dB)")


def narrowed(rows: list[list[str]], width: int | None) -> list[list[str]]:
    """Return a table, its header first, with no more columns than a screen has room for; pure."""
    from orchestrator.cli.summary import fits

    for head in LESS:
        if fits(rows, width):
            break
        place = rows[0].index(head)
        rows = [[*row[:place], *row[place + 1 :]] for row in rows]
    return rows


def _name(entry: Entry) -> str:
    return "now" if entry.back == 0 else f"~{entry.back}"


def _points(entries: list[Entry], measure: str | None) -> list[TrendPoint]:
    import time

    from orchestrator.cli.measures import measure_text
    from orchestrator.cli.summary import size_text
    from orchestrator.errors import escape_control
    from orchestrator.report.trend import TrendPoint

    points = []
    for one in entries:
        value = one.measures.get(measure) if measure else None
        ideal = one.ideal.get(measure) if measure else None
        judged = one.outcome is not None
        points.append(
            TrendPoint(
                chip=one.arch + (" (emulated)" if one.emulated else ""),
                name=_name(one),
                when=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.made)),
                value=value,
                ideal=ideal,
                outcome=one.outcome,
                cells=(
                    measure_text(measure or "", value) or "-" if value is not None else "-",
                    measure_text(measure or "", ideal) if ideal is not None else "-",
                    measure_text("snr_db", one.measures.get("snr_db")) if judged else "-",
                    "-" if one.level is None else str(one.level),
                    "-" if one.images is None else str(one.images),
                    size_text(one.hef_bytes) if one.hef_bytes else "-",
                    escape_control(one.outcome or "not judged"),
                ),
            )
        )
    return points
