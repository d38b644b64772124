"""Addresses for a person, for hef, and for ssh; and that what a hint prints can be run."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from orchestrator.cli.app import run
from orchestrator.device.address import (
    copy_id_command,
    device_argument,
    host_label,
    ssh_command,
)
from orchestrator.device.base import DeviceSpec, Identity
from orchestrator.device.connection import hop_specs, read_route
from orchestrator.device.connection_pool import default_pool
from orchestrator.device.faults import DeviceLacks, LoginRefused
from orchestrator.device.login import Login
from orchestrator.device.preflight import check_hef
from orchestrator.device.registry import parse_address, save_user_device
from orchestrator.device.trust import add_trust, known_fingerprints
from orchestrator.device.unreached import explain
from tests.unit.device.making import make_hef

PLAIN = DeviceSpec(name="pi5", host="pi5.lan", user="pi")


@pytest.mark.parametrize(
    ("address", "ssh", "copy"),
    [
        ("pi@10.0.0.4:2204", "ssh -p 2204 pi@10.0.0.4", "ssh-copy-id -p 2204 pi@10.0.0.4"),
        ("pi@[fe80::1]:2206", "ssh -p 2206 pi@fe80::1", "ssh-copy-id -p 2206 pi@fe80::1"),
        ("fe80::1", "ssh fe80::1", "ssh-copy-id fe80::1"),
        ("alias", "ssh alias", "ssh-copy-id alias"),
    ],
)
def test_ssh_takes_the_port_apart_and_no_brackets(address: str, ssh: str, copy: str) -> None:
    spec = parse_address(address)
    assert ssh_command(spec) == ssh
    assert copy_id_command(spec) == copy


def test_aliases_jumps_and_keys_stay() -> None:
    spec = replace(PLAIN, host="target", user=None, jump="pi@gate:2200")
    spec = replace(spec, identity_file=Path("/keys/my key"))
    assert ssh_command(spec) == "ssh -i '/keys/my key' -J pi@gate:2200 target"
    assert copy_id_command(spec) == (
        "ssh-copy-id -i '/keys/my key' -o ProxyJump=pi@gate:2200 target"
    )


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh to ask what it would do")
@pytest.mark.parametrize("address", ["pi@10.0.0.4:2204", "pi@[fe80::1]:2206", "pi@host", "host:23"])
def test_ssh_understands_the_line_as_it_was_meant(address: str) -> None:
    spec = replace(parse_address(address), jump="me@gate:2200")
    words = shlex.split(ssh_command(spec))
    done = subprocess.run([words[0], "-G", "-F", "none", *words[1:]], capture_output=True,
                          text=True, check=True)  # fmt: skip
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert told["hostname"] == spec.host
    assert told["port"] == str(spec.port or 22)
    assert told["proxyjump"] == "me@gate:2200"
    assert spec.user in (None, told["user"])


@pytest.mark.parametrize("address", ["pi@10.0.0.4:2204", "pi@[fe80::1]:2206", "pi@host"])
def test_what_hef_takes_for_a_device_leads_back_to_it(address: str) -> None:
    spec = parse_address(address)
    (word,) = shlex.split(device_argument(spec))
    assert parse_address(word) == spec
    assert device_argument(PLAIN) == "pi5"


def test_a_jump_host_is_trusted_by_the_device_behind_it(tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    config = tmp_path / "config"
    config.write_text("Host target\n  HostName 10.0.0.9\n  ProxyJump pi@gate,inner:2200\n")
    monkeypatch.setenv("HEFSMITH_SSH_CONFIG", str(config))
    spec = DeviceSpec(name="t", host="target")
    first, second = hop_specs(spec, read_route(spec))
    assert (first.host, first.jump, second.host, second.jump) == ("gate", None, "inner", "pi@gate")
    assert {device_argument(first), device_argument(second)} == {"t"}
    assert ssh_command(spec) == f"ssh -F {config} target"


def test_hints_about_a_login_are_lines_for_a_shell() -> None:
    spec = parse_address("pi@10.0.0.4:2204")
    route = read_route(spec)
    refused = explain(spec, route, asyncssh.PermissionDenied("no"))
    assert "ssh-copy-id -p 2204 pi@10.0.0.4" in str(refused.hint)
    assert "hef device add NAME pi@10.0.0.4:2204 --identity KEY --replace" in str(refused.hint)
    noted = replace(spec, name="pi5", jump="gate:22", python="/a b/python", shared=True)
    again = str(explain(noted, route, asyncssh.PermissionDenied("no")).hint)
    assert (
        "hef device add pi5 pi@10.0.0.4:2204 --jump gate:22 --python '/a b/python' --shared "
        "--identity KEY" in again
    )
    shut = explain(spec, route, ConnectionRefusedError())
    assert str(shut.hint).startswith("Is 2204 the right port?")
    plain = replace(spec, port=22)
    assert "port" not in str(explain(plain, read_route(plain), ConnectionRefusedError()).hint)
    away = explain(spec, route, TimeoutError())
    assert "Try: ssh -p 2204 pi@10.0.0.4" in str(away.hint)
    assert "pi@[10.0.0.4]:2204" in away.message


def test_a_server_that_ends_the_login_or_speaks_otherwise_is_a_server_all_the_same() -> None:
    """An agent with many keys ends at MaxAuthTries; both were called switched off or no SSH."""
    spec = DeviceSpec(name="pi5", host="pi5.lan", user="pi")
    route = read_route(spec)
    many = explain(spec, route, asyncssh.ProtocolError("Too many authentication failures"))
    assert isinstance(many, LoginRefused)
    assert "--identity KEY" in str(many.hint)
    said = (
        "No matching key exchange algorithm found, sent curve25519-sha256 and received "
        "diffie-hellman-group1-sha1,kex-strict-s-v00@openssh.com"
    )
    other = explain(spec, route, asyncssh.KeyExchangeFailed(said))
    assert other.message.endswith("it offers diffie-hellman-group1-sha1")
    assert "KexAlgorithms +curve25519-sha256" in str(other.hint)
    starting = '"System is booting up. See pam_nologin(8)"\n'
    login = Login("pi", banner=starting)
    lost = explain(spec, route, asyncssh.ConnectionLost("Connection lost"), login=login)
    assert 'ended the login: "System is booting up.' in lost.message
    assert "agree on no" in explain(spec, route, asyncssh.KeyExchangeFailed("no")).message


def test_a_proxy_command_that_ends_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config"
    config.write_text("Host away\n  ProxyCommand false\n")
    monkeypatch.setenv("HEFSMITH_SSH_CONFIG", str(config))
    save_user_device(DeviceSpec(name="away", host="away", user="pi"))
    assert run(["device", "identify", "away"]) == 4
    said = capfd.readouterr().err
    assert "the ProxyCommand of its ssh configuration ended" in said
    assert f"ssh -F {config} pi@away" in said
    assert "Unknown child" not in said


def test_without_a_terminal_the_line_for_a_key_is_the_devices_own() -> None:
    spec = parse_address("pi@10.0.0.4:2204")
    login = Login("pi", unheard=True)
    told = explain(spec, read_route(spec), asyncssh.PermissionDenied("no"), login=login)
    assert "no terminal to ask at" in told.message
    assert "ssh-copy-id -p 2204 pi@10.0.0.4" in str(told.hint)


def test_only_a_fingerprint_is_taken_for_one(
    servers: tuple[int, asyncssh.SSHKey, int, asyncssh.SSHKey], capsys: pytest.CaptureFixture[str]
) -> None:
    port, _key, _, other = servers
    save_user_device(DeviceSpec(name="door", host="127.0.0.1", port=port, user="pi"))
    for text in ("garbage", "SHA256:short", "MD5:0a:1b"):
        assert run(["device", "trust", "door", "--fingerprint", text]) == 2
        assert "is not a SHA256 fingerprint" in capsys.readouterr().err
    assert run(["device", "trust", "door", "--fingerprint", other.get_fingerprint()]) == 4
    assert "Do not connect" in capsys.readouterr().err


def test_the_line_for_a_key_that_changed_replaces_it(
    servers: tuple[int, asyncssh.SSHKey, int, asyncssh.SSHKey], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --replace the line that was printed led back to where it had come from."""
    port, key, _, other = servers
    save_user_device(DeviceSpec(name="door", host="127.0.0.1", port=port, user="pi"))
    add_trust(host_label("127.0.0.1", port), other, comment="test")
    assert run(["device", "trust", "door", "--replace"]) == 2
    hint = capsys.readouterr().err.partition("hint:")[2]
    assert run(shlex.split(hint.splitlines()[0])[1:]) == 0
    assert known_fingerprints(f"[127.0.0.1]:{port}") == (key.get_fingerprint(),)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"x" * 20_000, b""])
