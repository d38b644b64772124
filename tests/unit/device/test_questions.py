"""What a server asks at a login, and what it wants beside a key: told, and put to the person."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import asyncssh
import pytest

from orchestrator.device import connection
from orchestrator.device.address import host_label
from orchestrator.device.base import DeviceSpec
from orchestrator.device.connection import read_route
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import DeviceUnreachable, LoginRefused
from orchestrator.device.login import PASSWORD, Login
from orchestrator.device.trust import add_trust
from orchestrator.device.unreached import explain

Listen = Callable[[type[asyncssh.SSHServer]], AbstractContextManager[DeviceSpec]]


class Codes(asyncssh.SSHServer):  # type: ignore[misc]  # untyped here
    """Takes a password, then a code, as PAM's questions."""

    step = 0

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> object:
        self.step = 1
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: list[str]) -> object:
        if self.step == 1 and responses == ["secret"]:
            self.step = 2
            return "Second\x1b[2J factor", "", "", [("Code: ", False)]
        return self.step == 2 and responses == ["123456"]


class Ended(asyncssh.SSHServer):  # type: ignore[misc]  # untyped here
    """Takes the password, and wants a new one."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        raise asyncssh.PasswordChangeRequired("it has ended")


class NoSessions(asyncssh.SSHServer):  # type: ignore[misc]  # untyped here
    """Lets everybody in, and starts nothing (MaxSessions 0)."""

    def begin_auth(self, username: str) -> bool:
        return False


@pytest.fixture
def listen(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> Listen:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    @contextmanager
    def serve(kind: type[asyncssh.SSHServer]) -> Iterator[DeviceSpec]:
        key = asyncssh.generate_private_key("ssh-ed25519")

        async def start() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1", 0, server_factory=kind, server_host_keys=[key], config=None
            )

        server = pool.thread.call(start())
        port = server.get_port()
        add_trust(host_label("127.0.0.1", port), key.convert_to_public(), comment="test")
        yield DeviceSpec(name="door", host="127.0.0.1", port=port, user="pi", ask_password=True)

        async def stop() -> None:
            server.close()
            await server.wait_closed()

        pool.thread.call(stop())

    return serve


def test_every_question_of_a_server_is_put_to_the_person(
    pool: ConnectionPool, listen: Listen
) -> None:
    """A one-time code could be typed nowhere, and the keys were blamed for it."""
    asked: list[str] = []
    threads: set[threading.Thread] = set()

    def answer(prompt: str) -> str:
        asked.append(prompt)
        threads.add(threading.current_thread())
        return "123456" if "Code" in prompt else "secret"

    with listen(Codes) as spec:
        pool.connect(spec, password=answer).close()
        where = f"(pi@[127.0.0.1]:{spec.port})"
        assert asked == [f"{where} Password: ", f"Second\\x1b[2J factor\n{where} Code: "]
        # Where Ctrl-C comes in, and a terminal without echo is mended.
        assert threads == {threading.current_thread()}
        asked.clear()
        with pytest.raises(LoginRefused, match="wants a password or a one-time code") as told:
            pool.connect(replace(spec, ask_password=False), password=answer)
        assert "--ask-password --replace" in str(told.value.hint)
        assert asked == []


def test_a_person_who_types_is_not_hurried(
    pool: ConnectionPool, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 1.0)

    def slow(prompt: str) -> str:
        time.sleep(1.2)
        return "123456" if "Code" in prompt else "secret"

    with listen(Codes) as spec:
        pool.connect(spec, password=slow).close()


def test_a_wrong_answer_is_not_called_a_key(pool: ConnectionPool, listen: Listen) -> None:
    with listen(Codes) as spec, pytest.raises(LoginRefused, match="what was typed"):
        pool.connect(spec, password=lambda _: "wrong")


def test_a_password_that_has_ended_is_told_so(pool: ConnectionPool, listen: Listen) -> None:
    with listen(Ended) as spec, pytest.raises(LoginRefused, match="wants a new password"):
        pool.connect(spec, password=lambda _: "secret")


def test_a_login_without_sessions_is_no_lost_link(pool: ConnectionPool, listen: Listen) -> None:
    with listen(NoSessions) as spec, pool.connect(spec) as session:
        with pytest.raises(LoginRefused, match="the login is accepted, but") as told:
            session.identify()
        assert "maxsessions" in str(told.value.hint)
        with pytest.raises(LoginRefused, match="the login is accepted, but"):
            session.run(["true"])


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2" + b"x" * 10_000, b"Hello\r\n" * 900])
def test_what_takes_the_connection_and_never_ends_a_login_is_not_switched_off(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Silent, or a byte at a time: each byte began the wait anew."""
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 0.6)
    ended = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = 0
        while not ended.is_set():
            writer.write(said[place : place + 1])
            place += 1
            await asyncio.sleep(0.1)
        writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(drip, "127.0.0.1", 0)

    server = pool.thread.call(start())
    port = server.sockets[0].getsockname()[1]
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match="took the connection, but no login") as told:
        pool.connect(DeviceSpec(name="door", host="127.0.0.1", port=port, user="pi"))
    assert time.monotonic() - began < 5
    assert "in this network" not in str(told.value.hint)

    async def stop() -> None:
        server.close()
        ended.set()
        await asyncio.sleep(0.2)

    pool.thread.call(stop())


def behind(error: Exception) -> tuple[str, str]:
    spec = DeviceSpec(name="pi5", host="10.0.0.4", user="pi", jump="me@gate")
    told = explain(spec, read_route(spec), error)
    return told.message, str(told.hint)


def test_a_jump_host_that_answers_is_told_from_what_is_behind_it() -> None:
    forbidden, hint = behind(asyncssh.ChannelOpenError(1, "open failed"))
    assert "jump host me@gate does not allow" in forbidden
    assert "AllowTcpForwarding" in hint
    away, _ = behind(asyncssh.ChannelOpenError(2, "No route to host"))
    assert "jump host me@gate answers, but does not reach pi@10.0.0.4: No route to host" in away
    silent, _ = behind(TimeoutError())
    assert "does not answer in time behind the jump host me@gate" in silent
    ended, _ = behind(asyncssh.ConnectionLost("Connection lost"))
    assert "closed the connection" in ended


def test_what_is_advised_for_a_jump_host_is_about_no_entry_of_a_device() -> None:
    spec = DeviceSpec(name="pi5 via gate", host="gate", user="me")
    for error in (
        asyncssh.PermissionDenied("no"),
        asyncssh.ProtocolError("Too many authentication failures"),
        ConnectionRefusedError(),
    ):
        hint = str(explain(spec, read_route(spec), error).hint)
        assert "hef device add" not in hint
        assert "raspi-config" not in hint


def test_a_key_is_not_called_unknown_where_more_is_wanted() -> None:
    """``AuthenticationMethods publickey,password``: after the key it takes no more keys."""
    spec = DeviceSpec(name="pi5", host="10.0.0.4", user="pi")
    login = Login("pi@10.0.0.4", wanted={PASSWORD})
    told = explain(spec, read_route(spec), asyncssh.PermissionDenied("no"), login=login)
    assert told.message.endswith("does not let you in by a key alone: it wants the password")
    assert "ssh-copy-id" not in str(told.hint)
