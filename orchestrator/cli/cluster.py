"""Runs on a cluster from the command line: which there are, coming back to one, stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from orchestrator.pipeline.matrix.runs import RunRecord


def find_record(wanted: str | None, *, builds: int) -> RunRecord | None:
    """Return the run of this user that a name means, ``None`` when it means none.

    Without a name it is the only run, when no build runs in the background either.
    """
    from orchestrator.errors import ConfigError
    from orchestrator.pipeline.matrix import runs

    found = runs.find(wanted)
    if not found or (wanted is None and builds and len(found) == 1):
        return None
    if len(found) > 1:
        names = ", ".join(f"{one.id} ({one.root})" for one in found)
        msg = "several runs on a cluster match"
        raise ConfigError(msg, hint=f"Name one of them: {names}", code="cluster.run")
    return found[0]


def attach_run(address: str, run: str | None, root: str | None, *, as_json: bool) -> None:
    """Follow a run to its end with the table of a matrix, and take its results."""
    from orchestrator.api import Project
    from orchestrator.cli.display import PlainDisplay
    from orchestrator.cli.matrix import open_view, print_matrix
    from orchestrator.cli.output import emit_json, note

    view = open_view()
    with Project(root, observer=PlainDisplay()) as project:
        outcome = project.attach(run, cluster=address, view=view)
    if as_json:
        emit_json(outcome.to_json())
    else:
        print_matrix(outcome)
    if outcome.exit_code == 130 and not as_json:
        note("the run goes on unless it was stopped: hef attach, hef stop")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def stop_record(record: RunRecord) -> None:
    """Ask a run to stop; what it has made so far is in the store."""
    from orchestrator.cli.output import note
    from orchestrator.errors import ConfigError
    from orchestrator.pipeline.matrix import cluster, remote, runs

    try:
        topic = remote.find_run(record.address, record.id)
    except ConfigError:
        runs.forget(record.id)
        note(f"{record.id}: it is not on the cluster any more")
        return
    client = cluster.connect(record.address)
    try:
        remote.stop_run(client, topic)
    finally:
        client.close()
    note(f"{record.id}: its workers stop; hef attach {record.id} shows what it has made")
