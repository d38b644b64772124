"""What a cluster's workers and whoever gave them an order say to each other, as plain values."""

from __future__ import annotations

import contextlib
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, ExitCode, HefsmithError
from orchestrator.pipeline.news import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Mailbox:
    """Takes messages at once and reads them, in their order, in a thread of its own.

    The thread in which a client hears of them also brings it the scheduler's answers: if it waited
    for a lock of somebody who waits for such an answer, both would wait for ever.
    """

    def __init__(self) -> None:
        self._letters: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="hefsmith-news", daemon=True).start()

    def put(self, letter: Callable[[], None]) -> None:
        """Have something done in the reader's thread."""
        self._letters.put(letter)

    def close(self) -> None:
        """Read what already exists, and end."""
        self._letters.put(None)

    def _read(self) -> None:
        while (letter := self._letters.get()) is not None:
            with contextlib.suppress(Exception):  # of another version: no news, and no end of news
                letter()


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
