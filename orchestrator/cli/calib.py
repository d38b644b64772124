"""``hef calib check``, ``preview``, ``analyze``, ``fetch``: calibration pictures before a build."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.arguments import Json, Model  # noqa: TC001 (typer reads them)
from orchestrator.cli.output import console, emit_json, note, print_result
from orchestrator.errors import ConfigError, ExitCode, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hefsmith_worker.calibration import CalibrationSet
    from hefsmith_worker.contract.findings import Finding

    from orchestrator.cli.calib_request import Wanted

#: Channels whose statistics are printed; the JSON has all.
SHOWN_CHANNELS = 4

CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="Look at this many images; default: recipe's.")
]
SizeOption = Annotated[
    str | None, typer.Option("--size", help="For a bare source: 640, or height x width 480x640.")
]
ColorOption = Annotated[str, typer.Option("--color", help="For a bare source: rgb, bgr or gray.")]


def _meant() -> str:
    """Return what is looked at when nothing is named: the only model, or the demo's."""
    from orchestrator.project.workspace import BUNDLED_MODEL, open_workspace

    workspace = open_workspace()
    return workspace.unnamed_model() if workspace.model_names() else BUNDLED_MODEL


What = Annotated[
    str, typer.Argument(metavar="[MODEL|SOURCE]", default_factory=_meant, show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add ``calib`` with its commands."""
    group = typer.Typer(help="Check, see and fetch calibration pictures.", no_args_is_help=True)
    app.add_typer(group, name="calib")
    group.command(
        "check", epilog="Example: hef calib check yolov8n   or: hef calib check photos.zip"
    )(check)
    group.command("preview", epilog="Example: hef calib preview digits")(preview)
    group.command("analyze", epilog="Example: hef calib analyze digits --measure")(analyze)
    group.command("fetch", epilog="Example: hef calib fetch yolov8n")(fetch)


def check(
    what: What,
    count: CountOption = None,
    size: SizeOption = None,
    color: ColorOption = "rgb",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail the check, too.")] = False,
    as_json: Json = False,
) -> None:
    """Examine the pictures as a build would. Nothing is changed."""
    wanted = _wanted(what, size, color, count)
    with _built(wanted) as (calibration, _):
        severity = _tell(calibration, as_json=as_json)
    if severity == "error" or (strict and severity == "warning"):
        raise typer.Exit(int(ExitCode.STAGE_FAILED))


def preview(
    what: What,
    count: CountOption = None,
    size: SizeOption = None,
    color: ColorOption = "rgb",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="PNG file to write.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in a viewer.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a contact sheet of what the network will really be given."""
    wanted = _wanted(what, size, color, count)
    with _built(wanted) as (calibration, folder):
        files = _draw(wanted, calibration, folder, output)
    if as_json:
        emit_json({"files": [str(file) for file in files], **_document(calibration)})
    else:
        for file in files:
            print_result(str(file))
    if open_:
        for file in files:
            typer.launch(str(file))


def analyze(
    what: What,
    most: Annotated[
        int, typer.Option("--most", min=8, help="Look at this many pictures at most.")
    ] = 2000,
    size: SizeOption = None,
    color: ColorOption = "rgb",
    write: Annotated[
        Path | None,
        typer.Option("--write", help="List file of the smallest good set; default: calib/."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Quantise with 64, 256, 1024 and the chosen pictures, and judge."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which pictures matter, repeat others or look odd. Say also how few suffice."""
    from dataclasses import replace

    from orchestrator.cli import calib_analyze
    from orchestrator.project.workspace import open_workspace

    wanted = _wanted(what, size, color, None)
    workspace = open_workspace()
    recipe = _recipe_of(what)
    if measure and recipe is None:
        msg = f"--measure needs a model, and {escape_control(what)} is a source"
        raise ConfigError(msg, code="usage")
    with _counted() as tell:
        found = calib_analyze.analyse_pictures(wanted, most, tell)
    target = write or (workspace.calibration / f"{wanted.name}-chosen.txt" if recipe else None)
    if target is not None:
        try:
            calib_analyze.write_list(wanted, found, target)
        except ConfigError as error:
            if write is not None:
                raise
            note(error.message)
            target = None
    if measure and recipe is not None:
        own = recipe.recipe.calibration
        sets: list[tuple[str, dict[str, object]]] = [
            (f"the first {many}", {"calibration.count": many})
            for many in calib_analyze.SIZES
            if many < found.available
        ]
        sets.append((f"the recipe's ({own.count} asked)", {}))
        if target is not None:
            changes: dict[str, object] = {
                "calibration.source": str(target.resolve()),
                "calibration.count": len(found.chosen),
                "calibration.minimum": min(own.minimum, len(found.chosen)),
            }
            sets.append((f"the {len(found.chosen)} chosen", changes))
        found = replace(found, measured=calib_analyze.measure_sets(what, sets))
    if as_json:
        emit_json({**found.to_json(), "list": None if target is None else str(target)})
    else:
        place = None if recipe is None else str(recipe.document.path)
        for line in calib_analyze.told(found, target, place):
            print_result(line)
    if any(finding["severity"] == "error" for finding in found.findings):
        raise typer.Exit(int(ExitCode.STAGE_FAILED))


def fetch(
    model: Model,
    as_json: Json = False,
) -> None:
    """Copy a recipe's remote pictures to calib/. Sources are s3://, gs:// and https://."""
    places = _fetch(model)
    from orchestrator.pipeline.sharing.objects import without_password

    if as_json:
        shown = {without_password(address): str(place) for address, place in places}
        emit_json({"sources": shown})
        return
    for address, place in places:
        print_result(f"{without_password(address)} -> {place}")
    if not places:
        note(f"{model} has no remote sources")


def _recipe_of(what: str) -> Any:
    from orchestrator.project.workspace import open_workspace

    try:
        return open_workspace().recipe(what)
    except ConfigError as error:
        if error.code != "recipe.missing":
            raise
        return None


@contextmanager
def _counted() -> Iterator[Callable[[int], None]]:
    """Show how many pictures the network has seen, on a terminal."""
    screen = console()
    if not screen.is_terminal:
        yield lambda _: None
        return
    from rich.progress import Progress as Bar

    with Bar(console=screen, transient=True) as bar:
        task = bar.add_task("asking the float network", total=None)
        yield lambda new: bar.advance(task, new)


def _wanted(what: str, size: str | None, color: str, count: int | None) -> Wanted:
    """Take the argument as a model when there is one of that name, else as a source."""
    from orchestrator.cli import calib_request
    from orchestrator.project.workspace import open_workspace

    calib_request.need_libraries()
    workspace = open_workspace()
    try:
        loaded = workspace.recipe(what)
    except ConfigError as error:
        if error.code != "recipe.missing" or not _is_source(what):
            raise
        return calib_request.from_source(what, size, color, count)
    _make_pictures(loaded, workspace)
    return calib_request.from_model(workspace, loaded, count)


def _is_source(what: str) -> bool:
    """Tell a path from a model's name; a path need not exist to be meant as one."""
    if any(mark in what for mark in "*?[/\\") or os.path.lexists(what):
        return True
    return Path(what).suffix != ""


def _make_pictures(loaded: Any, workspace: Any) -> None:
    """Let the bundled recipe write its pictures, as a build does."""
    if loaded.recipe.data is None or (workspace.calibration / loaded.name).is_dir():
        return
    from orchestrator.cli.display import PlainDisplay
    from orchestrator.pipeline import pictures
    from orchestrator.pipeline.cache import StageCache
    from orchestrator.project.settings import resolve

    cache = StageCache(resolve(workspace).cache_folder)
    pictures.make_data(loaded, workspace, PlainDisplay(), cache)


@contextmanager
def _built(wanted: Wanted) -> Iterator[tuple[CalibrationSet, Path]]:
    """Build the set in a folder that goes away again; its size needs the cache's disk."""
    import tempfile

    from hefsmith_worker.calibration import CalibrationError, build_calibration

    from orchestrator import paths
    from orchestrator.cli.calib_request import as_hefsmith_error

    scratch = paths.user_cache()
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="calib-", dir=scratch) as folder, _progress() as emit:
        try:
            calibration = build_calibration(wanted.request, Path(folder), emit)
        except CalibrationError as error:
            raise as_hefsmith_error(error) from None
        yield calibration, Path(folder)


@contextmanager
def _progress() -> Iterator[Callable[[Any], None]]:
    """Show a bar on a terminal, nothing elsewhere; findings are told at the end."""
    screen = console()
    if not screen.is_terminal:
        yield lambda _: None
        return
    from hefsmith_worker.calibration import ImageProgress
    from rich.progress import Progress as Bar

    with Bar(console=screen, transient=True) as bar:
        task = bar.add_task("preparing", total=None)

        def emit(news: Any) -> None:
            if isinstance(news, ImageProgress):
                bar.update(task, completed=news.done, total=news.total)

        yield emit


def _tell(calibration: CalibrationSet, *, as_json: bool) -> str:
    """Print what was found; return the worst severity."""
    from hefsmith_worker.contract.findings import worst

    if as_json:
        emit_json(_document(calibration))
    else:
        for line in _summary(calibration):
            print_result(line)
        for finding in calibration.findings:
            for line in _finding_lines(finding):
                print_result(line)
    return worst(calibration.findings)


def _summary(calibration: CalibrationSet) -> list[str]:
    left_out = []
    if calibration.unreadable:
        left_out.append(f"{len(calibration.unreadable)} unreadable")
    if calibration.dropped_duplicates:
        left_out.append(f"{calibration.dropped_duplicates} near-duplicates")
    detail = f" ({', '.join(left_out)} left out)" if left_out else ""
    counts = f"{calibration.used} used, {calibration.asked} asked, {calibration.available} there"
    lines = [f"images    {counts}{detail}"]
    for entry in calibration.inputs:
        shape = "x".join(str(side) for side in entry.shape[1:])
        shown = [f"{c.mean:.1f} +- {c.std:.1f}" for c in entry.channels[:SHOWN_CHANNELS]]
        more = len(entry.channels) - SHOWN_CHANNELS
        channels = ", ".join(shown) + (f" and {more} more channels" if more > 0 else "")
        lines.append(f"input     {escape_control(entry.name)}: {shape} {entry.dtype}, {channels}")
    check = calibration.float_check
    if check is not None:
        right = "" if check.right is None else f" ({check.right} of {len(check.names)} right)"
        lines.append(f"float model on the arrays{right}:")
        lines += [
            f"          {escape_control(name)}: {escape_control(answer)}"
            for name, answer in zip(check.names, check.answers, strict=True)
        ]
    return lines


def _finding_lines(finding: Finding) -> list[str]:
    from orchestrator.language import told

    said = escape_control(told(finding.message))
    lines = [f"{told(finding.severity):<9} {said} [{finding.code}]"]
    if finding.fix:
        lines.append(f"          {escape_control(told(finding.fix))}")
    return lines


def _document(calibration: CalibrationSet) -> dict[str, object]:
    from dataclasses import asdict

    # The files are gone when the command ends.
    inputs = [
        {name: value for name, value in asdict(one).items() if name != "file"}
        for one in calibration.inputs
    ]
    return {**calibration.to_dict(), "inputs": inputs, "used": calibration.used}


def _draw(
    wanted: Wanted, calibration: CalibrationSet, folder: Path, output: Path | None
) -> list[Path]:
    from hefsmith_worker.calibration.contact_sheet import draw_contact_sheet, save_contact_sheet

    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    if output is None:
        workspace = open_workspace()
        output = resolve(workspace).artifacts_of(workspace) / wanted.name / "calibration.png"
    if output.suffix.lower() != ".png":
        msg = f"--output: {output} must end in .png"
        raise ConfigError(msg, code="usage")
    files = []
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        for spec in wanted.request.inputs:
            several = len(wanted.request.inputs) > 1
            plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in spec.name)
            name = f"{output.stem}-{plain}.png" if several else output.name
            save_contact_sheet(
                draw_contact_sheet(calibration, spec, folder), output.with_name(name)
            )
            files.append(output.with_name(name))
    except OSError as error:
        msg = f"{output}: {error.strerror or error}"
        hint = "--output FILE.png writes it elsewhere"
        raise ConfigError(msg, hint=hint, code="output") from None
    return files


def _fetch(model: str) -> list[tuple[str, Path]]:
    from hefsmith_worker.calibration import CalibrationError
    from hefsmith_worker.calibration.remote import fetch, is_remote

    from orchestrator.cli.calib_request import as_hefsmith_error
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    recipe = workspace.recipe(model).recipe
    addresses = [
        address
        for source in (recipe.calibration.source, recipe.validation.source)
        for address in _addresses(source)
        if is_remote(address)
    ]
    from orchestrator.pipeline.sharing.objects import without_password

    places = []
    for address in dict.fromkeys(addresses):

        def tell(done: int, total: int, address: str = address) -> None:
            if done == total or done % 100 == 0:
                note(f"{without_password(address)}: {done} of {total}")

        try:
            places.append((address, fetch(address, workspace.calibration / "remote", tell)))
        except CalibrationError as error:
            raise as_hefsmith_error(error) from None
    return places


def _addresses(source: Any) -> list[str]:
    if source is None:
        return []
    if isinstance(source, str):
        return [source]
    if isinstance(source, dict):
        return [address for value in source.values() for address in _addresses(value)]
    return [source.path]
