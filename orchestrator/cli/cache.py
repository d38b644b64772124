"""``hef cache``: what the cache holds, why a stage is not in it, making it smaller, sharing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)

if TYPE_CHECKING:
    from orchestrator.pipeline.cache import StageCache
    from orchestrator.pipeline.sharing.exchange import Exchanged, Wish
    from orchestrator.pipeline.sharing.store import SharedStore

Models = Annotated[
    list[str] | None, typer.Argument(help="Models by name; default: all of the project.")
]
ArchOption = Annotated[
    list[str] | None, typer.Option("--arch", help="Chip, such as hailo8l; default: the recipe's.")
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="The engine that builds; default: the settings'.")
]
ToolchainOption = Annotated[
    str | None, typer.Option("--toolchain", help="What compiles; default: the settings'.")
]
CalibrationOption = Annotated[
    bool,
    typer.Option("--calibration", help="Also large calibration sets that no stage waits for."),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--at", metavar="STORE", help="Folder or URL; default: hef.yaml's store."),
]
DryOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would go and how much; copy nothing.")
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The cache of finished stages.", no_args_is_help=True)
    group.command("info", epilog="Example: hef cache info --json")(info)
    group.command("gc", epilog="Example: hef cache gc --days 30   or: hef cache gc --max-size 5g")(
        gc
    )
    group.command(
        "verify", epilog="Example: hef cache verify   or: hef cache verify --store --repair"
    )(verify)
    group.command("why", epilog="Example: hef cache why digits --arch hailo8l")(why)
    group.command("push", epilog="Example: hef cache push --to s3://bucket/hefsmith")(push)
    group.command("pull", epilog="Example: hef cache pull digits --from s3://bucket/hefsmith")(pull)
    app.add_typer(group, name="cache")


def info(
    as_json: Json = False,
) -> None:
    """Show where the cache is and how much is in it."""
    from orchestrator.cli.output import emit_json, print_result

    cache = _open()
    usage = cache.usage()
    if as_json:
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


def gc(
    days: Annotated[
        float, typer.Option(min=0, help="Remove what was not used for so many days.")
    ] = 30.0,
    max_size: Annotated[
        str | None,
        typer.Option(help="Remove the longest unused until so much is left, such as 5g."),
    ] = None,
    store: Annotated[
        bool, typer.Option("--store", help="Of the team's store instead: it is everybody's.")
    ] = False,
    at: StoreOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --store: say what would go.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove old entries; builds in artifacts/ are never touched."""
    from orchestrator.pipeline.sizes import read_size

    size = read_size(max_size, "--max-size") if max_size is not None else None
    seconds = None if size is not None else days * 86400
    if store or at is not None:
        _collect_store(at, seconds, size, dry_run, as_json)
    else:
        _collect(seconds, size, as_json)


