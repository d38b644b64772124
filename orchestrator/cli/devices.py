"""What the device commands share: which devices are known, and how many are shown at work."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.output import note
from orchestrator.errors import ExitCode, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Self

    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.fleet import VisitResult
    from orchestrator.device.registry import Registry
    from orchestrator.device.ship import ShipEvent
    from orchestrator.pipeline.device_choice import DeviceChoice


def known_devices() -> Registry:
    """Return the devices of the project around us and of the user."""
    from orchestrator.pipeline.devices import load_devices
    from orchestrator.project.workspace import open_workspace

    return load_devices(open_workspace())


def choose_devices(names: Sequence[str]) -> tuple[DeviceSpec, ...]:
    """Return the devices that a command is for, and say which where nobody named them."""
    return _choice(names).specs


@contextmanager
def by_argument(command: str) -> Iterator[None]:
    """Say how a device is named to a command that takes it as a word and has no ``--device``."""
    from orchestrator.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        if error.code != "device.several":
            raise
        hint = f"Name one: {command} NAME"
        raise ConfigError(error.message, hint=hint, code=error.code) from error


def choose_device(name: str | None) -> DeviceSpec:
    """Return the one device that a command is for, and say which where nobody named it."""
    return _choice([name] if name else []).only


def _choice(names: Sequence[str]) -> DeviceChoice:
    from orchestrator.pipeline.device_choice import device_choice
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    choice = device_choice(workspace, resolve(workspace), names)
    if not choice.named:
        note(escape_control(str(choice)))
    return choice


def ask_password(prompt: str) -> str:
    """Ask the person at the terminal, without showing what is typed."""
    import getpass
    import sys

    from orchestrator.device.base import NoTerminalError

    if not sys.stdin.isatty():
        raise NoTerminalError
    return getpass.getpass(prompt, stream=sys.stderr)


def exit_code_of(outcomes: Sequence[VisitResult[Any]]) -> int:
    """Return 0 when all went well, the code that all failures share, else that of devices."""
    codes = {int(one.error.exit_code) for one in outcomes if one.error is not None}
    if not codes:
        return int(ExitCode.OK)
    return codes.pop() if len(codes) == 1 else int(ExitCode.DEVICE)


def outcome_as_json(outcome: VisitResult[Any], result: object) -> dict[str, object]:
    """Return one device's line of a ``--json`` document."""
    document: dict[str, object] = {
        "device": outcome.spec.name,
        "address": outcome.spec.address,
        "ok": outcome.ok,
        "seconds": round(outcome.seconds, 3),
        "result": result,
        "error": None,
    }
    if outcome.error is not None:
        document["error"] = outcome.error.to_json()
    return document


class FleetView:
    """Shows devices at work on stderr: a live table, or plain lines without a terminal."""

    def __init__(self, specs: Sequence[DeviceSpec], *, title: str) -> None:
        import sys

        self._rows = {spec.name: ("waiting", "") for spec in specs}
        self._title = title
        self._plain = not sys.stderr.isatty()
        self._lock = threading.Lock()
        self._live: Any = None

    def __enter__(self) -> Self:
        if not self._plain:
            from rich.live import Live

            from orchestrator.cli.output import console

            self._live = Live(
                console=console(), get_renderable=self._table, refresh_per_second=8, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def on_event(self, event: ShipEvent) -> None:
        """Show where a ship is; plain lines tell each step once."""
        if event.step == "sending" and event.total:
            detail = f"{event.done / 1e6:.1f} of {event.total / 1e6:.1f} MB"
        else:
            detail = ""
        with self._lock:
            before = self._rows[event.device][0]
            self._rows[event.device] = (event.step, detail)
            if self._plain and before != event.step and event.step not in ("done", "waiting"):
                note(f"{event.device}: {event.step} {escape_control(event.file)}".rstrip())

    def on_end(self, outcome: VisitResult[Any]) -> None:
        """Show how a device ended."""
        with self._lock:
            if outcome.error is None:
                self._rows[outcome.spec.name] = ("done", f"{outcome.seconds:.1f} s")
                text = f"{outcome.spec.name}: done in {outcome.seconds:.1f} s"
            else:
                message = outcome.error.message.splitlines()[0]
                message = message.removeprefix(f"{outcome.spec.name}: ")
                self._rows[outcome.spec.name] = ("failed", message)
                text = f"{outcome.spec.name}: failed: {message}"
            # The error of a single device is the command's own, told at its end.
            if self._plain and (outcome.ok or len(self._rows) > 1):
                note(text)

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title, title_justify="left", box=None, pad_edge=False)
        for heading in ("device", "step", ""):
            table.add_column(heading)
        styles = {"done": "green", "failed": "red", "waiting": "dim"}
        with self._lock:
            rows = list(self._rows.items())
        # A tall fleet does not fit a screen: those at work and those that failed come first.
        rank = {"failed": 0, "waiting": 2, "done": 3}
        rows.sort(key=lambda row: rank.get(row[1][0], 1))
        for name, (step, detail) in rows[:30]:
            table.add_row(name, Text(step, style=styles.get(step, "cyan")), Text(detail))
        if len(rows) > 30:
            table.add_row(f"and {len(rows) - 30} more", "", "")
        return table
