"""``hef verify`` and ``hef reproduce``: is a build what its manifest says, and comes it again?"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import (  # noqa: TC001 (typer reads them)
    Engine,
    Json,
    Toolchain,
    Verbose,
)

if TYPE_CHECKING:
    from orchestrator.pipeline.finished.attest import Attestation
    from orchestrator.pipeline.finished.reproducing import Reproduction


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("verify", epilog="Example: hef verify artifacts/digits/hailo8l")(_verify)
    app.command("reproduce", epilog="Example: hef reproduce release/manifest.json")(_reproduce)


def _verify(
    artifact: Annotated[
        Path, typer.Argument(help="Folder of a build, its manifest.json, or one of its files.")
    ],
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="The manifest, where it lies elsewhere.")
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option("--signers", help="Whose signature counts: a list as ssh-keygen(1) has it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare files with the manifest of their build. A signature is checked, too."""
    from orchestrator.cli.output import emit_json
    from orchestrator.errors import ConfigError, ExitCode, escape_control
    from orchestrator.pipeline.finished import attest

    for named in (artifact, manifest, signers):
        if named is not None and not named.exists():
            msg = f"no such file or folder: {escape_control(str(named))}"
            hint = "Name the folder of a build: hef verify artifacts/MODEL/CHIP"
            raise ConfigError(msg, hint=hint, code="file.missing")
    if manifest is not None:
        statement = attest.read_statement(manifest)
        file = artifact if artifact.is_file() else None
        found = attest.attest(statement, file=file, signers=signers)
    else:
        place, only = attest.find_manifest(artifact)
        found = attest.attest(attest.read_statement(place), only=only, signers=signers)
    if as_json:
        emit_json(found.to_json())
    else:
        _print(found)
    if not found.good:
        raise typer.Exit(int(ExitCode.ARTIFACT))


def _print(found: Attestation) -> None:
    from orchestrator.cli.output import print_result
    from orchestrator.errors import escape_control

    statement = found.statement
    kind = " (emulated)" if statement.emulated else ""
    made = f"{statement.toolchain}{kind}, hefsmith {statement.version}, {statement.finished}"
    lines = [
        f"build     {escape_control(statement.model)} for {escape_control(statement.arch)}",
        f"made by   {escape_control(made)}",
        f"made of   {len(statement.materials)} inputs",
    ]
    bad = [one for one in found.subjects if one.state != "ok"]
    lines += [f"{one.state:<9} {escape_control(one.path)}" for one in bad]
    lines.append(f"files     {len(found.subjects) - len(bad)} of {len(found.subjects)} are as made")
    signed = found.signed
    words = {
        "none": "none: the manifest says what it says, and nobody vouches for it",
        "not checked": f"not checked: {signed.why}",
        "good": f"good, by {escape_control(signed.by or '')}",
        "bad": f"BAD: {signed.why}",
    }
    lines.append(f"signature {words[signed.state]}")
    print_result("\n".join(lines))


def _reproduce(
    manifest: Annotated[Path, typer.Argument(help="manifest.json of a build, or its folder.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Its model here; default: of the same name.")
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", help="The parameter set that it was built with.")
    ] = None,
    engine: Engine = None,
    toolchain: Toolchain = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Keep the new build in this folder.")
    ] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Build again by a manifest, and compare. Nothing comes from the cache.

    Exit code 0 for the same bytes or the same numbers (60 dB and more at every step), else 6.
    """
    from orchestrator import files
    from orchestrator.api import Options, Project
    from orchestrator.cli.display import open_display
    from orchestrator.cli.output import emit_json
    from orchestrator.errors import ExitCode
    from orchestrator.pipeline.finished import attest

    place, _ = attest.find_manifest(manifest)
    statement = attest.read_statement(place)
    options = Options(engine=engine, toolchain=toolchain or statement.toolchain)
    with (
        open_display(verbose=verbose) as display,
        Project(options=options, observer=display) as project,
        files.scratch("hefsmith-reproduce") as scratch,
    ):
        found = project.reproduce(
            statement, model=model, set_name=set_name, folder=to or scratch / "build"
        )
    if as_json:
        emit_json(found.to_json())
    else:
        _tell(found, kept=to is not None)
    if found.outcome == "different":
        raise typer.Exit(int(ExitCode.ARTIFACT))


def _tell(found: Reproduction, *, kept: bool) -> None:
    from orchestrator.cli.output import print_result
    from orchestrator.pipeline.finished.kinship import SAME_DB
    from orchestrator.pipeline.finished.reproducing import summary_lines

    lines = [f"made by  {line}" for line in found.made_by]
    lines += summary_lines(found.files)
    same = sum(one.same for one in found.files)
    lines.append(f"{same} of {len(found.files)} files are the same to the byte")
    words = {
        "bytes": "REPRODUCED: the same bytes",
        "numbers": f"REPRODUCED: the same numbers ({SAME_DB:.0f} dB and more at every step)",
        "different": "NOT REPRODUCED",
    }
    lines.append(words[found.outcome])
    if found.outcome != "bytes":
        lines.append(f"{found.words} (at the worst step)")
    if kept:
        lines.append(f"folder   {found.folder}")
    print_result("\n".join(lines))
