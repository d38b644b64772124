"""The life of a container against a fake engine: drops, ladders, impatience."""

from __future__ import annotations

import io
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests

from orchestrator.engine import lifecycle
from orchestrator.engine.base import BuildRecord, EndKind, EngineInfo
from orchestrator.engine.lifecycle import DockerRunning
from orchestrator.engine.wire import Wire

INFO = EngineInfo("docker", "vm", "unix:///fake", "29.0")


def frame(text: str, stream: int = 1) -> bytes:
    data = text.encode()
    return struct.pack(">BxxxL", stream, len(data)) + data


class FakeApi:
    """As much of the SDK's client as a running container uses, with one container."""

    base_url = "http+docker://fake"
    api_version = "1.41"

    def __init__(self) -> None:
        self.timeout = 60.0
        self.running = True
        self.code = 0
        self.oom = False
        self.gone = False
        self.away = False
        self.deaf_to: set[str] = set()
        self.signals: list[str] = []
        self.removed: list[str] = []
        self.kept = b""
        self.on_kill: list[type[BaseException]] = []

    def _answer(self) -> None:
        if self.away:
            raise requests.exceptions.ConnectionError("connection reset")

    def inspect_container(self, name: str) -> dict[str, Any]:
        self._answer()
        if self.gone:
            raise docker.errors.NotFound("no such container")
        state = {"Running": self.running, "ExitCode": self.code, "OOMKilled": self.oom}
        return {"State": state}

    def kill(self, name: str, number: str) -> None:
        self._answer()
        self.signals.append(number)
        if self.on_kill:
            raise self.on_kill.pop()
        if number not in self.deaf_to:
            self.running = False
            self.code = 128 + int(signal.Signals[number])

    def remove_container(self, name: str, force: bool, v: bool) -> None:
        self._answer()
        self.removed.append(name)

    def get(self, url: str, **_: object) -> Any:
        self._answer()
        response = requests.Response()
        response.status_code = 200
        response.raw = io.BytesIO(self.kept)
        return response


