"""``hef config show``: every setting with its value and where it comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Settings and where they come from.", no_args_is_help=True)
    group.command("show", epilog="Example: hef config show --json")(show)
    group.command("schema", epilog="Example: hef config schema model > model.schema.json")(schema)
    app.add_typer(group, name="config")


def show(
    model: Annotated[
        str | None, typer.Argument(help="Show this model's recipe with its defaults.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="As if this were given.")] = None,
    toolchain: Annotated[str | None, typer.Option(help="As if this were given.")] = None,
    device: Annotated[str | None, typer.Option(help="As if this were given.")] = None,
    as_json: Json = False,
) -> None:
    """Show settings and their origin. Defaults < hef.yaml < environment < flags."""
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.errors import escape_control
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    if model is not None:
        recipe = workspace.recipe(model)
        document = recipe.recipe.plain()
        if as_json:
            emit_json({"file": str(recipe.document.path), "recipe": document})
            return
        import yaml

        print_result(f"# {recipe.document.path}, with every default")
        every = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip()
        print_result(every, quoted=True)
        return
    flags = {"engine": engine, "toolchain": toolchain, "device": device}
    settings = resolve(workspace, flags=flags)
    if (store := settings.text("store")) is not None and "://" in store:
        from dataclasses import replace

        from orchestrator.pipeline.sharing.objects import without_password

        shown = replace(settings.store, value=without_password(store))
        settings = replace(settings, store=shown)
    if as_json:
        emit_json(
            {
                "project": str(workspace.root),
                "settings": {
                    item.name: {"value": item.value, "origin": item.origin} for item in settings
                },
            }
        )
        return
    print_result(f"project    {workspace.root}")
    for item in settings:
        value = (
            "-"
            if item.value is None
            else str(item.value).lower()
            if isinstance(item.value, bool)
            else escape_control(item.value)
        )
        print_result(f"{item.name:<10} {value}  ({item.origin})")


def schema(
    file: Annotated[
        str, typer.Argument(help="model (model.yaml) or project (hef.yaml).")
    ] = "model",
) -> None:
    """Print the JSON schema of a file, for editors. They complete and check it by that."""
    from orchestrator.cli.output import emit_json
    from orchestrator.errors import ConfigError
    from orchestrator.project.schemas import SCHEMAS, schema_of

    if file not in SCHEMAS:
        msg = f"there is a schema of {' and of '.join(SCHEMAS)}, none of {file!r}"
        raise ConfigError(msg, code="config.schema")
    emit_json(schema_of(file))
