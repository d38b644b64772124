"""``hef lint``: check a model, a network or a script before a compiler spends an hour on it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import only_model

if TYPE_CHECKING:
    from hefsmith_worker.contract.findings import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint", epilog="Example: hef lint my.alls --layers my.har")(lint)


def lint(
    script: Annotated[
        Path,
        typer.Argument(
            help="A model's name, an ONNX file, or a model script; else the only model.",
            metavar="[MODEL|FILE.onnx|FILE.alls]",
            default_factory=lambda: Path(only_model()),
            show_default=False,
        ),
    ],
    layers: Annotated[
        Path | None,
        typer.Option(help="Parsed network (.har or HN .json): layer names are checked too."),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Number of calibration images that there are.")
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="Chip: warns of commands that its compilers may not know.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a model's graph and script as a build would. Or one of these files."""
    if script.suffix.lower() == ".onnx" and script.is_file():
        from orchestrator.pipeline.linting import lint_graph

        _end(script, lint_graph(script), as_json=as_json)
    elif script.suffix.lower() in (".yaml", ".yml") or not (script.suffix or script.is_file()):
        _lint_model(str(script), arch, as_json=as_json)
    else:
        _lint_script(script, layers, images, arch, as_json=as_json)


def _end(what: Path, found: list[Finding], *, as_json: bool) -> None:
    _show(what, found, as_json=as_json)
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(2)


def _lint_model(name: str, arch: str | None, *, as_json: bool) -> None:
    from hefsmith_worker.contract import layout

    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.archs import pick_archs
    from orchestrator.pipeline.linting import lint_model

    with make_session({}) as session:
        loaded = session.recipe(name)
        chip = pick_archs(loaded, arch)[0]
        full = session.full(loaded, chip)
        build = session.final_folder(loaded.name, chip)
        har = build / layout.HAR
        layers = _read_layers(har) if har.is_file() else None
        found = lint_model(full, session.workspace.root, chip, build, layers)
    _end(Path(loaded.name), found, as_json=as_json)


def _lint_script(
    script: Path, layers: Path | None, images: int | None, arch: str | None, *, as_json: bool
) -> None:
    from hefsmith_worker.contract import chips
    from hefsmith_worker.script.lint import check_text

    from orchestrator.errors import ConfigError
    from orchestrator.reading import SCRIPT_LIMIT, read_regular

    chip = chips.find(arch) if arch is not None else None
    if arch is not None and chip is None:
        msg = f"no compiler knows a chip {arch}"
        raise ConfigError(msg, hint="Name it as a recipe does, such as hailo8l.", code="lint.arch")
    try:
        text = read_regular(script, limit=SCRIPT_LIMIT).decode("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        from orchestrator.inspect.mistaken import what_it_is

        kind, _ = what_it_is(script)
        said = error.strerror if isinstance(error, OSError) else None
        msg = f"{script} cannot be read: {said}" if said else f"{script} is not a text file"
        if kind is not None and kind != "a text":
            # Its size, or the first byte that is no text, says nothing then.
            msg = f"{script} is {kind}, not a model script"
        hint = f"hef inspect {shlex.quote(str(script))}" if kind == "a HEF" else None
        raise ConfigError(msg, hint=hint, code="lint.file") from None
    network = _read_layers(layers) if layers is not None else None
    found = check_text(
        text,
        str(script),
        layers=None if network is None else list(network),
        images=images,
        line=None if chip is None else chip.line.compiler,
    )
    if network is None:
        from orchestrator.pipeline.linting import unchecked_layers

        found += unchecked_layers(text, f"hef lint {shlex.quote(str(script))} --layers MODEL.har")
    if chip is None and layers is not None and layers.suffix.lower() not in (".json", ".hn"):
        from orchestrator.inspect.har import read_har

        # A HAR says for which chip it was made.
        chip = chips.find(read_har(layers).hw_arch or "")
    if chip is not None:
        from orchestrator.pipeline.judgement import products_in_8_bit
        from orchestrator.pipeline.linting import asked_of_products

        told = products_in_8_bit(chip.name, asked_of_products(text, network))
        found += [] if told is None else [told]
    _end(script, found, as_json=as_json)


def _show(script: Path, found: list[Finding], *, as_json: bool) -> None:
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.errors import escape_control
    from orchestrator.language import told

    if as_json:
        errors = sum(finding.severity == "error" for finding in found)
        emit_json(
            {
                "file": str(script),
                "ok": not errors,
                "errors": errors,
                "warnings": sum(finding.severity == "warning" for finding in found),
                "findings": [finding.to_json() for finding in found],
            }
        )
        return
    for finding in found:
        where = str(script)
        if finding.line is not None:
            where += f":{finding.line}:{finding.column}"
        fix = f" ({told(finding.fix)})" if finding.fix else ""
        line = f"{where}: {told(finding.severity)}: {told(finding.message)}{fix} [{finding.code}]"
        print_result(escape_control(line))
    if not found:
        print_result(f"{escape_control(str(script))}: {told('nothing to say')}")


def _read_layers(path: Path) -> dict[str, object]:
    """Return the layers of a parsed network by name: a HAR, or its HN as JSON."""
    from orchestrator.errors import ArtifactError, escape_control, shorten
    from orchestrator.inspect.har import find_member
    from orchestrator.reading import RECORD_LIMIT, parse_json, read_json
    from orchestrator.unpacking import DAMAGED, open_tar

    try:
        if path.suffix.lower() in (".json", ".hn"):
            network = read_json(path)
        else:
            with open_tar(path) as archive:
                member = find_member(archive, ".hn")
                stream = archive.extractfile(member) if member is not None else None
                if stream is None:
                    msg = f"{path} holds no network (.hn)"
                    raise ArtifactError(msg, code="lint.layers")
                network = parse_json(stream.read(RECORD_LIMIT))
        return {str(name): layer for name, layer in dict(network["layers"]).items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, *DAMAGED) as error:
        msg = f"{escape_control(str(path))} is not a parsed network: {shorten(str(error))}"
        hint = "Give the .har of a build, or the HN as JSON"
        raise ArtifactError(msg, hint=hint, code="lint.layers") from None