class FakeConnection:
    """A connection that can be told whether the engine comes back."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.comes_back = False
        self.timeout = 60.0

    def reconnect(self, patience: float | None = None) -> bool:
        if self.comes_back:
            self.api.away = False
        return self.comes_back

    def answers(self) -> bool:
        return not self.api.away

    def set_timeout(self, seconds: float) -> float:
        before, self.timeout = self.timeout, seconds
        return before


class Box:
    """A running job, its fake engine, and the far end of its wire."""

    def __init__(self, work: Path, **more: Any) -> None:
        ours, self.theirs = socket.socketpair()
        self.api = FakeApi()
        self.connection = FakeConnection(self.api)
        record = BuildRecord("b", "n", "unix:///fake", "box", "i", work, 0.0, "1", False, "bind")
        self.running = DockerRunning(
            self.connection,  # type: ignore[arg-type]
            record,
            info=INFO,
            wire=Wire(ours),
            beat=False,
            memory_limit=None,
            **more,
        )

    def say(self, *lines: str) -> None:
        for line in lines:
            self.theirs.sendall(frame(f"{line}\n"))

    def end(self, code: int = 0) -> None:
        self.api.running, self.api.code = False, code
        self.theirs.close()


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(lifecycle, "LADDER", (("SIGINT", 0.2), ("SIGTERM", 0.2), ("SIGKILL", 0.5)))
    return Box(tmp_path)


def test_lines_then_the_ending_then_nothing_is_left(box: Box) -> None:
    box.say("one", '{"event": "guard"}', "two")
    box.end(3)
    with box.running as running:
        assert list(running.lines()) == ["one", "two"]
        ending = running.wait()
    assert (ending.kind, ending.exit_code) == (EndKind.FAILED, 3)
    assert box.api.removed == ["box"]
    assert running.wait() is ending
    assert running.stop() is ending


def test_the_end_of_the_stream_proves_nothing(box: Box) -> None:
    # A proxy closed the connection; the job runs on, and the engine kept its output.
    box.say("one", "two")
    box.api.kept = b"".join(frame(f"{line}\n") for line in ("one", "two", "three"))
    timer = threading.Timer(2.5, lambda: setattr(box.api, "running", False))
    timer.start()
    box.theirs.close()
    with box.running as running:
        assert list(running.lines()) == ["one", "two", "three"]
        assert running.wait().ok
    timer.join()


def test_an_engine_that_went_away_is_lost_and_not_a_failed_job(box: Box) -> None:
    box.say("one")
    box.api.away = True
    box.theirs.close()
    with box.running as running:
        assert list(running.lines()) == ["one"]
        ending = running.wait()
    assert ending.kind is EndKind.ENGINE_LOST
    assert box.api.removed == [], "the next start finds it by its label"


def test_an_engine_that_came_back_without_the_job_was_restarted(box: Box) -> None:
    box.api.kept = frame("one\n") + frame("two\n")
    box.say("one")
    box.connection.comes_back = True
    box.api.away = True
    box.end(143)
    with box.running as running:
        assert list(running.lines()) == ["one", "two"]
        ending = running.wait()
    assert ending.kind is EndKind.ENGINE_LOST
    assert "restarted" in ending.detail


@pytest.mark.parametrize(
    ("deaf_to", "signals"),
    [
        (set(), ["SIGINT"]),
        ({"SIGINT"}, ["SIGINT", "SIGTERM"]),
        ({"SIGINT", "SIGTERM"}, ["SIGINT", "SIGTERM", "SIGKILL"]),
    ],
)
def test_the_ladder_ends_with_the_first_signal_that_works(
    box: Box, deaf_to: set[str], signals: list[str]
) -> None:
    box.api.deaf_to = deaf_to
    ending = box.running.stop()
    assert box.api.signals == signals
    assert ending.kind is EndKind.INTERRUPTED
    assert box.api.removed == ["box"]
    assert box.connection.timeout == 60.0, "urgent requests are over"
    box.theirs.close()


@pytest.mark.second_try("a process is ended while the machine's load decides how far it is")
def test_a_second_ctrl_c_climbs_at_once_and_still_cleans_up(box: Box) -> None:
    box.api.deaf_to = {"SIGINT", "SIGTERM"}
    box.api.on_kill = [KeyboardInterrupt, KeyboardInterrupt]
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), box.running:
        raise KeyboardInterrupt
    assert time.monotonic() - started < 3
    assert box.api.signals == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert box.api.removed == ["box"]
    box.theirs.close()


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_stopping_on_an_engine_that_is_away_gives_up_in_time(box: Box) -> None:
    box.api.away = True
    started = time.monotonic()
    ending = box.running.stop()
    assert time.monotonic() - started < 5
    assert ending.kind is EndKind.INTERRUPTED
    assert ending.hint is not None
    box.theirs.close()


def test_a_container_that_somebody_removed_is_an_engine_that_lost_it(box: Box) -> None:
    box.api.gone = True
    box.theirs.close()
    with box.running as running:
        assert running.wait().kind is EndKind.ENGINE_LOST


def test_a_job_that_is_watched_only_goes_on_when_we_leave(tmp_path: Path) -> None:
    box = Box(tmp_path, stops_on_leave=False)
    box.say("one")
    with box.running as running:
        assert next(running.lines()) == "one"
    assert box.api.signals == []
    assert box.api.removed == []
    box.theirs.close()


def test_memory_is_the_cause_when_the_engine_says_so(box: Box) -> None:
    box.api.oom = True
    box.end(137)
    with box.running as running:
        assert running.wait().kind is EndKind.OOM


def test_releasing_writes_the_word_and_a_dead_engine_is_told(box: Box) -> None:
    box.running.release()
    assert box.theirs.recv(10) == b"go\n"
    box.theirs.close()
    box.end()
    box.running.wait()
    with pytest.raises(Exception, match="went away before the job began"):
        box.running.release()
