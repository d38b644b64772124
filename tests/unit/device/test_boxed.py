"""The embedded device whose programs run elsewhere: the same session, over channels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.device import boxed
from orchestrator.device.base import EMBEDDED
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.session import SshSession
from orchestrator.errors import HefsmithError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="what runs in the container is POSIX")


class Process:
    """What a container does, without one: the program with its streams."""

    def __init__(self, program: str, env: Mapping[str, str]) -> None:
        words = [sys.executable, "-c", program]
        given = {"PATH": os.environ["PATH"], **env}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, bufsize=0, env=given)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        assert self.process.stdout is not None
        # Small and odd pieces: a frame's header may come in two.
        while data := self.process.stdout.read(4099):
            yield 1, data

    def send(self, data: bytes) -> bool:
        assert self.process.stdin is not None
        view = memoryview(data)
        try:
            while view:
                view = view[self.process.stdin.write(view) :]
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture
def started() -> list[Process]:
    return []


@pytest.fixture
def session(
    started: list[Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SshSession]:
    monkeypatch.setattr(boxed, "HOME", str(tmp_path / "pi"))

    def make(program: str, env: Mapping[str, str], /) -> Process:
        node = {"HEFSMITH_EMULATED_NODE": str(tmp_path / "hailo0")}
        started.append(Process(program, {**env, **node}))
        return started[-1]

    with ConnectionPool() as pool:
        pool.box = make
        session = pool.connect(EMBEDDED)
        yield session
        session.close()
    for one in started:
        assert one.process.stdout is not None
        one.process.stdout.close()


def test_commands_streams_and_exit_codes_are_those_of_the_box(session: SshSession) -> None:
    done = session.run(["sh", "-c", "pwd; echo wrong >&2; exit 3"])
    assert done.code == 3
    assert str(done.out).strip().endswith("/pi")
    assert "wrong" in str(done.err)
    assert session.run(["true"]).code == 0, "a second channel"


def test_input_of_any_length_arrives_and_ends(session: SshSession) -> None:
    done = session.run(["wc", "-c"], stdin=b"x" * 700_001)
    assert "700001" in str(done.out)


@pytest.mark.slow
def test_files_go_there_and_back(session: SshSession, tmp_path: Path) -> None:
    sent = tmp_path / "sent.bin"
    sent.write_bytes(os.urandom(300_000))
    there = PurePosixPath(tempfile.gettempdir()) / f"{tmp_path.name}-there.bin"
    session.put(sent, there)
    session.get(there, tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == sent.read_bytes()
    session.run(["rm", str(there)])


def test_a_command_that_takes_too_long_is_ended(session: SshSession) -> None:
    with pytest.raises(HefsmithError):
        session.run(["sleep", "60"], timeout=0.5)
    assert session.run(["true"]).code == 0


def test_a_box_that_dies_ends_what_runs_and_says_so(
    session: SshSession, started: list[Process]
) -> None:
    assert session.run(["true"]).code == 0
    started[0].process.kill()
    started[0].process.wait()
    done = session.run(["true"])
    assert done.code != 0
