"""What is asked of the agent on a device, and the shape that each answer must have.

A device is not trusted to be what it was: every answer is checked against these types, with
limits for every text and number, before anybody looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, cast

from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

#: A device's own words: at most what ``agent/facts.py`` keeps of an output.
Text = Annotated[str, Field(max_length=20_000)]
Short = Annotated[str, Field(max_length=1000)]
#: A name inside a folder, never a way out of it.
Name = Annotated[
    str, Field(max_length=255, pattern=r"^(?:[^./\\\x00-\x1f\x7f]|\.[^./\\\x00-\x1f\x7f])"
               r"[^/\\\x00-\x1f\x7f]*$")
]  # fmt: skip
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Status = Annotated[int, Field(ge=-(1 << 32), le=1 << 32)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]


@dataclass(frozen=True)
class Done:
    """An answer that says nothing but that it was done."""


@dataclass(frozen=True)
class Hello:
    """Who answers."""

    protocol: Count
    home: Short
    python: Short
    machine: Short
    disk_free: Count


# --- Facts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """What one command printed there; ``code`` is ``None`` when it did not run to its end."""

    code: Status | None = None
    out: Text = ""
    err: Text = ""
    timed_out: bool = False


@dataclass(frozen=True)
class Disk:
    """Bytes of the file system with the releases, their folder, and what refuses a write there."""

    free: Count | None = None
    total: Count | None = None
    folder: Short | None = None
    refuses: Literal["no_folder", "read_only", "rights"] | None = None


@dataclass(frozen=True)
class Card:
    """A Hailo device on a PCI bus, as sysfs shows it."""

    address: Short = ""
    device: Short | None = None
    current_link_speed: Short | None = None
    current_link_width: Short | None = None
    max_link_speed: Short | None = None
    max_link_width: Short | None = None
    driver: Short | None = None


@dataclass(frozen=True)
class DeviceNode:
    """A device node that programs open, and whether this login may."""

    path: Short
    is_device: bool
    usable: bool


@dataclass(frozen=True)
class Process:
    """A process that has a node open."""

    pid: Count
    command: Short
    user: Short | None = None
    unit: Short | None = None


@dataclass(frozen=True)
class Processes:
    """Who has a node open, and whether all processes could be looked at."""

    complete: bool
    processes: Annotated[tuple[Process, ...], Field(max_length=1000)]


@dataclass(frozen=True)
class Facts:
    """What ``agent/facts.py`` collects, unread; how much of it depends on the level."""

    time: Number | None = None
    hostname: Short | None = None
    machine: Short | None = None
    kernel: Short | None = None
    system: Short | None = None
    home: Short | None = None
    page_size: Count | None = None
    disk: Disk = field(default_factory=Disk)
    commands: Annotated[dict[Short, Output | None], Field(max_length=100)] = field(
        default_factory=dict
    )
    files: Annotated[dict[Short, Text], Field(max_length=100)] = field(default_factory=dict)
    pci: Annotated[tuple[Card, ...], Field(max_length=100)] = ()
    nodes: Annotated[tuple[DeviceNode, ...], Field(max_length=100)] = ()
    holders: Processes | None = None
    model_zoo: Annotated[tuple[Short, ...], Field(max_length=2000)] = ()
    libraries: Annotated[tuple[Short, ...], Field(max_length=100)] = ()
    firmware: Annotated[tuple[Short, ...], Field(max_length=100)] = ()
    modprobe: Annotated[dict[Short, Text], Field(max_length=100)] = field(default_factory=dict)

    def output(self, command: str) -> Output:
        """Return what a command printed, an empty output where there is no such command."""
        return self.commands.get(command) or Output()


def facts_from(recorded: Facts | Mapping[str, object]) -> Facts:
    """Return facts as they are, or read from a recorded JSON object; what else is in it is left.

    :raises ValidationError: it is no record of facts.
    """
    if isinstance(recorded, Facts):
        return recorded
    return cast("Facts", _adapter(Facts).validate_python(recorded))


@dataclass(frozen=True)
class FactsReply:
    """The answer that carries the facts."""

    facts: Facts


# --- Releases ------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoreState:
    """What is in a model's folder."""

    current: Name | None
    history: Annotated[tuple[Name, ...], Field(max_length=1000)]
    disk_free: Count | None
    folder: Short


@dataclass(frozen=True)
class OnShelf:
    """The current release of one model; its JSON files may be of any version, or damaged."""

    release: Name
    record: JsonValue = None
    decoder: JsonValue = None
    labels: Count | None = None

    @property
    def arch(self) -> str:
        """The architecture that it was compiled for, empty where the record does not say."""
        found = self.record.get("arch") if isinstance(self.record, dict) else None
        return found if isinstance(found, str) else ""

    @property
    def classes(self) -> int | None:
        """How many classes its decoder names."""
        decoder = self.decoder if isinstance(self.decoder, dict) else {}
        nms = decoder.get("nms")
        found = (nms.get("classes") if isinstance(nms, dict) else None) or decoder.get("classes")
        return found if isinstance(found, int) and not isinstance(found, bool) else None


