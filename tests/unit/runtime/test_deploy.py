"""``hef deploy``: a service of the user, on the embedded device with a stand-in for systemd."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from orchestrator.device.base import EMBEDDED, Release
from orchestrator.device.bundle import plan_bundle
from orchestrator.device.bundle_targets import TARGETS
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.deploy import (
    SOURCE,
    TOKEN,
    WEB,
    Service,
    ServiceManager,
    ServiceState,
    quoted,
    settings_text,
    unit_text,
    written,
)
from orchestrator.device.embedded import EmbeddedServer
from orchestrator.device.faults import DeviceMisbehaves
from orchestrator.device.ship import ship
from orchestrator.errors import ConfigError, DeviceError
from tests.unit.runtime.test_bundle import detector
from tests.unit.test_house import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.device.session import SshSession

pytestmark = pytest.mark.slow


@pytest.fixture
def session() -> Iterator[SshSession]:
    """The embedded device, of the test's own."""
    with ConnectionPool() as pool, pool.connect(replace(EMBEDDED, name="own")) as opened:
        (server,) = pool._embedded.values()
        assert isinstance(server, EmbeddedServer)
        server._env["XDG_RUNTIME_DIR"] = str(server.folder)
        yield opened


@pytest.fixture
def home(session: SshSession) -> Iterator[Path]:
    """The device's home, with systemd's stand-in, the user's journal, and a folder of pictures."""
    home = Path(str(session.home))
    runtime = home.parent
    tools = runtime / "bin"
    stand_in = (REPOSITORY / "docker/pi/user_systemd.py").read_text()
    (tools / "systemctl").write_text(stand_in.replace("/usr/bin/env python3", sys.executable))
    (tools / "journalctl").write_text(f'#!/bin/sh\ntail -n 50 "{runtime}"/*.log\n')
    (tools / "loginctl").write_text(
        f'#!/bin/sh\nif [ "$1" = show-user ]; then [ -e {runtime}/linger ] && echo Linger=yes'
        f" || echo Linger=no; else touch {runtime}/linger; fi\n"
    )
    for name in ("systemctl", "journalctl", "loginctl"):
        (tools / name).chmod(0o755)
    pictures = home / "pictures"
    pictures.mkdir()
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = 250
    Image.fromarray(pixels).save(pictures / "a.png")
    yield home
    for path in runtime.glob("*.service.json"):
        session.run(["systemctl", "--user", "stop", path.stem])


def deploy(session: SshSession, tmp_path: Path, **settings: str) -> ServiceManager:
    service = Service(model="net", arguments=("--score", "0.3"), settings=settings)
    model = detector(tmp_path)
    with written(plan_bundle(model, TARGETS["picamera2"])) as files:
        release = Release(model=service.app, arch=model.arch, hef=model.hef_name, files=files)
        ship(session, release)
    manager = ServiceManager(session, service)
    manager.install()
    return manager


def test_a_service_is_started_sees_something_and_is_removed(
    session: SshSession, home: Path, tmp_path: Path
) -> None:
    # The folder has an end, so the service is started anew again and again, as after a crash.
    manager = deploy(session, tmp_path, **{SOURCE: str(home / "pictures")})
    state = manager.wait(120)
    assert state.pictures == 1, state
    assert state.seen[0].startswith("lamp")
    assert state.lingers
    assert any("lamp" in line for line in state.log)
    settings = home / ".config/hefsmith/net.env"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    manager.stop()
    assert manager.state().active == "inactive"
    manager.start()
    assert manager.wait(120).pictures == 1
    manager.remove()
    assert not settings.exists()
    assert not (home / ".hefsmith/net.app").exists()
    with pytest.raises(DeviceError) as caught:
        manager.state()
    assert caught.value.code == "device.not-deployed"


def test_the_address_of_the_page_outlives_a_deploy(
    session: SshSession, home: Path, tmp_path: Path
) -> None:
    source = {SOURCE: str(home / "pictures")}
    manager = deploy(session, tmp_path, **source, **{WEB: "127.0.0.1:8080"})
    first = manager.state().page
    assert first is not None
    assert first.startswith("http://127.0.0.1:8080/?token=")
    again = deploy(session, tmp_path, **source, **{WEB: "8080"})
    assert again.state().page == first
    assert TOKEN in (home / ".config/hefsmith/net.env").read_text()
    without = deploy(session, tmp_path, **source)
    assert without.state().page is None