def verify(
    store: Annotated[
        bool, typer.Option("--store", help="The team's store instead of this cache.")
    ] = False,
    at: StoreOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is damaged: it will be made again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every file and compare it with its digest. Exit code 6: one is damaged."""
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.errors import ExitCode
    from orchestrator.pipeline.sharing import upkeep

    if store or at is not None:
        found = upkeep.verify_store(_store(at, writing=repair), repair=repair)
    else:
        found = upkeep.verify_cache(_open(), repair=repair)
    if as_json:
        emit_json(found.to_json())
    else:
        for one in found.damaged:
            print_result(f"{one.stage:<10} {one.key[:12]}  {one.why}")
        print_result(
            f"{found.entries} entries, {found.files} files, {len(found.damaged)} damaged"
            + (f", {found.removed} removed" if repair else "")
            + f": {found.place}"
        )
        if found.damaged and not repair:
            print_result("--repair removes them; the next build makes them again")
    if found.damaged and not repair:
        raise typer.Exit(int(ExitCode.ARTIFACT))


def why(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    arch: Annotated[str | None, typer.Option(help="Chip; default: the recipe's first.")] = None,
    as_json: Json = False,
) -> None:
    """Tell which stages would run, and what changed since the last build."""
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.archs import pick_archs
    from orchestrator.pipeline.finished.builds import read_build
    from orchestrator.pipeline.plan import explain_difference

    with make_session({}) as session:
        loaded = session.recipe(model)
        chip = pick_archs(loaded, arch)[0]
        made, _, _ = session.plan(session.request(loaded, chip))
        build = read_build(session.final_folder(loaded.name, chip))
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
    if as_json:
        emit_json({"model": loaded.name, "arch": chip, "stages": rows})
        return
    for row in rows:
        print_result(f"{row['stage']:<10} {'cached' if row['cached'] else 'must run'}")
        changed = row["changed"]
        for line in changed if isinstance(changed, list) else []:
            print_result(f"           {line}")


def push(
    models: Models = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="STORE", help="Folder or URL; default: hef.yaml's store."),
    ] = None,
    arch: ArchOption = None,
    engine: EngineOption = None,
    toolchain: ToolchainOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole cache, not only what the models use now.")
    ] = False,
    calibration: CalibrationOption = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Send all, also over what is there: mends a store.")
    ] = False,
    dry_run: DryOption = False,
    as_json: Json = False,
) -> None:
    """Copy finished stages to a store that others pull from. Your pictures are in them."""
    from orchestrator.errors import ConfigError
    from orchestrator.pipeline.sharing.exchange import Wish

    if everything and (models or arch):
        msg = "--all means the whole cache: name no models and no chips"
        raise ConfigError(msg, hint="Leave out --all, or the names.")
    wish = Wish(models or (), arch or (), everything, calibration, anew, dry_run)
    _share(wish, to, {"engine": engine, "toolchain": toolchain}, writing=True, as_json=as_json)


def pull(
    models: Models = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="STORE", help="Folder or URL; default: hef.yaml's store."),
    ] = None,
    arch: ArchOption = None,
    engine: EngineOption = None,
    toolchain: ToolchainOption = None,
    calibration: CalibrationOption = False,
    dry_run: DryOption = False,
    as_json: Json = False,
) -> None:
    """Copy from a store what a build would make."""
    from orchestrator.pipeline.sharing.exchange import Wish

    wish = Wish(models or (), arch or (), calibration=calibration, dry_run=dry_run)
    flags = {"engine": engine, "toolchain": toolchain}
    _share(wish, from_, flags, writing=False, as_json=as_json)


def _collect(older_than_s: float | None, down_to_bytes: int | None, as_json: bool) -> None:
    from orchestrator.cli.output import emit_json, print_result

    removed = _open().collect(older_than_s=older_than_s or 0.0, down_to_bytes=down_to_bytes)
    if as_json:
        emit_json({"removed": removed.entries, "bytes": removed.bytes})
        return
    print_result(f"removed {removed.entries} entries, {removed.bytes / 1e6:.1f} MB")


def _store(address: str | None, *, writing: bool) -> SharedStore:
    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.sharing.exchange import open_store

    with make_session({}) as session:
        return open_store(session, address, writing=writing)


def _collect_store(
    address: str | None,
    older_than_s: float | None,
    down_to_bytes: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.pipeline.sharing import upkeep

    store = _store(address, writing=True)
    garbage = upkeep.collect_store(
        store, older_than_s=older_than_s, down_to_bytes=down_to_bytes, dry_run=dry_run
    )
    if as_json:
        emit_json(
            {
                "store": store.address,
                "dry_run": dry_run,
                "removed": len(garbage.entries),
                "files": len(garbage.files),
                "bytes": garbage.bytes,
            }
        )
        return
    would = "would be " if dry_run else ""
    print_result(
        f"{would}removed: {len(garbage.entries)} entries, {len(garbage.files)} files, "
        f"{garbage.bytes / 1e6:.1f} MB: {store.address}"
    )


def _share(
    wish: Wish,
    address: str | None,
    flags: dict[str, str | None],
    *,
    writing: bool,
    as_json: bool,
) -> None:
    from orchestrator.cli.display import open_display
    from orchestrator.cli.output import emit_json
    from orchestrator.cli.up import make_session
    from orchestrator.pipeline.sharing import exchange

    with open_display() as display, make_session(flags, observer=display) as session:
        store = exchange.open_store(session, address, writing=writing)
        outcome = (exchange.push if writing else exchange.pull)(session, store, wish)
        for warning in outcome.warnings:
            display.note(f"warning: {warning}")
    if as_json:
        emit_json(outcome.as_json())
    else:
        _tell(outcome, "sent" if writing else "fetched")


def _tell(outcome: Exchanged, done: str) -> None:
    """Print a line for each stage, and what it comes to."""
    from orchestrator.cli.output import print_result

    would = "would be " if outcome.dry_run else ""
    for row in outcome.rows:
        travels = row.action == done
        size = f"  {row.bytes / 1e6:.1f} MB" if travels else ""
        use = f"  ({', '.join(row.uses)})" if row.uses else ""
        action = f"{would}{row.action}" if travels else row.action
        print_result(f"{row.stage:<10} {action:<9}{size}{use}")
    count = outcome.count("sent") + outcome.count("fetched")
    stages = "stage" if count == 1 else "stages"
    print_result(f"{count} {stages}, {outcome.bytes / 1e6:.1f} MB {would}{done}: {outcome.store}")
    if done == "fetched" and outcome.count("refused"):
        print_result("hef cache push --anew, where these stages are whole, mends the store")
    if missing := outcome.count("not built") + outcome.count("not there"):
        where = "built here" if done == "sent" else "in the store"
        print_result(f"{missing} not {where}: hef build makes what is missing")


def _open() -> StageCache:
    from orchestrator.pipeline.cache import StageCache
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    return StageCache(resolve(open_workspace()).cache_folder)
