"""What a cluster's workers and whoever gave them an order say to each other, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, ExitCode, HefsmithError
from orchestrator.pipeline.news import Event

if TYPE_CHECKING:
    from collections.abc import Mapping


def event_document(event: Event) -> dict[str, object]:
    """Return an event as plain values."""
    document = {
        name: getattr(event, name)
        for name in Event.__dataclass_fields__
        if name != "finding" and getattr(event, name) is not None
    }
    if event.finding is not None:
        document["finding"] = event.finding.to_json()
    return document


def read_event(document: Mapping[str, Any]) -> Event:
    """Return the event of a document."""
    from hefsmith_worker.contract.findings import Finding

    values = dict(document)
    if "finding" in values:
        values["finding"] = Finding.from_json(values["finding"])
    return Event(**values)


def error_document(error: HefsmithError) -> dict[str, object]:
    """Return an error as plain values."""
    return {
        "message": error.message,
        "hint": error.hint,
        "code": error.code,
        "exit_code": int(error.exit_code),
    }


def told_error(document: Mapping[str, Any]) -> HefsmithError:
    """Return an error that a worker has told, of the class that has its exit code."""
    from orchestrator import errors

    code = ExitCode(int(document["exit_code"]))
    kinds = (
        errors.StageFailed,
        errors.ConfigError,
        errors.EngineError,
        errors.DeviceError,
        errors.ArtifactError,
        errors.Interrupted,
    )
    kind = next((one for one in kinds if one.exit_code == code), HefsmithError)
    return kind(str(document["message"]), hint=document.get("hint"), code=str(document.get("code")))


def same_folder(root: str) -> Path:
    """Return the project's folder as a worker sees it; raises :class:`ConfigError`."""
    folder = Path(root)
    if not folder.is_dir():
        msg = f"this worker does not see the project's folder {root}"
        hint = "Share it under the same path (NFS, or a mount), or clone it there."
        raise ConfigError(msg, hint=hint, code="cluster.folder")
    return folder
