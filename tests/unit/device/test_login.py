"""Passwords: only when the device's entry asks for one, and never in an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import asyncssh
import pytest

from orchestrator.device import agent_client
from orchestrator.device.address import host_label
from orchestrator.device.base import DeviceSpec
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import DeviceLacks, LoginRefused
from orchestrator.device.trust import add_trust

SECRET = "secret words"


class Door(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("pi", SECRET)


@pytest.fixture
def spec(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceSpec]:
    """A server that lets in with a password only."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Door, server_host_keys=[key], config=None
        )

    server = pool.thread.call(listen())
    port = server.get_port()
    add_trust(host_label("127.0.0.1", port), key.convert_to_public(), comment="test")
    yield DeviceSpec(name="door", host="127.0.0.1", port=port, user="pi")

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    pool.thread.call(stop())


@pytest.mark.second_try("was seen to need one on a busy machine, for a reason not found yet")
def test_a_password_is_asked_for_only_when_the_entry_says_so(
    pool: ConnectionPool, spec: DeviceSpec
) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    with pytest.raises(LoginRefused, match="does not let you in by a key alone"):
        pool.connect(spec, password=answer)
    assert asked == []
    pool.connect(replace(spec, ask_password=True), password=answer).close()
    assert asked == [f"(pi@[127.0.0.1]:{spec.port}) Password: "]


@pytest.mark.second_try("was seen to need one on a busy machine, for a reason not found yet")
def test_a_wrong_password_is_refused_and_not_shown(pool: ConnectionPool, spec: DeviceSpec) -> None:
    with pytest.raises(LoginRefused) as refused:
        pool.connect(replace(spec, ask_password=True), password=lambda _: "wrong guess")
    assert "wrong guess" not in f"{refused.value.message}{refused.value.hint}"


@pytest.mark.second_try("was seen to need one on a busy machine, for a reason not found yet")
def test_without_anybody_to_ask_a_password_is_no_way_in(
    pool: ConnectionPool, spec: DeviceSpec
) -> None:
    with pytest.raises(LoginRefused, match="no terminal to ask at"):
        pool.connect(replace(spec, ask_password=True))


@pytest.mark.parametrize(
    "said",
    ["This account is currently not available.", "This service allows sftp connections only."],
)
def test_a_login_without_a_shell_is_told_in_its_own_words(pool: ConnectionPool, said: str) -> None:
    """The program has ended before ours could be sent to it."""
    told = refusal_of(pool, said, "", 1)
    assert "may not run programs" in told.message
    assert said in told.message
    assert "chsh" in str(told.hint)


@pytest.mark.parametrize(
    ("said", "complained", "status"),
    [
        ("", "", 3),
        ("Welcome!", "", 0),
        ("", "", 1),
        ("Welcome!", "$ ", 0),
        # ``exec tmux`` in ~/.bashrc.
        ("", "open terminal failed: not a terminal", 1),
    ],
)
def test_a_login_that_ends_by_itself_is_not_taken_for_a_missing_python(
    pool: ConnectionPool, said: str, complained: str, status: int
) -> None:
    """``exit`` or a menu in ~/.bashrc: what to install is no help there."""
    told = refusal_of(pool, said, complained, status)
    assert f"the login there ended with status {status} before python3 began" in told.message
    assert (complained or said).strip() in told.message
    assert "~/.bashrc" in str(told.hint)
    assert "pi@127.0.0.1 python3 --version" in str(told.hint)
    assert "apt install" not in str(told.hint)


def test_a_login_that_waits_is_not_taken_for_a_missing_python(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``exec sh -i`` in ~/.bashrc: it takes what is sent for its own commands."""
    monkeypatch.setattr(agent_client, "START_SECONDS", 0.5)

    told = refusal_of(pool, "", "$ ", None)
    assert "the login there went on by itself before python3 began: $" in told.message
    assert "apt install" not in str(told.hint)


def test_a_python_that_is_not_there_is_told_to_be_installed(pool: ConnectionPool) -> None:
    told = refusal_of(pool, "Welcome!", "bash: line 1: python3: command not found", 127)
    assert "does not run there: bash: line 1: python3: command not found" in told.message
    assert told.hint == "On the device: sudo apt install python3"


def test_a_password_that_has_expired_is_told(pool: ConnectionPool) -> None:
    told = refusal_of(pool, "", "Password change required but no TTY available.", 1)
    assert "must get a new password first" in told.message
    assert str(told.hint).endswith("pi@127.0.0.1")


def test_a_shell_that_ends_well_enough_for_csh_still_lacks_python(pool: ConnectionPool) -> None:
    told = refusal_of(pool, "", "python3: Command not found.", 1)
    assert told.hint == "On the device: sudo apt install python3"


def test_an_old_python_is_told_by_its_version(pool: ConnectionPool) -> None:
    """Ubuntu 20.04 has 3.8: our text there ends in a TypeError, which tells nobody anything."""
    told = refusal_of(pool, "HEFSMITH-PYTHON 3.8.18", "TypeError: 'type' object is not ...", 1)
    assert "is Python 3.8.18; hefsmith's helper needs 3.9 or newer" in told.message
    assert "--python" in str(told.hint)


@pytest.mark.parametrize("complained", ["", "json.decoder.JSONDecodeError: Expecting value"])
def test_a_login_that_reads_what_python_should_get_is_told(
    pool: ConnectionPool, complained: str
) -> None:
    """``read`` in ~/.bashrc: ``python3 --version`` works there."""
    told = refusal_of(pool, "HEFSMITH-PYTHON 3.11.2", complained, 1)
    assert "did not get all that hefsmith sent it" in told.message
    assert "read, cat" in str(told.hint)


def test_a_helper_that_ends_at_once_says_why(pool: ConnectionPool) -> None:
    told = refusal_of(pool, "HEFSMITH-PYTHON 3.11.2", "MemoryError", 1)
    assert told.message.endswith("ended at once: MemoryError")


def refusal_of(pool: ConnectionPool, said: str, complained: str, status: int | None) -> DeviceLacks:
    """Return what is told of a device whose logins run no program of ours."""
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def refuse(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write(f"{said}\r\n")
        process.stderr.write(complained)
        if status is None:  # a shell of its own, until its input ends
            await process.stdin.read()
        process.exit(127 if status is None else status)

    class Open(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Open, server_host_keys=[key], process_factory=refuse
        )

    server = pool.thread.call(listen())
    add_trust(host_label("127.0.0.1", server.get_port()), key.convert_to_public(), comment="test")
    spec = DeviceSpec(name="door", host="127.0.0.1", port=server.get_port(), user="pi")
    with pool.connect(spec) as session, pytest.raises(DeviceLacks) as told:
        session.identify()

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    pool.thread.call(stop())
    return told.value
