"""Which engine is meant, on any system and with any settings."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PureWindowsPath

import pytest

from orchestrator.engine.address import (
    DEFAULT_POSIX,
    DEFAULT_WINDOWS,
    LOCAL,
    Address,
    choose_address,
    contexts,
    docker_config_folder,
    other_sockets,
)
from orchestrator.errors import ConfigError


def choose(asked: str | None = None, config: Path = Path("/none"), **more: object) -> Address:
    options = {"environ": {}, "windows": False, **more}
    return choose_address(asked, docker_config=config, **options)  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Docker's settings with the contexts colima (current) and lab (TLS, not verified)."""
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    for name, endpoint in (
        ("colima", {"Host": "unix:///home/me/.colima/docker.sock", "SkipTLSVerify": False}),
        ("lab", {"Host": "tcp://lab:2376", "SkipTLSVerify": True}),
    ):
        key = hashlib.sha256(name.encode()).hexdigest()
        meta = tmp_path / "contexts/meta" / key
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(
            json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}})
        )
    (tmp_path / "contexts/tls" / key / "docker").mkdir(parents=True)
    return tmp_path


def test_without_any_settings_the_system_default_is_meant() -> None:
    assert choose().url == DEFAULT_POSIX
    assert choose(windows=True).url == DEFAULT_WINDOWS
    assert not choose(windows=True).far


def test_the_order_is_option_then_environment_then_context(config: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://env:2375"}
    assert choose("ssh://me@box", config, environ=environ).url == "ssh://me@box"
    assert choose(None, config, environ=environ).url == "tcp://env:2375"
    assert choose("docker", config, environ=environ).origin == "DOCKER_HOST"
    assert choose(None, config).url == "unix:///home/me/.colima/docker.sock"
    assert choose(None, config, environ={"DOCKER_CONTEXT": "lab"}).url == "tcp://lab:2376"
    assert choose(None, config, environ={"DOCKER_CONTEXT": "default"}).url == DEFAULT_POSIX


def test_a_context_brings_its_tls_files_and_whether_to_verify(config: Path) -> None:
    lab = choose("lab", config)
    assert (lab.verify_tls, lab.far) == (False, True)
    assert lab.tls is not None
    assert lab.tls.is_dir()
    colima = choose("context:colima", config)
    assert (colima.verify_tls, colima.tls, colima.far) == (True, None, False)


def test_tls_by_environment() -> None:
    environ = {"DOCKER_HOST": "tcp://x:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}
    assert choose(environ=environ).tls == Path("/c")


def test_names_of_the_project_win_over_contexts(config: Path) -> None:
    named = {"lab": "ssh://root@other:2222", "here": "local"}
    assert choose("lab", config, named=named).url == "ssh://root@other:2222"
    assert "hef.yaml" in choose("lab", config, named=named).origin
    assert choose("here", config, named=named) == LOCAL


@pytest.mark.parametrize("wrong", ["ftp://x", "ssh://me@box/path", "DOCKER://x", "://"])
def test_an_address_that_cannot_be_is_refused_with_examples(wrong: str) -> None:
    with pytest.raises(ConfigError) as error:
        choose(wrong)
    assert error.value.hint is not None
    assert "ssh://user@host" in error.value.hint


@pytest.mark.parametrize(
    "url", ["ssh://me:geheim7@box", "tcp://me:geheim7@box:2375", "https://me:geheim7@box/x",
            "ftp://me:geheim7@box", "ssh://me:geheim7@box/path"],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_unseen(url: str, config: Path) -> None:
    """The Docker SDK takes none, and would quote it in an error that people attach to reports."""
    ways = (
        lambda: choose(url),
        lambda: choose(None, environ={"DOCKER_HOST": url}),
        lambda: choose("lab", config, named={"lab": url}),
    )
    for way in ways:
        with pytest.raises(ConfigError) as refused:
            way()
        assert "geheim7" not in f"{refused.value.message} {refused.value.hint}"
    with pytest.raises(ConfigError, match="password"):
        choose("ssh://me:geheim7@box")


def test_an_unknown_name_lists_the_contexts_there_are(config: Path) -> None:
    with pytest.raises(ConfigError) as error:
        choose("la\x1bb", config)
    assert "\x1b" not in error.value.message
    assert "colima, lab" in (error.value.hint or "")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 3}', "\xff"])
def test_damaged_settings_mean_the_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    assert choose(None, tmp_path).url == DEFAULT_POSIX


def test_damaged_contexts_are_passed_over(config: Path) -> None:
    broken = config / "contexts/meta/broken"
    broken.mkdir()
    (broken / "meta.json").write_text('{"Name": "broken"}')
    assert sorted(contexts(config)) == ["colima", "lab"]


def test_other_products_sockets_are_known() -> None:
    found = other_sockets({"XDG_RUNTIME_DIR": "/run/u"}, Path("/h"), 7)
    for expected in (
        "unix:///h/.docker/run/docker.sock",
        "unix:///h/.colima/default/docker.sock",
        "unix:///h/.orbstack/run/docker.sock",
        "unix:///run/u/docker.sock",
        "unix:///run/u/podman/podman.sock",
        "unix:///h/.local/share/containers/podman/machine/podman.sock",
        "unix:///run/finch.sock",
    ):
        assert expected in found
    assert "unix:///run/user/7/docker.sock" in other_sockets({}, Path("/h"), 7)
    assert not any("{" in one or "None" in one for one in other_sockets({}, Path("/h"), None))


def test_windows_has_pipes_and_no_sockets() -> None:
    found = other_sockets({}, PureWindowsPath(r"C:\Users\me"), None, windows=True)  # type: ignore[arg-type]
    assert found == (
        "npipe:////./pipe/dockerDesktopLinuxEngine",
        "npipe:////./pipe/podman-machine-default",
    )


def test_the_folder_of_dockers_settings_can_be_moved() -> None:
    assert docker_config_folder({"DOCKER_CONFIG": "/x"}, Path("/h")) == Path("/x")
    assert docker_config_folder({}, Path("/h")) == Path("/h/.docker")
