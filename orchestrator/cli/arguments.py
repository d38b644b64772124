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
Models = Annotated[
    list[str] | None,
    typer.Argument(help="Models by name or folder; default: the only one there is."),
]
Archs = Annotated[
    list[str] | None,
    typer.Option(
        "--arch", help="Chips, such as hailo8l,hailo8; default: the device's, else the recipe's."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME", help="Parameter sets of matrix: in hef.yaml."),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="tcp://HOST:8786", help="A Dask cluster's workers build."),
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="auto, docker, local, ssh://user@host, or a name of hef.yaml."),
]
Toolchain = Annotated[
    str | None, typer.Option("--toolchain", help="auto, emulator, or an imported suite.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the compiler's log.")]
