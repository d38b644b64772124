"""Put a bundle on a device as a service of the user: shipped, started, kept running by systemd.

The files are a release like any other (``~/.hefsmith/MODEL.app``), so that an update is one
rename and a rollback works. The unit is the user's own: nothing needs root but that it starts
without a login (lingering), and where that is refused it is said.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from orchestrator.device.address import device_word
from orchestrator.errors import ConfigError, DeviceError, escape_control, last_line
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.device.base import Completed
    from orchestrator.device.bundle import BundleFile
    from orchestrator.device.session import SshSession

#: Seconds until a service that was started must have seen its first picture.
PATIENCE: Final = 45.0

#: Variables that the program reads; they are kept in a file that only the user may read.
SOURCE, WEB, TOKEN, MQTT, MQTT_PASSWORD = (
    "HEFSMITH_SOURCE", "HEFSMITH_WEB", "HEFSMITH_WEB_TOKEN", "HEFSMITH_MQTT", "MQTT_PASSWORD",
)  # fmt: skip

#: What each line of ours prints first: a login may have printed something before.
_BEGIN: Final = "HEFSMITH-BEGIN"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is to run: a model's camera program with these arguments and settings.

    ``settings`` are the variables above, and may hold passwords.
    """

    model: str
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a name that a unit or a shell would read as more than a name."""
        if not _NAME.fullmatch(self.model):
            msg = f"{escape_control(self.model)!r} cannot be the name of a service"
            raise ConfigError(msg, hint="Letters, digits, '.', '_' and '-' only.")

    @property
    def unit(self) -> str:
        """Name of the unit."""
        return f"hefsmith-{self.model}.service"

    @property
    def app(self) -> str:
        """Name under which the device keeps the files."""
        return app_name(self.model)


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """How a service is. ``active`` is systemd's word; ``lingers``: it starts without a login.

    ``pictures`` and ``rate`` (a second) are the program's own, ``None`` before its first picture.
    """

    unit: str
    active: str
    restarts: int = 0
    result: str = ""
    lingers: bool = False
    pictures: int | None = None
    rate: float | None = None
    seen: tuple[str, ...] = ()
    page: str | None = None
    log: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it runs and has seen a picture."""
        return self.active == "active" and bool(self.pictures)


def app_name(model: str) -> str:
    """Return the name under which a device keeps a model's program, beside the model."""
    return f"{model}.app"


