"""``hef ps``, ``logs``, ``attach``, ``stop`` and ``shell``: builds that run, and their box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)

if TYPE_CHECKING:
    from orchestrator.engine.base import BuildRecord
    from orchestrator.engine.protocols import Engine

BuildArgument = Annotated[
    str | None,
    typer.Argument(metavar="[BUILD]", help="Id, its beginning, or name; the only one if left out."),
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="docker, a context, or ssh://user@host.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ps", epilog="Example: hef ps --json")(list_builds)
    app.command("logs", epilog="Example: hef logs 3f9a --follow")(show_log)
    app.command("attach", epilog="Example: hef attach 3f9a")(attach)
    app.command("stop", epilog="Example: hef stop 3f9a")(stop)
    app.command("prune", epilog="Example: hef prune --dry-run")(prune)
    app.command("shell", epilog="Example: hef shell digits -- python -c 'import torch'")(shell)


def list_builds(as_json: Json = False) -> None:
    """List the builds that run in the background. Those that wait to be collected, too."""
    import time
    from pathlib import Path

    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.engine import registry
    from orchestrator.errors import escape_control
    from orchestrator.pipeline.matrix import runs

    rows = [
        {
            "id": record.id,
            "name": record.name,
            "engine": record.engine,
            "state": _state(record),
            "detached": record.detached,
            "started": record.started,
            "work": str(record.work),
        }
        for record in registry.records()
    ]
    rows += [
        {
            "id": run.id,
            "name": Path(run.root).name,
            "engine": run.address,
            "state": "cluster",
            "detached": True,
            "started": run.started,
            "work": run.root,
        }
        for run in runs.records()
    ]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        note("no build runs; start one in the background with: hef up MODEL --detach")
        return
    print_result(f"{'ID':<10}{'STATE':<14}{'AGE':<8}{'NAME':<28}ENGINE")
    for row in rows:
        minutes = max(0, int(time.time() - float(str(row["started"]))) // 60)
        age = f"{minutes // 60}h{minutes % 60:02d}"
        name = escape_control(str(row["name"]))
        print_result(f"{row['id']:<10}{row['state']:<14}{age:<8}{name:<28}{row['engine']}")


def show_log(
    build: BuildArgument = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the build ends.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", "--json", help="Print the worker's events as they are.")
    ] = False,
) -> None:
    """Print what a build has said so far."""
    from orchestrator.cli.output import print_result
    from orchestrator.engine import registry

    record = registry.find(build)
    engine = _open(record)
    try:
        for line in engine.log(record, follow=follow):
            text = line if raw else readable(line)
            if text is not None:
                print_result(text, quoted=True)
    finally:
        engine.close()


def attach(
    build: BuildArgument = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="tcp://HOST:8786", help="A run on this Dask cluster."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a background build or a cluster run to its end. Its results are collected then.

    A build that is there is not proven yet: hef up MODEL then ships and validates it.

    Ctrl-C leaves it running.
    """
    from orchestrator.cli.cluster import attach_run, find_record
    from orchestrator.cli.display import open_display
    from orchestrator.cli.output import emit_json, note
    from orchestrator.cli.summary import print_summary
    from orchestrator.cli.up import make_session
    from orchestrator.engine import registry
    from orchestrator.pipeline.outcome import outcome_of

    if cluster is not None:
        attach_run(cluster, build, None, as_json=as_json)
        return
    if (run := find_record(build, builds=len(registry.records()))) is not None:
        attach_run(run.address, run.id, run.root, as_json=as_json)
        return
    record = registry.find(build)
    engine = _open(record)
    try:
        with open_display() as display, make_session({}, observer=display) as session:
            made = session.attach(record, engine)
    except KeyboardInterrupt:
        note(f"the build {record.id} goes on; stop it with: hef stop {record.id}")
        raise
    finally:
        engine.close()
    summary = outcome_of(made, None).to_json()
    if as_json:
        emit_json(summary)
    else:
        print_summary(summary)
    # The device is not held while a build runs by itself.
    note(f"not proven on a device yet: hef up {made.model}")


