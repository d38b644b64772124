"""``hef cache``: what the cache holds, why a stage is not in it, and making it smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.pipeline.cache import StageCache


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The cache of finished stages.", no_args_is_help=True)

    @group.command(epilog="Example: hef cache info --json")
    def info(
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Show where the cache is and how much is in it."""
        from orchestrator.cli.output import emit_json, print_result

        cache = _open()
        usage = cache.usage()
        if json_:
            emit_json(
                {
                    "folder": str(cache.root),
                    "entries": usage.entries,
                    "bytes": usage.bytes,
                    "oldest": usage.oldest,
                }
            )
            return
        print_result(f"folder   {cache.root}")
        print_result(f"entries  {usage.entries}")
        print_result(f"size     {usage.bytes / 1e6:.1f} MB")

    @group.command(epilog="Example: hef cache gc --days 30   or: hef cache gc --max-size 5g")
    def gc(
        days: Annotated[
            float, typer.Option(min=0, help="Remove what was not used for so many days.")
        ] = 30.0,
        max_size: Annotated[
            str | None,
            typer.Option(help="Remove the longest unused until so much is left, such as 5g."),
        ] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Remove old entries; builds in artifacts/ are never touched."""
        from orchestrator.cli.output import emit_json, print_result
        from orchestrator.pipeline.sizes import read_size

        cache = _open()
        if max_size is not None:
            removed = cache.collect(down_to_bytes=read_size(max_size, "--max-size"))
        else:
            removed = cache.collect(older_than_s=days * 86400)
        if json_:
            emit_json({"removed": removed.entries, "bytes": removed.bytes})
            return
        print_result(f"removed {removed.entries} entries, {removed.bytes / 1e6:.1f} MB")

    @group.command(epilog="Example: hef cache why digits --arch hailo8l")
    def why(
        model: Annotated[str, typer.Argument(help="Name of the model.")],
        arch: Annotated[str | None, typer.Option(help="Chip; default: the recipe's first.")] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Tell which stages would run, and what changed since the last build."""
        from orchestrator.cli.output import emit_json, print_result
        from orchestrator.cli.up import make_journey
        from orchestrator.pipeline.builds import read_build
        from orchestrator.pipeline.journey import pick_archs
        from orchestrator.pipeline.plan import explain_difference

        with make_journey({}) as journey:
            loaded = journey.recipe(model)
            chip = pick_archs(loaded, arch)[0]
            made, _, _ = journey.plan(journey.request(loaded, chip))
            build = read_build(journey.final_folder(loaded.name, chip))
            last = build.summary.get("why", {}) if build else {}
        rows = [
            {
                "stage": stage.name,
                "cached": stage.entry is not None,
                "changed": explain_difference(last[stage.name], stage.why)
                if stage.name in last
                else None,
            }
            for stage in made.stages
        ]
        if json_:
            emit_json({"model": loaded.name, "arch": chip, "stages": rows})
            return
        for row in rows:
            print_result(f"{row['stage']:<10} {'cached' if row['cached'] else 'must run'}")
            changed = row["changed"]
            for line in changed if isinstance(changed, list) else []:
                print_result(f"           {line}")

    app.add_typer(group, name="cache")


def _open() -> StageCache:
    import os
    from pathlib import Path

    from orchestrator.pipeline.cache import StageCache
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    settings = resolve(open_workspace(), os.environ, {})
    return StageCache(Path(str(settings.cache.value)))