def unit_text(service: Service, python: Sequence[str] = ("/usr/bin/python3",)) -> str:
    """Return the unit: restarted for ever with a pause, since cameras are pulled out and come back.

    ``%h`` is the home folder, ``%t`` the folder of the session's running state.
    """
    folder = f"%h/.hefsmith/{service.app}/current"
    state = f"%t/{_runtime(service)}/state.json"
    words = [*map(quoted, python), "-u", f"{folder}/live.py", "--quiet", "--state", state]
    start = " ".join([*words, *map(quoted, service.arguments)])
    lines = [
        "# Written by hef deploy; the next deploy writes it anew.",
        "[Unit]",
        f"Description=hefsmith: {service.model} on its camera",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={start}",
        f"WorkingDirectory={folder}",
        f"EnvironmentFile=-%h/.config/hefsmith/{service.model}.env",
        f"RuntimeDirectory={_runtime(service)}",
        "Restart=always",
        "RestartSec=5",
        "TimeoutStopSec=20",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def quoted(word: str) -> str:
    """Return one word as a unit takes it: quoted, nothing in it read as a specifier or variable."""
    if any(ord(letter) < 32 for letter in word):
        msg = f"an argument has a control character: {escape_control(word)}"
        raise ConfigError(msg)
    for plain, safe in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(plain, safe)
    return f'"{word}"'


def settings_text(settings: Mapping[str, str]) -> str:
    """Return the file of variables; systemd takes values in double quotes with back slashes."""
    lines = []
    for name, value in sorted(settings.items()):
        if any(ord(letter) < 32 for letter in value):
            msg = f"{name} has a control character"
            raise ConfigError(msg)
        safe = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        lines.append(f'{name}="{safe.replace("`", chr(92) + "`")}"')
    return "".join(f"{line}\n" for line in lines)


def _runtime(service: Service) -> str:
    return f"hefsmith-{service.model}"


class ServiceManager:
    """The user's systemd on one device."""

    def __init__(self, session: SshSession, service: Service) -> None:
        self._session, self.service = session, service
        self.device = session.spec.name

    def install(self) -> None:
        """Write unit and settings, and start the service anew; it starts at every boot then."""
        self._ctl("--version")
        python = shlex.split(self._session.spec.python)
        found = self._shell(f"command -v {shlex.quote(python[0])}")
        self._need(found, f"looking for {python[0]}")
        # systemd looks for programs in a few folders only.
        unit = unit_text(self.service, [found.out.strip(), *python[1:]])
        self._write(f".config/systemd/user/{self.service.unit}", unit)
        settings = dict(self.service.settings)
        if WEB in settings:
            # The page's address stays from one deploy to the next.
            settings[TOKEN] = self._settings().get(TOKEN) or secrets.token_urlsafe(12)
        self._write(self._settings_path, settings_text(settings))
        self._ctl("daemon-reload")
        self._ctl("enable", self.service.unit)
        self._ctl("restart", self.service.unit)
        if not self._lingers():
            self._shell("loginctl enable-linger 2>/dev/null"
                        ' || sudo -n loginctl enable-linger "$(id -un)"')  # fmt: skip

    def wait(self, seconds: float = PATIENCE) -> ServiceState:
        """Wait for the first picture, or for what shows that there will be none."""
        end = time.monotonic() + seconds
        while True:
            state = self.state()
            given_up = state.active == "failed" or state.restarts >= 2
            if state.works or given_up or time.monotonic() > end:
                return state
            time.sleep(0.5)

    def state(self, lines: int = 8) -> ServiceState:
        """Return how the service is, with the last lines of its log."""
        unit = self.service.unit
        asked = self._ctl("show", unit, "-p", "ActiveState,NRestarts,Result,LoadState").out
        shown = dict(line.split("=", 1) for line in asked.splitlines() if "=" in line)
        if shown.get("LoadState") == "not-found":
            msg = f"{self.device}: {self.service.model} is not deployed there"
            hint = f"Do it: hef deploy {self.service.model} --device {device_word(self.device)}"
            raise DeviceError(msg, hint=hint, code="device.not-deployed")
        restarts = shown.get("NRestarts", "0")
        told = self._told()
        pictures, rate, seen = told.get("pictures"), told.get("rate"), told.get("seen")
        return ServiceState(
            unit=unit,
            active=shown.get("ActiveState", "unknown"),
            restarts=int(restarts) if restarts.isdigit() else 0,
            result=shown.get("Result", ""),
            lingers=self._lingers(),
            pictures=pictures if isinstance(pictures, int) else None,
            rate=float(rate) if isinstance(rate, int | float) else None,
            seen=tuple(str(line) for line in seen[:20]) if isinstance(seen, list) else (),
            page=self._page(),
            log=self.log(lines),
        )

    def log(self, lines: int) -> tuple[str, ...]:
        """Return the last lines of its log, without the journal's own remarks.

        The user's own journal is there only where journals are kept on disk; the system's has the
        same lines for who may read it.
        """
        unit = self.service.unit
        done = self._shell(
            f"journalctl --no-pager --quiet -o cat -n {lines} _SYSTEMD_USER_UNIT={unit} 2>/dev/null"
            f" || journalctl --user --no-pager --quiet -o cat -n {lines} -u {unit}"
        )
        return tuple(done.out.splitlines()[-lines:])

    def stop(self) -> None:
        """Stop it, and start it no more."""
        self._ctl("disable", "--now", self.service.unit)

    def start(self) -> None:
        """Start it again, now and at every boot."""
        self._ctl("enable", "--now", self.service.unit)

    def remove(self) -> None:
        """Stop it and remove unit, settings and files."""
        self._shell(f"systemctl --user disable --now {self.service.unit}")
        unit = f'"$HOME/.config/systemd/user/{self.service.unit}"'
        app = f'"$HOME/.hefsmith/{self.service.app}"'
        settings = f'"$HOME/{self._settings_path}"'
        self._need(self._shell(f"rm -f -- {unit} {settings} && rm -rf -- {app}"), "removing it")
        self._ctl("daemon-reload")

    # How it is done.

    @property
    def _settings_path(self) -> str:
        return f".config/hefsmith/{self.service.model}.env"

    def _settings(self) -> Mapping[str, str]:
        """Return what was deployed before, as far as it is there."""
        done = self._shell(f'cat "$HOME/{self._settings_path}" 2>/dev/null')
        pairs = (line.partition("=") for line in done.out.splitlines())
        return {name: value.strip('"') for name, _, value in pairs}

    def _page(self) -> str | None:
        settings = self._settings()
        if WEB not in settings or TOKEN not in settings:
            return None
        host = self._session.spec.host or "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{settings[WEB].rpartition(':')[2]}/?token={settings[TOKEN]}"

    def _told(self) -> Mapping[str, object]:
        path = f'"${{XDG_RUNTIME_DIR:-/run/user/$(id -u)}}/{_runtime(self.service)}/state.json"'
        try:
            told = parse_json(self._shell(f"cat {path} 2>/dev/null").out or "{}")
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def _lingers(self) -> bool:
        done = self._shell('loginctl show-user "$(id -un)" -p Linger')
        return done.out.strip() == "Linger=yes"

    def _write(self, path: str, text: str) -> None:
        """Write a file of the home folder that only its user may read, whole or not at all."""
        full = f'"$HOME/{path}"'
        done = self._shell(
            f'umask 077 && mkdir -p -- "$(dirname -- {full})" && cat >{full}.part'
            f" && mv -f -- {full}.part {full}",
            stdin=text.encode("utf-8"),
        )
        self._need(done, f"writing ~/{path}")

    def _ctl(self, *words: str) -> Completed:
        done = self._shell(shlex.join(["systemctl", "--user", *words]))
        self._need(done, f"systemctl --user {' '.join(words)}")
        return done

    def _shell(self, script: str, *, stdin: bytes | None = None) -> Completed:
        # A login by SSH has this variable only where PAM starts a session.
        runtime = 'export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"'
        words = ["sh", "-c", f"echo {_BEGIN}; {runtime}; {script}"]
        done = self._session.run(words, stdin=stdin, timeout=90, shown=script)
        # What stands before was printed by the login itself (~/.bashrc), and is nobody's answer.
        return replace(done, out=done.out.rpartition(f"{_BEGIN}\n")[2])

    def _need(self, done: Completed, doing: str) -> None:
        if done.code == 0:
            return
        told = last_line(done.err or done.out, f"exit {done.code}")
        msg = f"{self.device}: {doing}: {escape_control(told)}"
        hint = (
            "Does this system use systemd, with a session for your user (loginctl)? The files "
            "alone: hef deploy MODEL --as files"
        )
        raise DeviceError(msg, hint=hint, code="device.systemd")


@contextmanager
def written(files: Sequence[BundleFile]) -> Iterator[Mapping[str, Path]]:
    """Write a bundle into a folder that lives as long as the block; yields paths by name."""
    from orchestrator.device.bundle import write_bundle
    from orchestrator.files import scratch

    with scratch("hefsmith-deploy") as folder:
        write_bundle(files, folder / "bundle")
        yield {file.name: folder / "bundle" / file.name for file in files}
