"""Names, addresses, groups, and the ssh configuration of the user."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.device.base import DeviceSpec
from orchestrator.device.connection import read_route
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import DeviceUnreachable
from orchestrator.device.registry import (
    check_python,
    check_service,
    load_registry,
    parse_address,
    read_user_devices,
    remove_user_device,
    save_user_device,
    user_file,
)
from orchestrator.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("pi@raspberrypi.local", "pi", "raspberrypi.local", None),
        ("raspberrypi", None, "raspberrypi", None),
        ("pi@10.0.0.5:2222", "pi", "10.0.0.5", 2222),
        ("pi@[fe80::1%eth0]:2222", "pi", "fe80::1%eth0", 2222),
        ("fe80::1", None, "fe80::1", None),
        ("a@b@host", "a@b", "host", None),
        ("LAB\\pi@münchen.local", "LAB\\pi", "münchen.local", None),
        ("ssh://pi@host:2222/", "pi", "host", 2222),
        ("ssh://pi@[fe80::1]:22", "pi", "fe80::1", 22),
    ],
)
def test_addresses_are_read(text: str, user: str | None, host: str, port: int | None) -> None:
    spec = parse_address(text)
    assert (spec.user, spec.host, spec.port) == (user, host, port)


@pytest.mark.parametrize(
    "text",
    ["", "pi@", "pi@host:", "pi@host:0", "pi@host:65536", "pi@host:ssh", "host name", "-oProxy=x",
     "-x@host", "pi@host\x1b[2J", "[::1", "[::1]22"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address(text)
    assert "\x1b" not in refused.value.message


@pytest.mark.parametrize(
    "text",
    ["h;id", "$(id)", "x`id`.lan", "pi@a|b", "pi@a&b", "pi@'h'", 'pi@"h"', "h>f", "${HOME}", "a\\b",
     "pi;id@host", "$(id)@host", "`id`@host", "pi\\@host", "pi@host/path", "https://host"],
)  # fmt: skip
def test_what_a_shell_would_read_as_more_than_a_name_is_refused(text: str) -> None:
    """ssh puts host and user into ProxyCommand and Match exec as they are (its %h and %r)."""
    with pytest.raises(ConfigError, match="is not the address of a device"):
        parse_address(text)


def test_a_password_in_an_address_is_neither_kept_nor_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address("pi:geheim7@host")
    assert "geheim7" not in f"{refused.value.message} {refused.value.hint}"
    assert "--ask-password" in str(refused.value.hint)


def test_the_whole_address_is_named_with_its_wrong_port() -> None:
    for text in ("pi@host:", "pi@host:ssh", "pi@[::1]x"):
        with pytest.raises(ConfigError) as refused:
            parse_address(text)
        assert text in refused.value.message


@pytest.mark.parametrize("unit", ["x; reboot", "-H evil", "--root=/", "x\x1b.service", "a b", ""])
def test_a_service_is_the_name_of_a_unit(unit: str) -> None:
    with pytest.raises(ConfigError, match="the name of a systemd unit"):
        check_service(unit)
    for good in ("frigate.service", "frigate", "app@1.service", r"a\x2db.service"):
        check_service(good)


@pytest.mark.parametrize("python", ["-c", "it's", "", "  "])
def test_python_is_a_program(python: str) -> None:
    with pytest.raises(ConfigError, match="Python"):
        check_python(python)
    for good in (
        "python3",
        "/opt/my env/bin/python",
        "/usr/bin/env python3",
        "'/a b/python' -X dev",
    ):
        check_python(good)


def test_devices_last_and_can_be_removed() -> None:
    spec = DeviceSpec(
        name="pi5", host="10.0.0.5", user="pi", port=2222, identity_file=Path("/keys/id"),
        jump="gate", groups=("lab",), service="frigate.service", ask_password=True,
        python="/opt/venv/bin/python",
    )  # fmt: skip
    save_user_device(spec)
    assert read_user_devices() == {"pi5": spec}
    assert remove_user_device("pi5") == spec
    assert read_user_devices() == {}
    assert remove_user_device("pi5") is None


@pytest.mark.parametrize("text", ["[]", "{}", '{"devices": {"a": 5}}', "5"])
def test_a_damaged_list_is_told_without_words_of_python(text: str) -> None:
    path = save_user_device(DeviceSpec(name="pi5", host="one"))
    path.write_text(text)
    with pytest.raises(ConfigError, match="cannot be read: it is not a list of devices"):
        read_user_devices()


def test_an_entry_is_not_replaced_by_chance() -> None:
    save_user_device(DeviceSpec(name="pi5", host="one"))
    save_user_device(DeviceSpec(name="pi5", host="one"))
    with pytest.raises(ConfigError, match="there is a device pi5 already"):
        save_user_device(DeviceSpec(name="pi5", host="two"))
    save_user_device(DeviceSpec(name="pi5", host="two"), replace_existing=True)
    assert read_user_devices()["pi5"].host == "two"


@pytest.mark.parametrize("name", ["all", "embedded", "x y", "", "a,b", "-x", "pi5"])
def test_a_group_takes_no_place_of_a_device(name: str) -> None:
    """``--group embedded`` sent every build for the embedded device to a Pi."""
    save_user_device(DeviceSpec(name="pi5", host="one"))
    assert run(["device", "add", "kitchen", "pi@10.0.0.21", f"--group={name}"]) == 2
    assert "kitchen" not in read_user_devices()


@pytest.mark.parametrize("name", ["all", "embedded", "a b", "pi@host", "-x", "", "5pi", "a,b"])
def test_names_that_could_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a device's name"):
        save_user_device(DeviceSpec(name=name, host="x"))


@pytest.mark.parametrize("text", ["{", "[]", '{"devices": {"a": {}}}', '{"devices": 3}', "null"])
def test_a_damaged_file_is_one_clear_message(text: str) -> None:
    user_file().parent.mkdir(parents=True, exist_ok=True)
    user_file().write_text(text)
    with pytest.raises(ConfigError, match=r"devices\.json: cannot be read"):
        read_user_devices()


def test_names_groups_and_lists_are_resolved_each_device_once() -> None:
    project = {name: DeviceSpec(name=name, host=name) for name in ("a", "b", "c")}
    save_user_device(DeviceSpec(name="d", host="d", groups=("lab",)))
    registry = load_registry(project, {"lab": ("a", "b"), "both": ("lab", "c")})

    def names(*given: str) -> list[str]:
        return [spec.name for spec in registry.resolve(given)]

    assert names("c,a", "c") == ["c", "a"]
    assert names("lab") == ["a", "b", "d"]
    assert names("both") == ["a", "b", "d", "c"]
    assert sorted(names("all")) == ["a", "b", "c", "d"]
    assert names("embedded") == ["embedded"]
    assert registry.resolve(["pi@10.0.0.5"])[0].host == "10.0.0.5"


def test_a_misspelt_name_gets_the_closest_one() -> None:
    registry = load_registry({"garage": DeviceSpec(name="garage", host="x")})
    with pytest.raises(ConfigError) as refused:
        registry.resolve(["garrage"])
    assert "Did you mean garage?" in str(refused.value.hint)


def test_a_group_that_contains_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="contains itself"):
        load_registry({}, {"a": ("b",), "b": ("a",)}).resolve(["a"])


def test_the_projects_device_goes_before_the_users_of_the_same_name() -> None:
    save_user_device(DeviceSpec(name="pi5", host="mine"))
    registry = load_registry({"pi5": DeviceSpec(name="pi5", host="project")})
    assert registry.resolve(["pi5"])[0].host == "project"


@pytest.fixture
def ssh_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    included = tmp_path / "lab.conf"
    included.write_text(
        "Host pi5\n  HostName 10.0.0.5\n  Port 2222\n  User maker\n  ProxyJump gate,inner:2200\n"
        "  RemoteCommand tmux attach\n  RequestTTY force\n  UserKnownHostsFile none\n"
        "  StrictHostKeyChecking no\n"
    )
    config = tmp_path / "config"
    config.write_text(f"Include {included}\nHost direct\n  ProxyJump none\n")
    monkeypatch.setenv("HEFSMITH_SSH_CONFIG", str(config))
    return config


@pytest.mark.usefixtures("ssh_config")
def test_the_users_ssh_configuration_is_followed_through_include() -> None:
    route = read_route(DeviceSpec(name="pi5", host="pi5"))
    assert (route.host, route.port, route.user) == ("10.0.0.5", 2222, "maker")
    assert route.label == "[10.0.0.5]:2222"
    assert route.jumps == ("gate", "inner:2200")


@pytest.mark.usefixtures("ssh_config")
def test_what_the_device_entry_states_goes_before_the_configuration() -> None:
    route = read_route(DeviceSpec(name="x", host="pi5", user="pi", port=22, jump="other"))
    assert (route.port, route.user, route.jumps) == (22, "pi", ("other",))
    assert read_route(DeviceSpec(name="d", host="direct")).jumps == ()


@pytest.mark.usefixtures("ssh_config")
def test_settings_for_a_terminal_do_not_reach_our_sessions() -> None:
    options = read_route(DeviceSpec(name="pi5", host="pi5")).options
    assert options.command is None
    assert not options.request_pty


def test_a_damaged_configuration_is_one_clear_message(ssh_config: Path) -> None:
    ssh_config.write_text("Host x\n  Port many\n")
    with pytest.raises(ConfigError, match=r"ssh configuration"):
        read_route(DeviceSpec(name="x", host="x"))


def test_a_missing_identity_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/id does not exist"):
        read_route(DeviceSpec(name="x", host="x", identity_file=Path("/nowhere/id")))


def test_what_is_no_private_key_is_named_and_not_looked_for_in_the_configuration(
    tmp_path: Path,
) -> None:
    import asyncssh

    (public := tmp_path / "id_pi.pub").write_bytes(
        asyncssh.generate_private_key("ssh-ed25519").export_public_key()
    )
    (garbage := tmp_path / "id_garbage").write_text("garbage\n")
    for path, hint in ((public, f"not the public one: {tmp_path}/id_pi"), (garbage, "the agent.")):
        with pytest.raises(ConfigError, match=f"x: .*{path.name} is not a private key") as told:
            read_route(DeviceSpec(name="x", host="x", identity_file=path))
        assert str(told.value.hint).endswith(hint)
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_route(DeviceSpec(name="x", host="x", identity_file=tmp_path))


def test_a_key_of_the_configuration_that_is_not_on_this_machine_is_left_out(
    ssh_config: Path, tmp_path: Path
) -> None:
    """As ssh does: one configuration often serves several machines."""
    import asyncssh

    key, lost = tmp_path / "id_here", tmp_path / "id_elsewhere"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    ssh_config.write_text(
        f"Host *\n  IdentityFile {lost}\n  IdentityFile {key}\n  User maker\n  IdentitiesOnly yes\n"
    )
    route = read_route(DeviceSpec(name="x", host="x"))
    assert route.user == "maker"
    assert [Path(pair.get_comment() or key) for pair in route.options.client_keys] == [key]
    ssh_config.write_text(f"Host *\n  IdentityFile {lost}\n")
    assert read_route(DeviceSpec(name="x", host="x")).options.client_keys is not None
    ssh_config.write_text(f"Host *\n  IdentityFile {lost}\n  IdentitiesOnly yes\n")
    with pytest.raises(ConfigError, match=r"x: .*id_elsewhere, which .* names, does not exist"):
        read_route(DeviceSpec(name="x", host="x"))


def test_a_port_where_nobody_listens_says_how_to_switch_ssh_on(pool: ConnectionPool) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(DeviceUnreachable, match="no SSH server answers") as refused:
            pool.connect(DeviceSpec(name="x", host="127.0.0.1", port=port, user="pi"))
    assert "do_ssh" in str(refused.value.hint)


def test_something_that_is_no_ssh_server_is_told(pool: ConnectionPool) -> None:
    import socket
    import threading

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        spec = DeviceSpec(name="x", host="127.0.0.1", port=server.getsockname()[1], user="pi")
        with pytest.raises(DeviceUnreachable):
            pool.connect(spec)
        thread.join()


@pytest.mark.parametrize("what", ["devices", "keys"])
def test_what_is_noted_at_the_same_moment_is_all_kept(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that adds a fleet side by side had one device in the end, and no error."""
    from concurrent.futures import ThreadPoolExecutor

    import asyncssh

    from orchestrator import files
    from orchestrator.device import registry, trust

    def slow(path: Path, content: str, *, private: bool) -> None:
        time.sleep(0.05)
        files.write_atomic(path, content, private=private)

    monkeypatch.setattr(registry, "write_atomic", slow)
    monkeypatch.setattr(trust, "write_atomic", slow)
    key = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()

    def note(number: int) -> None:
        if what == "devices":
            save_user_device(DeviceSpec(name=f"pi{number}", host="10.0.0.4"))
        else:
            trust.add_trust(f"pi{number}", key, comment="test")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(note, range(6)))
    if what == "devices":
        assert sorted(registry.read_user_devices()) == [f"pi{number}" for number in range(6)]
    else:
        assert all(trust.known_fingerprints(f"pi{number}") for number in range(6))
