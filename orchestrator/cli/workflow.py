"""``hef init --ci``: a workflow for the user's own project."""

from __future__ import annotations


def write(service: str, *, force: bool, as_json: bool) -> None:
    """Write the workflow and say what to do with it."""
    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.project.ci import write_workflow
    from orchestrator.project.workspace import open_workspace

    path = write_workflow(open_workspace().root, service, force=force)
    if as_json:
        emit_json({"workflow": str(path), "service": service})
        return
    print_result(str(path))
    note("Commit it. What it does, and how a runner of yours takes part, stands at its top.")
