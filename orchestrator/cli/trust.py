"""``hef trust``: say of a project that came from elsewhere that its code may run here."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trust", epilog="Example: hef trust ~/src/their-model")(trust)


def trust(
    folder: Annotated[Path | None, typer.Argument(help="Project; the one you are in.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the trusted folders.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Trust a project, and all below it. Its code may then run as a program of yours.

    One that was cloned or downloaded runs its code in a box alone, and reads nothing outside of
    its folder, until you say this. Your own projects need none of it.
    """
    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.errors import ConfigError, escape_control
    from orchestrator.project import trust as kept
    from orchestrator.project.workspace import open_workspace

    if list_:
        if revoke or folder is not None:
            msg = "--list takes no other options"
            raise ConfigError(msg, code="trust.list")
        listed = kept.trusted_folders()
        if as_json:
            emit_json({"trusted": [{"folder": str(one), "since": listed[one]} for one in listed]})
            return
        for one in listed:
            print_result(escape_control(str(one)))
        if not listed:
            note("no folder is on the list; your own projects need not be")
        return
    place = folder if folder is not None else open_workspace().root
    done = kept.revoke(place) if revoke else kept.trust(place)
    if as_json:
        emit_json({"folder": str(done), "trusted": not revoke})
        return
    shown = escape_control(str(done))
    print_result(f"no longer trusted: {shown}" if revoke else f"trusted: {shown}")
