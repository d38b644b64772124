"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer


def only_model() -> str:
    """Return the model that is meant when none is named."""
    from orchestrator.project.workspace import open_workspace

    return open_workspace().unnamed_model()


Model = Annotated[
    str,
    typer.Argument(
        metavar="[MODEL]",
        help="A model that has been built; needed where there are several.",
        default_factory=only_model,
        show_default=False,
    ),
]
Device = Annotated[str | None, typer.Option("--device", "-d", help="Name, user@host, or embedded.")]
Arch = Annotated[str | None, typer.Option("--arch", help="Which build; else the device's chip's.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
