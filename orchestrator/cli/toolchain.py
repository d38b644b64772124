"""``hef toolchain``: import Hailo's own compiler, list what there is, pin one for a project."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)
from orchestrator.cli.output import emit_json, note, print_result
from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.engine.protocols import ImageStore
    from orchestrator.toolchain.gpu import Wish
    from orchestrator.toolchain.importer import Step
    from orchestrator.toolchain.registry import ImportedToolchain

_ENGINE = Annotated[
    str | None,
    typer.Option("--engine", help="Engine to import into (a context, ssh://..., a name)."),
]


class Gpu(StrEnum):
    """Whether to try a GPU."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def register(app: typer.Typer) -> None:
    """Add ``toolchain`` to the application."""
    group = typer.Typer(
        help="Import Hailo's compiler, list toolchains, pin one for a project.",
        no_args_is_help=True,
    )
    group.command(
        "import",
        epilog="Example: hef toolchain import ~/Downloads/hailo8_ai_sw_suite_2025-10_docker.zip",
    )(import_)
    from orchestrator.cli.toolchain_check import check

    group.command("check", epilog="Example: hef toolchain check emulator")(check)
    group.command("list", epilog="Example: hef toolchain list --json")(list_)
    group.command("use", epilog="Example: hef toolchain use suite-3.33.0")(use)
    app.add_typer(group, name="toolchain")