def test_what_is_no_ssh_server_is_not_said_to_be_switched_off(
    said: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong port: a web server answers there."""
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]

    def answer() -> None:
        came, _ = door.accept()
        with came:
            came.sendall(said)
            came.shutdown(socket.SHUT_WR)
            while came.recv(4096):
                pass

    thread = threading.Thread(target=answer)
    thread.start()
    save_user_device(DeviceSpec(name="web", host="127.0.0.1", port=port, user="pi"))
    assert run(["device", "trust", "web"]) == 4
    thread.join(20)
    door.close()
    told = capsys.readouterr().err
    assert "switched on" not in told
    assert f"Is {port} its port for SSH?" in told
    assert f"ssh -p {port} pi@127.0.0.1" in told


@pytest.mark.parametrize("command", ["identify", "check"])
def test_a_command_that_takes_a_name_as_a_word_asks_for_it_so(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        save_user_device(DeviceSpec(name=name, host="192.0.2.1"))
    assert run(["device", command]) == 2
    assert f"Name one: hef device {command} NAME" in capsys.readouterr().err


class _Jump(asyncssh.SSHServer):
    """Lets anybody in and anything through."""

    def begin_auth(self, username: str) -> bool:
        return False

    def connection_requested(self, *_: object) -> bool:
        return True


@pytest.fixture
def servers() -> Iterator[tuple[int, asyncssh.SSHKey, int, asyncssh.SSHKey]]:
    """Two SSH servers of this process: ports and keys of a jump host and of a device."""
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen(key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_factory=_Jump, server_host_keys=[key])

    def call(work: object) -> object:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)  # type: ignore[arg-type]

    listening = [call(listen(key)) for key in keys]
    gate, device = (one.get_port() for one in listening)  # type: ignore[attr-defined]
    yield gate, keys[0].convert_to_public(), device, keys[1].convert_to_public()

    async def close() -> None:
        for one in listening:
            one.close()  # type: ignore[attr-defined]
            await one.wait_closed()  # type: ignore[attr-defined]

    default_pool().close()
    call(close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.slow
def test_the_very_line_that_the_hint_prints_trusts_a_device_behind_a_jump_host(
    servers: tuple[int, asyncssh.SSHKey, int, asyncssh.SSHKey],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gate, gate_key, port, key = servers
    config = tmp_path / "config"
    config.write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {gate}\n  User pi\n"
        f"  UserKnownHostsFile {tmp_path}/none\n"
        f"Host target\n  HostName 127.0.0.1\n  Port {port}\n  User pi\n  ProxyJump gate\n"
        f"  UserKnownHostsFile {tmp_path}/none\n"
    )
    monkeypatch.setenv("HEFSMITH_SSH_CONFIG", str(config))
    assert run(["device", "add", "t", "target"]) == 0
    words = ["device", "identify", "t"]
    for expected in (gate_key, key):
        capsys.readouterr()
        assert run(words) != 0
        hint = capsys.readouterr().err
        printed = next(line.partition("hef device trust")[2] for line in hint.splitlines()
                       if "hef device trust" in line)  # fmt: skip
        line = ["device", "trust", *shlex.split(printed)]
        if "--fingerprint" not in line:
            # Nobody is at the terminal: the command says which line confirms the key.
            assert run(line) == 2
            hint = capsys.readouterr().err
            assert expected.get_fingerprint() in hint
            line = shlex.split(hint[hint.index("hef device trust") :].splitlines()[0])[1:]
        run(line)
    assert run(["device", "trust", "t", "--fingerprint", key.get_fingerprint()]) == 0
    assert known_fingerprints(f"[127.0.0.1]:{gate}") == (gate_key.get_fingerprint(),)
    assert known_fingerprints(f"[127.0.0.1]:{port}") == (key.get_fingerprint(),)


@pytest.mark.parametrize("address", ["pi@10.0.0.4:2204", "pi@[fe80::1]:2206", "pi5 via gate"])
def test_a_hint_names_the_device_as_it_was_named_with_its_port(
    address: str, tmp_path: Path
) -> None:
    hef = make_hef(tmp_path / "x.hef")
    with pytest.raises(DeviceLacks) as caught:
        check_hef(address, hef, Identity())
    assert caught.value.hint is not None
    words = shlex.split(caught.value.hint.partition(": ")[2])
    assert words == ["hef", "doctor", "--device", address.partition(" via ")[0]]