def stop(build: BuildArgument = None, as_json: Json = False) -> None:
    """Stop a build. What it made so far is dropped."""
    from orchestrator import processes
    from orchestrator.cli.cluster import find_record, stop_record
    from orchestrator.cli.output import emit_json, note
    from orchestrator.engine import registry
    from orchestrator.errors import ConfigError

    if (run := find_record(build, builds=len(registry.records()))) is not None:
        stop_record(run)
        if as_json:
            emit_json({"id": run.id, "engine": run.address})
        return
    record = registry.find(build)
    if not record.detached and processes.is_alive(record.process):
        number = record.process.partition("-")[0] or "?"
        msg = f"the build {record.id} belongs to another hef that still runs (process {number})"
        raise ConfigError(msg, hint="Press Ctrl-C there.", code="engine.not-detached")
    engine = _open(record)
    try:
        ending = engine.attach(record).stop()
        note(f"{record.id}: {ending.detail}")
    finally:
        engine.close()
    if as_json:
        emit_json({"id": record.id, "name": record.name, "engine": record.engine})


def prune(
    engine: EngineOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what hefsmith left on an engine. Old images, sent inputs and leftovers go.

    Layers for exports go when what they stand on is no emulator of this version and no imported
    toolchain. Images of a suite, what others made, and what a container uses are never touched.
    """
    from dataclasses import asdict

    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.engine.choose import choose_engine
    from orchestrator.errors import EngineError
    from orchestrator.toolchain import registry

    imported = registry.load_all()
    keep = {image for one in imported for image in (one.image, one.export_image) if image}
    choice = choose_engine(engine or "docker", need_docker=True)
    try:
        store = choice.engine.image_store()
        if store is None:
            msg = "the local engine keeps no images and no volumes"
            raise EngineError(msg, hint="Use --engine docker.")
        gone = store.prune(keep=keep, dry_run=dry_run)
    finally:
        choice.engine.close()
    if as_json:
        emit_json({"dry_run": dry_run, **asdict(gone)})
        return
    for name in (*gone.images, *gone.volumes):
        print_result(name)
    said = "would remove" if dry_run else "removed"
    print_result(
        f"{said} {len(gone.images)} images (up to {gone.bytes / 1e9:.1f} GB), "
        f"{len(gone.volumes)} volumes, {gone.containers} containers"
    )


def shell(
    model: Annotated[
        str | None, typer.Argument(help="Model whose folder is shown read-only in the box.")
    ] = None,
    command: Annotated[
        list[str] | None, typer.Argument(help="Command to run instead of a shell, after --.")
    ] = None,
    engine: EngineOption = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Another image than the emulator's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the docker command only.")
    ] = False,
) -> None:
    """Open a shell in the box that builds run in. Same image and limits, no network."""
    import shutil
    import subprocess
    from pathlib import Path

    from orchestrator.cli.output import note, print_result
    from orchestrator.engine.choose import choose_engine
    from orchestrator.errors import EngineError

    choice = choose_engine(engine or "docker", need_docker=True)
    try:
        reference = image or choice.engine.ensure_image("emulator").id
        folder = Path("models", model).resolve() if model else None
        words = choice.engine.shell(
            reference, tuple(command or ()), folder, terminal=_has_terminal()
        )
        if words is None:
            msg = "the local engine has no box to open a shell in"
            raise EngineError(msg, hint="Use --engine docker, or your own shell.")
        if dry_run:
            import shlex

            print_result(shlex.join(words), quoted=True)
            return
        client = shutil.which(words[0])
        if client is None:
            msg = f"a shell needs the {words[0]} command, which is not in PATH"
            raise EngineError(msg, hint="Install Docker's command line (docker-cli).")
        note(choice.said)
        done = subprocess.run([client, *words[1:]], check=False)
    finally:
        choice.engine.close()
    raise typer.Exit(done.returncode)


def _has_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stdout.isatty()


def _open(record: BuildRecord) -> Engine:
    from orchestrator.engine.choose import open_record

    return open_record(record)


def _state(record: BuildRecord) -> str:
    """Return the state of a build, ``unreachable`` when its engine does not answer."""
    from orchestrator.errors import HefsmithError

    engine = None
    try:
        engine = _open(record)
        return engine.status(record)
    except HefsmithError:
        return "unreachable"
    finally:
        if engine is not None:
            engine.close()


def readable(line: str) -> str | None:
    """Return an event line as a person reads it, ``None`` for one that says nothing new."""
    import json

    from orchestrator.errors import escape_control

    try:
        event = json.loads(line)
        kind = event["event"]
    except (ValueError, KeyError, TypeError):
        return escape_control(line)
    stage = event.get("stage") or "-"
    said = {
        "log": event.get("line"),
        "finding": f"{event.get('severity')}: {event.get('message')}",
        "stage_started": "started",
        "stage_finished": "finished",
        "stage_failed": f"failed: {event.get('message')}",
        "artifact": f"wrote {event.get('path')}",
    }.get(kind)
    return None if said is None else f"{stage}: {escape_control(str(said))}"