def import_(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|IMAGE",
            help="The vendor's ..._docker.zip, .tar.gz or .tar, or a loaded image's name.",
        ),
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option(
            "--wheels", help="Build a small image from the wheels in this folder instead."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call it here.")] = None,
    gpu: Annotated[Gpu, typer.Option("--gpu", help="Try a GPU inside the container.")] = Gpu.AUTO,
    export_layer: Annotated[
        bool,
        typer.Option("--export-layer", help="Also build an export environment on top of it."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Ask it what we assume of it.")
    ] = True,
    engine: _ENGINE = None,
    as_json: Json = False,
) -> None:
    """Bring Hailo's compiler onto the engine and ask it what it is.

    You download the suite with your own login; hef fetches nothing of Hailo's.
    """
    if (source is None) == (wheels is None):
        msg = "give either a file or image, or --wheels DIR"
        raise ConfigError(msg, hint="hef toolchain import FILE.zip", code="usage")
    from orchestrator.toolchain import importer

    with _progress() as show, _store(engine) as store:
        if wheels is not None:
            toolchain = _import_wheels(wheels, store, show, name, gpu.value)
        elif Path(str(source)).expanduser().exists():
            toolchain = importer.import_file(
                Path(str(source)).expanduser(), store, show, name=name, gpu=gpu.value
            )
        else:
            toolchain = importer.import_image(str(source), store, show, name=name, gpu=gpu.value)
        if export_layer:
            toolchain = _add_export_layer(toolchain, store, show)
    if check:
        from orchestrator.cli.toolchain_check import after_import

        after_import(toolchain, engine)
    if as_json:
        emit_json(_row(toolchain, present=True))
        return
    print_result(f"imported {toolchain.name}")
    for line in _facts(toolchain):
        print_result(line)


def list_(engine: _ENGINE = None, as_json: Json = False) -> None:
    """List the imported toolchains. Says whether their engine still has them."""
    from orchestrator.toolchain import registry

    known = registry.load_all()
    present = _presence(known, engine)
    if as_json:
        emit_json({"toolchains": [_row(one, present=present.get(one.name)) for one in known]})
        return
    if not known:
        note("No toolchain is imported; builds use the emulator.")
        note("Import Hailo's own: hef toolchain import FILE.zip (download it with your login)")
        return
    for one in known:
        print_result(one.name)
        for line in _facts(one):
            print_result(line)
        if present.get(one.name) is False:
            print_result("  missing  the engine no longer has this image; import it again")


def use(
    name: Annotated[
        str,
        typer.Argument(
            help="A toolchain of `hef toolchain list`, `emulator`, or `any` to take both back."
        ),
    ],
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the project.", show_default=False)
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Pin a toolchain in hef.lock, for the whole team.

    The emulator has no image to pin: it is named in hef.yaml.
    """
    from orchestrator.project.projectfile import write_toolchain
    from orchestrator.toolchain import lock, registry

    if name == "emulator":
        path = write_toolchain(project, name)
        if as_json:
            emit_json({"project": str(path), "toolchain": name})
        else:
            print_result(f"{path}: builds use the emulator")
        return
    if name == "any":
        path = lock.remove_pins(project)
        write_toolchain(project, "auto", only_if_set=True)
        if as_json:
            emit_json({"lock": str(path), "toolchain": None})
        else:
            print_result(f"{path}: no toolchain is pinned")
        return
    toolchain = registry.find(name)
    path = lock.write_pin(project, toolchain)
    if as_json:
        emit_json({"lock": str(path), "toolchain": _row(toolchain, present=None)})
    else:
        print_result(f"{path}: {toolchain.name} ({lock.short(toolchain.image)}) is pinned")


def _row(toolchain: ImportedToolchain, *, present: bool | None) -> dict[str, Any]:
    """Return one toolchain as JSON."""
    from orchestrator.toolchain.versions import runtime_of_compiler

    fits = runtime_of_compiler(toolchain.dfc)
    return {
        "name": toolchain.name,
        "kind": toolchain.kind,
        "line": f"{toolchain.line}.x" if toolchain.line else None,
        "versions": dict(toolchain.versions),
        "chips": list(toolchain.chips),
        "hailort": f">={fits.major}.{fits.minor}" if fits else None,
        "image": toolchain.image,
        "content": toolchain.content,
        "tags": list(toolchain.tags),
        "size": toolchain.size,
        "engine": toolchain.engine,
        "python": toolchain.python,
        "zoo": toolchain.zoo,
        "gpu": {
            "usable": toolchain.gpu.usable,
            "why": toolchain.gpu.why,
            "name": toolchain.gpu.name,
        },
        "source": toolchain.source,
        "imported": toolchain.imported,
        "present": present,
    }


def _facts(toolchain: ImportedToolchain) -> list[str]:
    row = _row(toolchain, present=None)
    inside = ", ".join(f"{key} {value}" for key, value in row["versions"].items())
    image, size = toolchain.image.removeprefix("sha256:")[:12], toolchain.size / 1e9
    usable = {True: "usable", False: "not usable", None: "not tried"}[toolchain.gpu.usable]
    return [
        f"  line     {row['line'] or 'unknown'}, for {', '.join(row['chips']) or 'no known chip'}",
        f"  inside   {escape_control(inside)}",
        f"  HailoRT  {row['hailort'] or 'unknown'} loads its HEFs",
        f"  image    {image} {escape_control(' '.join(toolchain.tags))} ({size:.1f} GB)",
        f"  GPU      {usable}: {escape_control(toolchain.gpu.why)}",
    ]


def _presence(known: tuple[ImportedToolchain, ...], engine: str | None) -> dict[str, bool]:
    """Return which images the engine has; nothing when no engine answers."""
    from orchestrator.errors import HefsmithError

    if not known:
        return {}
    try:
        with _store(engine) as store:
            here = [one for one in known if one.engine == store.name]
            return {one.name: store.find(one.image) is not None for one in here}
    except HefsmithError as error:
        note(f"note: the engine was not asked: {error.message}")
        return {}


@contextmanager
def _store(asked: str | None) -> Iterator[ImageStore]:
    """Open the Docker engine that is meant and give its store."""
    from orchestrator.engine.choose import choose_engine

    with closing(choose_engine(asked or "docker").engine) as engine:
        store = engine.image_store()
        if store is None:
            msg = "toolchains are images, and the local engine has none"
            raise ConfigError(
                msg,
                hint="Give a Docker engine: --engine docker, or ssh://user@host",
                code="toolchain.engine",
            )
        yield store


def _import_wheels(
    folder: Path, store: ImageStore, show: Callable[[Step], None], name: str | None, gpu: Wish
) -> ImportedToolchain:
    from orchestrator import paths
    from orchestrator.engine.base import Progress
    from orchestrator.toolchain import importer

    wheels = importer.find_wheels(folder)
    version = wheels.versions["hailo_dataflow_compiler"]

    def report(news: Progress | str, /) -> None:
        if isinstance(news, Progress) and news.unit == "steps":
            show(importer.Step("building", news.done, news.total))
        elif isinstance(news, Progress):
            show(importer.Step("loading", news.done, news.total))

    built = store.build_suite(
        paths.image_context("suite"),
        wheels.paths,
        tag=f"hefsmith-suite-wheels:{version.replace('+', '-')}",
        report=report,
    )
    return importer.import_built(
        built, store, show, source=f"wheels of {folder.name}", name=name, gpu=gpu
    )


def _add_export_layer(
    toolchain: ImportedToolchain, store: ImageStore, show: Callable[[Step], None]
) -> ImportedToolchain:
    from dataclasses import replace

    from orchestrator import paths
    from orchestrator.engine.base import Progress
    from orchestrator.engine.images import SUITE_EXPORT, emulator_wheels
    from orchestrator.toolchain import importer, registry

    def report(news: Progress | str, /) -> None:
        if isinstance(news, Progress) and news.unit == "steps":
            show(importer.Step("building", news.done, news.total))

    folder = paths.image_context("suite")
    built = store.build_suite(
        folder,
        # The same libraries as the emulator's: what is there for it on machines without internet.
        emulator_wheels(paths.image_context("emulator")),
        tag=f"{SUITE_EXPORT}:{toolchain.image.removeprefix('sha256:')[:16]}",
        dockerfile="export.Dockerfile",
        arguments={"SUITE": toolchain.image.removeprefix("sha256:")},
        report=report,
    )
    return registry.save(replace(toolchain, export_image=built.id))


@contextmanager
def _progress() -> Iterator[Callable[[Step], None]]:
    """Show steps: one line that is redrawn on a terminal, else a line now and then."""
    shown: tuple[str, int] | None = None

    def redraw(step: Step) -> None:
        nonlocal shown
        shown = step.what, 0
        sys.stderr.write("\r\x1b[2K" + _words(step))
        sys.stderr.flush()

    def add(step: Step) -> None:
        nonlocal shown
        now = step.what, int(10 * step.done / step.total) if step.total else -1
        if now != shown:
            note(_words(step))
        shown = now

    redraws = sys.stderr.isatty()
    try:
        yield redraw if redraws else add
    finally:
        if redraws and shown:
            note("")


def _words(step: Step) -> str:
    """Return a step in words: ``loading 3.2 of 8.5 GB, 210 MB/s, 0:25 left``."""
    if step.what == "building":
        return f"building, step {step.done} of {step.total or '?'}"
    if not step.total or step.what in ("asking the image", "waiting for the engine"):
        return step.what
    scale, unit = (1e9, "GB") if step.total >= 1e9 else (1e6, "MB")
    text = f"{step.what} {step.done / scale:.2f} of {step.total / scale:.2f} {unit}"
    if step.rate:
        text += f", {step.rate / 1e6:.0f} MB/s"
    if step.left is not None:
        minutes, seconds = divmod(int(step.left), 60)
        text += f", {minutes}:{seconds:02d} left"
    return text
