"""What is read of a container whose log the engine does not end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from orchestrator.engine import output
from orchestrator.engine.container import State

KEPT = [(1, b"a\n"), (2, b"warning\n"), (1, b"b\n")]


class Log:
    """A followed log that gives its first line, and nothing more until it is closed."""

    follows: ClassVar[list[bool]] = []

    def __init__(self, api: object, name: str, *, follow: bool) -> None:
        del api, name
        self.follows.append(follow)
        self._follow = follow
        self._closed = threading.Event()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        yield from KEPT[:1] if self._follow else KEPT
        if self._follow:
            assert self._closed.wait(30)

    def close(self) -> None:
        self._closed.set()


class Ended:
    """A container that has ended."""

    name = "job"
    broken = False

    class connection:
        api = None

    def has_ended(self) -> bool:
        return True

    def process_gone(self, seconds: float) -> bool:
        del seconds
        return False

    def look(self) -> Any:
        return State(running=False, exit_code=0, oom_killed=False, error="")


def test_a_followed_log_that_never_ends_is_read_as_it_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "LogStream", Log)
    monkeypatch.setattr(output, "SILENT", 0.1)
    container: Any = Ended()
    read = output.Output(container, None, beats=False)
    assert sorted(read.lines()) == ["a", "b", "warning"]
    assert Log.follows == [True, False]
    read.close()
