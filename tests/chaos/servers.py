"""Stores of each kind on this machine: a folder, a server that speaks S3, one that speaks SFTP."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("folder", "s3", "sftp")


@dataclass(frozen=True)
class Served:
    """A store: its address, and what the environment of those must have who use it.

    ``home`` is the home folder that they need, where one is needed.
    """

    address: str
    environ: dict[str, str] = field(default_factory=dict)
    home: Path | None = None


@contextmanager
def serve(kind: str, folder: Path) -> Iterator[Served]:
    """Serve an empty store of a kind, in ``folder``, which is there."""
    with {"folder": _folder, "s3": _s3, "sftp": _sftp}[kind](folder) as served:
        yield served


@contextmanager
def _folder(folder: Path) -> Iterator[Served]:
    share = folder / "share"
    share.mkdir()
    yield Served(str(share))


@contextmanager
def _s3(folder: Path) -> Iterator[Served]:
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    environ = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
    ).create_bucket(Bucket="team")
    try:
        yield Served("s3://team/hefsmith", environ)
    finally:
        server.stop()


@contextmanager
def _sftp(folder: Path) -> Iterator[Served]:
    import asyncssh

    home = folder / "its home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    mine, its = (asyncssh.generate_private_key("ssh-ed25519") for _ in "ab")
    mine.write_private_key(home / ".ssh" / "id_ed25519")
    (home / ".ssh" / "id_ed25519").chmod(0o600)
    keys = folder / "authorized_keys"
    mine.write_public_key(keys)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sftp", daemon=True)
    thread.start()

    async def begin() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[its], authorized_client_keys=str(keys),
            sftp_factory=True,
        )  # fmt: skip

    async def end() -> None:
        server.close()
        await server.wait_closed()

    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    port = server.get_port()
    public = its.export_public_key().decode().strip()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    try:
        yield Served(f"sftp://me@127.0.0.1:{port}{folder}/team", home=home)
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
