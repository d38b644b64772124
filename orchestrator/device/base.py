"""What the rest of the program knows about devices: the values and the session protocol.

Importing this module is cheap (standard library only); :mod:`.connection_pool` opens sessions
by asyncssh.
Errors are in :mod:`orchestrator.device.faults`. All of it is synchronous; the SSH work
happens on a loop thread of our own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

FactLevel = Literal["quick", "full", "deep"]

#: A link that says nothing for so long (interval x count + one more) is given up: about 6 s.
KEEPALIVE_SECONDS = 2.0
KEEPALIVE_COUNT = 2

Progress = Callable[[int, int], None]  # bytes done, bytes in all


class NoTerminalError(Exception):
    """Nobody can be asked: raised by what asks for a password."""


_UNIT = re.compile(r"[A-Za-z0-9_@:.\\][A-Za-z0-9_@:.\\-]{0,254}\Z")


def unit_name(text: str) -> bool:
    """Tell whether a text is what systemd takes for a unit's name: no shell reads more in it."""
    return _UNIT.match(text) is not None


# --- Where ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DeviceKind:
    """A kind of device: what commands may rely on; how it is reached is in ``connection_pool``.

    ``place`` is shown where others have an address. ``routed``: it is reached over a network, with
    host keys and jump hosts. ``any_chip``: it shows the chip of whatever is run on it, and the
    same answers each time, so that what it said may be remembered. ``own_python``: its programs
    run by this Python. ``lasting``: what is put there stays after the command.
    """

    place: str | None = None
    routed: bool = True
    any_chip: bool = False
    own_python: bool = False
    lasting: bool = True


#: One row a kind.
KINDS: Mapping[str, DeviceKind] = {
    "ssh": DeviceKind(),
    "embedded": DeviceKind(
        place="embedded", routed=False, any_chip=True, own_python=True, lasting=False
    ),
}


@dataclass(frozen=True, kw_only=True)
class DeviceSpec:
    """One device as the user names it; ``host`` may be an alias of ``~/.ssh/config``."""

    name: str
    kind: str = "ssh"
    host: str = ""
    user: str | None = None
    port: int | None = None
    identity_file: Path | None = None
    jump: str | None = None
    groups: tuple[str, ...] = ()
    service: str | None = None
    """systemd unit to stop while the chip is needed, and to start again after."""
    shared: bool = False
    """Several programs use the chip at once, through HailoRT's multi-process service."""
    keep_releases: int = 5
    ask_password: bool = False
    python: str = "python3"
    emulated_chip: str | None = None
    """Embedded devices only: the chip that its stand-ins show (``hailo8l`` when unset)."""
    emulated_hailort: str | None = None
    """Embedded devices only: the HailoRT version that its stand-ins show."""

    @property
    def about(self) -> DeviceKind:
        """What devices of its kind are like."""
        return KINDS[self.kind]

    @property
    def address(self) -> str:
        """``user@host:port`` as far as it is known."""
        if self.about.place is not None:
            return self.about.place
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        text = f"{self.user}@{host}" if self.user else host
        return f"{text}:{self.port}" if self.port else text


#: The device that is there on every machine: an SSH server in our own process.
EMBEDDED = DeviceSpec(name="embedded", kind="embedded")

#: Devices that nobody has to add, by name.
BUILT_IN = {spec.name: spec for spec in (EMBEDDED,)}