def test_a_service_that_sees_nothing_is_told_with_its_log(
    session: SshSession, home: Path, tmp_path: Path
) -> None:
    manager = deploy(session, tmp_path, **{SOURCE: "/nowhere"})
    started = time.monotonic()
    state = manager.wait(150)
    assert time.monotonic() - started < 100
    assert not state.works
    assert state.restarts >= 2
    assert any("no such camera" in line for line in state.log)
    assert home.is_dir()


def test_a_device_without_systemd_says_what_else_there_is(
    session: SshSession, tmp_path: Path
) -> None:
    tools = Path(str(session.home)).parent / "bin"
    (tools / "systemctl").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    (tools / "systemctl").chmod(0o755)
    with pytest.raises(DeviceError, match="no bus") as caught:
        deploy(session, tmp_path)
    assert "--as files" in (caught.value.hint or "")
    assert (Path(str(session.home)) / ".hefsmith/net.app/current/live.py").is_file()


def test_an_update_is_one_rename_and_sends_what_is_new(
    session: SshSession, home: Path, tmp_path: Path
) -> None:
    deploy(session, tmp_path, **{SOURCE: str(home / "pictures")})
    current = home / ".hefsmith/net.app/current"
    before = current.resolve()
    deploy(session, tmp_path, **{SOURCE: str(home / "pictures")})
    assert current.resolve() == before
    assert json.loads((current / "hefsmith.json").read_text())["model"] == "net"


def test_what_a_login_prints_is_no_answer(
    session: SshSession, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A greeting in ~/.bashrc stood in the unit as the path of Python, and no user lingered."""
    plain = session.run

    def greeted(words: list[str], **options: object) -> object:
        done = plain(words, **options)  # type: ignore[arg-type]
        return replace(done, out=f"\x1b[1mWelcome to pi5\nLinger=no\n{done.out}")

    monkeypatch.setattr(session, "run", greeted)
    manager = deploy(session, tmp_path, **{SOURCE: str(home / "pictures"), WEB: "8080"})
    unit = (home / ".config/systemd/user/hefsmith-net.service").read_text()
    assert "Welcome" not in unit
    state = manager.wait(120)
    assert state.lingers
    assert state.pictures == 1
    assert state.page is not None
    assert not any("Welcome" in line for line in state.log)
    manager.remove()


def test_the_log_of_a_service_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A camera program's log, and the token of its page, come from the device."""
    from orchestrator.cli.deploy import _act, _tell

    evil = "\x1b]0;PWNED\x07\x1b[2Jx"
    state = ServiceState(unit="u", active="active", pictures=1, page=evil, log=(evil,))
    manager = SimpleNamespace(service=Service(model="net"), device="pi5", state=lambda _: state)
    _act(manager, "log", as_json=False)  # type: ignore[arg-type]
    _tell("pi5", Service(model="net"), state, as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("\\x1b]0;PWNED\\x07\\x1b[2Jx") == 2
    assert "\x1b" not in shown


def test_a_question_that_fails_is_told_without_our_own_words(
    session: SshSession, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.device.session.OUTPUT_LIMIT", 1000)
    (home.parent / "bin" / "systemctl").write_text("#!/bin/sh\nseq 1 2000\n")
    with pytest.raises(DeviceMisbehaves) as caught:
        ServiceManager(session, Service(model="net")).state()
    assert "systemctl --user show hefsmith-net.service" in caught.value.message
    assert "HEFSMITH-BEGIN" not in caught.value.message
    assert "ssh" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["a b", "../x", "a$(x)", "-x", 'a"b', "ä"])
def test_a_name_that_a_shell_or_unit_reads_otherwise_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        Service(model=name)


def test_words_reach_the_program_as_they_are() -> None:
    assert quoted('50% "of" $HOME\\') == '"50%% \\"of\\" $$HOME\\\\"'
    with pytest.raises(ConfigError):
        quoted("a\nExecStart=/bin/true")
    with pytest.raises(ConfigError):
        settings_text({SOURCE: "a\nLD_PRELOAD=/tmp/x"})
    assert settings_text({"A": 'p"a\\s$s`'}) == 'A="p\\"a\\\\s\\$s\\`"\n'


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_itself_takes_the_unit(tmp_path: Path) -> None:
    service = Service(model="waste-sorter", arguments=("--size", "640x480", "--score", "0.5 % $x"))
    unit = tmp_path / service.unit
    unit.write_text(unit_text(service))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        capture_output=True, text=True, check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert service.unit not in done.stderr, done.stderr
    broken = unit.read_text().replace("Restart=always", "Restart=perhaps")
    unit.write_text(broken)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        capture_output=True, text=True, check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "perhaps" in done.stderr
