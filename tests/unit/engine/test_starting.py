"""What is advised where no engine answers fits the machine and the socket."""

from __future__ import annotations

import pytest

from orchestrator.engine.address import BY_DEFAULT, DEFAULT_POSIX, DEFAULT_WINDOWS, Address
from orchestrator.engine.failures import explain_contact
from orchestrator.engine.starting import Machine, how_to_start, this_machine

REFUSED = "ConnectionRefusedError: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("url", "machine", "words"),
    [
        (DEFAULT_POSIX, Machine(), "sudo systemctl start docker"),
        (DEFAULT_POSIX, Machine(systemd=False), "sudo service docker start"),
        (DEFAULT_POSIX, Machine(installed=False), "sudo apt install docker.io"),
        (DEFAULT_POSIX, Machine(installed=False, apt=False), "docs.docker.com/engine/install"),
        (DEFAULT_POSIX, Machine(installed=False, wsl=True), "WSL integration"),
        (DEFAULT_POSIX, Machine(system="darwin"), "Start Docker Desktop."),
        (DEFAULT_WINDOWS, Machine(system="win32"), "Start Docker Desktop."),
        ("unix:///run/user/1000/docker.sock", Machine(), "systemctl --user start docker"),
        ("unix:///run/podman/podman.sock", Machine(), "sudo systemctl start podman.socket"),
        (
            "unix:///run/user/1000/podman/podman.sock",
            Machine(),
            "systemctl --user start podman.socket",
        ),
        (
            "unix:///Users/x/.local/share/containers/podman/machine/podman.sock",
            Machine(system="darwin"),
            "podman machine start",
        ),
        ("unix:///Users/x/.colima/default/docker.sock", Machine(system="darwin"), "colima start"),
        ("unix:///Users/x/.orbstack/run/docker.sock", Machine(system="darwin"), "Start OrbStack."),
        ("unix:///srv/engine.sock", Machine(), "Start the engine that listens there."),
    ],
)
def test_the_command_is_one_of_this_machine(url: str, machine: Machine, words: str) -> None:
    """``sudo systemctl start docker`` was said on a Mac, and where Docker is not installed."""
    assert words in how_to_start(Address("docker", url, BY_DEFAULT), machine)


def test_the_hint_begins_with_it_and_does_not_send_doctor_to_doctor() -> None:
    address = Address("docker", DEFAULT_POSIX, BY_DEFAULT)
    message, hint = explain_contact(REFUSED, address, Machine(system="darwin"))
    assert message.startswith("no Docker engine answers at")
    assert hint.startswith("Start Docker Desktop.\n")
    assert "doctor" not in hint


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            (
                'APIError: 500 Server Error for http+docker://localhost/v: X ("Docker Desktop is '
                'starting") <- HTTPError: 500 Server Error: X for url: http+docker://localhost/v'
            ),
            "(500 Server Error): Docker Desktop is starting",
        ),
        (
            (
                "APIError: 403 Client Error for http+docker://localhost/version: Forbidden "
                '("authorization denied by\x1b[2J plugin")'
            ),
            "authorization denied by\\x1b[2J plugin",
        ),
        ("JSONDecodeError: Expecting value: line 1", "is not a Docker engine"),
        ("('Connection aborted.', BadStatusLine('SSH-2.0'))", "is not a Docker engine"),
    ],
)
def test_an_engine_that_answers_is_not_called_silent(said: str, words: str) -> None:
    """``sudo systemctl start docker`` was said of an engine that runs and refuses."""
    message, hint = explain_contact(said, Address("docker", DEFAULT_POSIX, BY_DEFAULT), Machine())
    assert words in message
    assert "no Docker engine answers" not in message
    assert "start docker" not in hint


def test_this_machine_is_looked_at() -> None:
    assert this_machine().system
