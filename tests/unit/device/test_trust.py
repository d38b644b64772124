"""Host keys: nothing is ever accepted unseen, and every refusal says what to do."""

from __future__ import annotations

import shlex
from pathlib import Path

import asyncssh
import pytest

from orchestrator.device.base import DeviceSpec
from orchestrator.device.faults import HostKeyChanged, HostKeyUnknown
from orchestrator.device.login import Login, LoginClient
from orchestrator.device.trust import (
    HostCheck,
    add_trust,
    forget,
    host_label,
    known_fingerprints,
    trust_file,
)

SPEC = DeviceSpec(name="pi5", host="pi5.lan", user="pi")


def new_key(kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind).convert_to_public()


def line(key: asyncssh.SSHKey, host: str) -> str:
    return f"{host} {key.export_public_key().decode().strip()}\n"


def check(*files: Path, label: str = "pi5.lan") -> HostCheck:
    return HostCheck(spec=SPEC, label=label, files=files)


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_line_to_trust_it() -> None:
    judged, key = check(), new_key()
    assert judged.match("pi5.lan", "10.0.0.5", None) == ([], [], [])
    assert not LoginClient(judged, Login("pi")).validate_host_public_key(
        "pi5.lan", "10.0.0.5", 22, key
    )
    refused = judged.refusal()
    assert isinstance(refused, HostKeyUnknown)
    assert key.get_fingerprint() in refused.message
    assert "hef device trust pi5" in str(refused.hint)
    assert int(refused.exit_code) == 4


def test_a_trusted_key_is_matched_by_name_and_port() -> None:
    key = new_key()
    add_trust(host_label("pi5.lan", 2222), key, comment="pi5")
    assert check().match("pi5.lan", "10.0.0.5", 2222)[0] == [key]
    assert check().match("pi5.lan", "10.0.0.5", None)[0] == []
    assert check().match("pi5.lan", "10.0.0.5", 2223)[0] == []
    assert "PRIVATE" not in trust_file().read_text()


def test_a_changed_key_that_we_trusted_names_our_own_fix() -> None:
    old, new = new_key(), new_key()
    add_trust("pi5.lan", old, comment="pi5")
    judged = check()
    judged.match("pi5.lan", "", None)
    LoginClient(judged, Login("pi")).validate_host_public_key("pi5.lan", "", 22, new)
    refused = judged.refusal()
    assert isinstance(refused, HostKeyChanged)
    assert old.get_fingerprint() in refused.message
    assert new.get_fingerprint() in refused.message
    assert "hef device trust pi5 --replace" in str(refused.hint)


def test_a_changed_key_of_the_users_own_file_names_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line(new_key(), "pi5.lan"))
    judged = check(file)
    judged.match("pi5.lan", "", None)
    LoginClient(judged, Login("pi")).validate_host_public_key("pi5.lan", "", 22, new_key())
    assert f"ssh-keygen -f {file} -R pi5.lan" in str(judged.refusal().hint)


def test_our_file_goes_before_the_users_own(tmp_path: Path) -> None:
    ours, theirs = new_key(), new_key()
    add_trust("pi5.lan", ours, comment="pi5")
    file = tmp_path / "known_hosts"
    file.write_text(line(theirs, "pi5.lan"))
    assert check(file).match("pi5.lan", "", None)[0] == [ours]
    assert forget("pi5.lan")
    assert check(file).match("pi5.lan", "", None)[0] == [theirs]
    assert not forget("pi5.lan")


def test_hashed_names_and_damaged_lines_are_read(tmp_path: Path) -> None:
    import base64
    import hashlib
    import hmac

    key, salt = new_key(), b"0123456789abcdef0123"
    name = hmac.new(salt, b"pi5.lan", hashlib.sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(name).decode()}"
    file = tmp_path / "known_hosts"
    file.write_text("garbage\n|1|broken ssh-ed25519 AAAA\n" + line(key, hashed))
    assert check(file).match("pi5.lan", "", None)[0] == [key]


def test_a_revoked_key_is_handed_on_as_revoked(tmp_path: Path) -> None:
    key = new_key()
    file = tmp_path / "known_hosts"
    file.write_text("@revoked " + line(key, "pi5.lan"))
    assert check(file).match("pi5.lan", "", None) == ([], [], [key])


def test_a_key_that_the_user_revoked_is_refused_whatever_else_trusts_it(tmp_path: Path) -> None:
    """As ssh does: a line with @revoked in any of its files counts for ours, too."""
    key, other = new_key(), new_key()
    add_trust("pi5.lan", key, comment="pi5")
    add_trust("pi5.lan", other, comment="pi5")
    file = tmp_path / "known_hosts"
    file.write_text("@revoked " + line(key, "pi5.*"))
    judged = check(file)
    assert judged.match("pi5.lan", "", None) == ([other], [], [key])
    refused = judged.refusal()
    assert isinstance(refused, HostKeyChanged)
    assert "revoked" in refused.message
    assert key.get_fingerprint() in refused.message
    assert str(file) in refused.message
    assert "--replace" not in str(refused.hint)
    LoginClient(judged, Login("pi")).validate_host_public_key("pi5.lan", "", 22, new_key())
    assert "has changed" in judged.refusal().message, "another key than the revoked one"


def test_what_removes_a_key_is_quoted_for_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "my $(id) hosts"
    file.write_text(line(new_key(), "pi5.lan"))
    judged = check(file)
    judged.match("pi5.lan", "", None)
    LoginClient(judged, Login("pi")).validate_host_public_key("pi5.lan", "", 22, new_key())
    (fix,) = [one for one in str(judged.refusal().hint).splitlines() if "ssh-keygen" in one]
    assert shlex.split(fix) == ["ssh-keygen", "-f", str(file), "-R", "pi5.lan"]


def test_trusting_twice_writes_one_line_and_replace_forgets_the_old_key() -> None:
    old, new = new_key(), new_key("ecdsa-sha2-nistp256")
    add_trust("pi5.lan", old, comment="pi5")
    add_trust("pi5.lan", old, comment="pi5")
    add_trust("other", old, comment="other")
    assert len(trust_file().read_text().splitlines()) == 2
    add_trust("pi5.lan", new, comment="pi5", replace=True)
    assert known_fingerprints("pi5.lan") == (new.get_fingerprint(),)
    assert known_fingerprints("other") == (old.get_fingerprint(),)


@pytest.mark.parametrize("name", ["evil\x1b[2Jname"])
def test_names_are_escaped_in_messages(name: str) -> None:
    judged = HostCheck(spec=DeviceSpec(name=name, host="x"), label="x")
    assert "\x1b" not in judged.refusal().message