@dataclass(frozen=True)
class Shelves:
    """The current releases of all models."""

    shelves: Annotated[dict[Name, OnShelf], Field(max_length=1000)]


@dataclass(frozen=True)
class There:
    """What the device has of a file: all of it (where), or so many bytes with this digest."""

    whole: Short | None = None
    offset: Count = 0
    prefix: Digest | None = None


@dataclass(frozen=True)
class Have:
    """The same for each file that was asked about."""

    files: Annotated[tuple[There, ...], Field(max_length=1000)]


@dataclass(frozen=True)
class Received:
    """The digest of what has arrived."""

    sha256: Digest


@dataclass(frozen=True)
class Published:
    """The release that was made."""

    release: Name


@dataclass(frozen=True)
class Activated:
    """The release that was current before."""

    previous: Name | None


@dataclass(frozen=True)
class Verified:
    """What is wrong with a release, ``None`` when nothing is."""

    wrong: Text | None


@dataclass(frozen=True)
class RolledBack:
    """The release that was current, and the one that is now."""

    previous: Name | None
    release: Name


@dataclass(frozen=True)
class Pruned:
    """The releases that were removed."""

    removed: Annotated[tuple[Name, ...], Field(max_length=1000)]


# --- Files, jobs, services -----------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """Digest and size of a file that has been sent to us."""

    sha256: Digest
    bytes: Count


@dataclass(frozen=True)
class JobOpened:
    """The folder of a job, and the files that it lacks."""

    folder: Short
    missing: Annotated[tuple[Name, ...], Field(max_length=1000)]


@dataclass(frozen=True)
class JobRan:
    """How a job's script ended."""

    code: Status
    timed_out: bool


@dataclass(frozen=True)
class Stopped:
    """Whether a service ran before it was stopped."""

    was_active: bool


@dataclass(frozen=True)
class Line:
    """One line of a running job."""

    stdout: str | None = None
    stderr: str | None = None


@dataclass(frozen=True)
class LockHolder:
    """Who holds a model's lock."""

    who: Short = "unknown"


@dataclass(frozen=True)
class Refusal:
    """An answer that says why something was not done."""

    error: Short
    message: Text = "refused"
    holder: LockHolder | None = None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request: its name, the type of its answer, and the seconds that it may take.

    The seconds are for a slow card and a busy board; a call whose work grows with its data
    is given more by the caller.
    """

    do: str
    reply: type[T]
    seconds: float


HELLO = Call("hello", Hello, 30)
#: Sixteen commands, four at a time, each ended after 60 s (``agent/facts.py``).
FACTS = Call("facts", FactsReply, 330)
PEEK = Call("peek", StoreState, 60)
SHELVES = Call("shelves", Shelves, 60)
OPEN = Call("open", StoreState, 60)
CLOSE = Call("close", Done, 30)
HAVE = Call("have", Have, 60)
RECEIVE = Call("receive", Received, 120)
PUBLISH = Call("publish", Published, 120)
ACTIVATE = Call("activate", Activated, 120)
VERIFY = Call("verify", Verified, 60)
ROLLBACK = Call("rollback", RolledBack, 600)
PRUNE = Call("prune", Pruned, 120)
PUT = Call("put", Received, 120)
GET = Call("get", Sent, 60)
JOB_OPEN = Call("job_open", JobOpened, 120)
JOB_RUN = Call("job_run", JobRan, 30)
JOB_CLOSE = Call("job_close", Done, 60)
#: systemctl is asked three times, each time with sudo and without, 90 s each.
STOP_SERVICE = Call("stop_service", Stopped, 560)
START_SERVICE = Call("start_service", Done, 200)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def read_reply(shape: type[T], payload: bytes) -> T | Refusal:
    """Return an answer as its type; ``ValueError`` says in one line what is wrong with it."""
    head = from_json(payload)
    refused = isinstance(head, dict) and "error" in head
    return _read(Refusal, payload) if refused else _read(shape, payload)


def read_line(payload: bytes) -> Line:
    """Return a line of a job; ``ValueError`` as above."""
    return _read(Line, payload)


def _read(shape: type[T], payload: bytes) -> T:
    try:
        value: T = _adapter(cast("Any", shape)).validate_json(payload, strict=True)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:100]
        msg = f"{where}: {first['msg']}" if where else str(first["msg"])
        raise ValueError(msg) from error
    return value
