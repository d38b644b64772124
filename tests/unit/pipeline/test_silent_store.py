"""A store over SSH that falls silent: the wait ends, and it is said why."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from orchestrator.pipeline.sharing import objects
from orchestrator.pipeline.sharing.objects import StoreError, open_objects


class Door(asyncssh.SSHServer):
    """Lets everybody in who has any key."""

    open: list[asyncssh.SSHServerConnection]

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.open.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


class Silent(asyncssh.SFTPServer):
    """Answers nothing about a file."""

    async def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:  # type: ignore[override]
        await asyncio.sleep(3600)
        raise AssertionError

    stat = lstat


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server whose key is known."""
    host, login = (asyncssh.generate_private_key("ssh-ed25519") for _ in "ab")
    Door.open = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Door, server_host_keys=[host], config=None,
            sftp_factory=Silent,
        )  # fmt: skip

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    port = server.get_port()
    keys = tmp_path / ".ssh"
    keys.mkdir()
    login.write_private_key(str(keys / "id_ed25519"))
    known = host.export_public_key().decode()
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield f"sftp://me@127.0.0.1:{port}/srv"

    async def close() -> None:
        server.close()
        for one in Door.open:
            one.abort()
            await one.wait_closed()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(close(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.timeout(120)
@pytest.mark.skipif("os.name == 'nt'", reason="the keys of this test lie in HOME")
def test_a_server_that_says_nothing_is_left_in_time_and_said_to_be(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setattr(objects, "_SILENT_S", 0.5)
    place = open_objects(silent, tmp_path, writing=False)
    with pytest.raises(StoreError, match="no answer in time"):
        place.size("x")
    # The next one does not meet the connection on which an answer is still owed.
    other = open_objects(silent, tmp_path, writing=False)
    assert other._system is not place._system  # type: ignore[attr-defined]
    other._system.client.close()  # type: ignore[attr-defined]