# --- What it is ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PcieLink:
    """State of the chip's PCIe link; generation 3, width 1 is the best a Pi 5 has."""

    generation: int | None
    width: int | None
    max_generation: int | None = None
    max_width: int | None = None


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that has the chip's device node open."""

    pid: int
    command: str
    user: str | None = None
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a device says about itself; ``None`` or empty = it did not say.

    ``chip`` is the ``Device Architecture`` in lower case (``hailo8l``), never the board name.
    Versions are ``a.b.c``. ``notes`` are sentences about what could not be read or disagrees.
    """

    chip: str | None = None
    chips: tuple[str, ...] = ()
    emulated: bool = False
    board_name: str | None = None
    product_name: str | None = None
    part_number: str | None = None
    serial: str | None = None
    firmware: str | None = None
    hailort: str | None = None
    cli_version: str | None = None
    driver_version: str | None = None
    driver_module: str | None = None
    driver_on_disk: str | None = None
    binding_version: str | None = None
    binding_place: str | None = None
    binding_error: str | None = None
    python_version: str | None = None
    numpy_version: str | None = None
    binding_numpy2: bool | None = None
    """Whether the binding was built for arrays of numpy 2; ``None`` when it cannot be told."""
    versions_agree: bool | None = None
    hostname: str | None = None
    board_model: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    kernel: str | None = None
    machine: str | None = None
    page_size: int | None = None
    pcie: PcieLink | None = None
    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None
    disk_free: int | None = None
    disk_total: int | None = None
    disk_folder: str | None = None
    disk_refuses: str | None = None
    memory_total: int | None = None
    memory_free: int | None = None
    device_nodes: tuple[str, ...] = ()
    holders: tuple[Holder, ...] | None = None
    model_zoo: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    clock_skew_s: float | None = None
    home: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``--json``."""
        return asdict(self)


# --- What happened -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Completed:
    """One finished command; ``code`` is -1 when a signal ended it."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    def __bool__(self) -> bool:
        return self.code == 0


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """One finished job: its events, what it printed beside them, the files that came back."""

    code: int
    events: tuple[Mapping[str, object], ...]
    log: str
    files: Mapping[str, Path]
    seconds: float

    def __bool__(self) -> bool:
        return self.code == 0 or is_done(self.events)


def is_done(events: Sequence[Mapping[str, object]]) -> bool:
    """Say whether a job announced its end: its results count, whatever status follows.

    HailoRT's binding can crash while the interpreter shuts down, after all was written.
    """
    ends = [event.get("event") for event in events if event.get("event") in ("done", "failed")]
    return bool(ends) and ends[-1] == "done"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is shipped: files by the name that they get on the device, one of them the HEF."""

    model: str
    arch: str
    hef: str
    files: Mapping[str, Path]


FileFate = Literal["sent", "resumed", "kept", "linked"]


@dataclass(frozen=True, kw_only=True)
class ShippedFile:
    """One file of a release: ``kept`` was there already, ``linked`` came from another release."""

    name: str
    sha256: str
    bytes: int
    fate: FileFate
    sent_bytes: int


@dataclass(frozen=True, kw_only=True)
class ShipResult:
    """What shipping did. ``release`` is the id that ``current`` points to now."""

    device: str
    model: str
    release: str
    previous: str | None
    changed: bool
    folder: str
    files: tuple[ShippedFile, ...]
    sent_bytes: int
    total_bytes: int
    seconds: float
    emulated: bool
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``--json``."""
        return asdict(self)


# --- The session -----------------------------------------------------------------------------


class JobRunner(Protocol):
    """The part of a connection that runs one Python file over there."""

    def run_job(
        self,
        script: Path,
        *,
        files: Mapping[str, Path] | None = None,
        request: Mapping[str, object] | None = None,
        fetch: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        on_event: Callable[[Mapping[str, object]], None] | None = None,
    ) -> JobResult:
        """Run one Python file in a temporary folder on the device.

        ``files`` (name there -> file here) are sent into the folder first; files that the
        device already holds in a release are linked, not sent again. The script runs with that
        folder as its working directory, reads ``request`` as JSON from stdin (then end of
        file), and prints JSON lines; other lines go to ``JobResult.log`` with stderr.
        ``fetch`` (name there -> file here) comes back after a run that ended with status 0; a
        missing one is an error. The folder is removed in every case, and the script is killed
        when the connection ends.
        """
