"""``hef.yaml``: what holds for all models of a project."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from hefsmith_worker.contract import chips

from orchestrator.files import write_atomic
from orchestrator.project.recipe import PLAIN_NAME
from orchestrator.project.section import Checked, Section, Spelled, Within
from orchestrator.reading import read_text

if TYPE_CHECKING:
    from pathlib import Path

PROJECT_FILE = "hef.yaml"

Entry = TypeVar("Entry")

#: The line that names the toolchain; what stands behind the value is kept.
_TOOLCHAIN_LINE = re.compile(r"^toolchain:[ \t]*[^#\n]*?(?P<rest>[ \t]*(?:#.*)?)$", re.MULTILINE)


def _named_plainly(value: dict[str, Entry]) -> dict[str, Entry]:
    for name in value:
        if not PLAIN_NAME.match(name):
            msg = f"{name!r}: letters, digits, - and _ only, starting with a letter"
            raise ValueError(msg)
    return value


#: Words that mean something by themselves: an entry of that name would take their place unseen.
RESERVED_ENGINES = ("auto", "docker", "local")
RESERVED_DEVICES, RESERVED_GROUPS = ("all", "embedded"), ("embedded",)


def _not_reserved(words: tuple[str, ...]) -> Checked:
    def judge(value: dict[str, Entry]) -> dict[str, Entry]:
        for name in value:
            if name in words:
                msg = f"{name} has a meaning of its own; take another name"
                raise ValueError(msg)
        return _named_plainly(value)

    return Checked(judge)


def _folders(value: dict[str, Entry]) -> dict[str, Entry]:
    """Check names of which each gets a folder, also where upper and lower case are one."""
    seen: dict[str, str] = {}
    for name in _named_plainly(value):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            msg = f"{other!r} and {name!r} would share a folder on Windows and macOS"
            raise ValueError(msg)
    return value


def _chips(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        chip = chips.find(name)
        if chip is None or chip.refused:
            why = f": nothing can be built for it: {chip.refused}" if chip else ""
            known = ", ".join(one.name for one in chips.usable())
            msg = f"no chip {name!r}{why}; chips: {known}"
            raise ValueError(msg)
    return value


@dataclass(frozen=True, kw_only=True)
class DeviceEntry(Section):
    """A device by its own name. ``host`` may be an alias of ``~/.ssh/config``."""

    host: str
    user: str | None = None
    port: Annotated[int, Within(ge=1, le=65535)] | None = None
    #: private key file
    identity: str | None = None
    #: systemd unit to stop around validation
    service: str | None = None
    #: the chip is used by several programs at once, through HailoRT's service
    shared: bool = False
    keep_releases: Annotated[int, Within(ge=1)] = 5


@dataclass(frozen=True, kw_only=True)
class EngineEntry(Section):
    """A Docker engine by its own name: ``ssh://user@host``, ``unix://...``, ``context:NAME``."""

    address: str


@dataclass(frozen=True, kw_only=True)
class Limits(Section):
    """What a container may use; absent means the engine room's defaults."""

    #: such as ``12g``
    memory: str | None = None
    cpus: Annotated[float, Within(gt=0)] | None = None


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class MatrixEntry(Section):
    """What ``--all`` builds: models (all), chips (each recipe's), parameter sets (none).

    A set has the values of a recipe that it changes, nested or by dotted keys.
    """

    models: Annotated[tuple[str, ...], Spelled(_listed)] = ()
    arch: Annotated[tuple[str, ...], Spelled(_listed), Checked(_chips)] = ()
    sets: Annotated[dict[str, dict[str, object]], Checked(_folders)] = field(default_factory=dict)
    #: builds side by side, at most
    jobs: Annotated[int, Within(ge=1)] | None = None


@dataclass(frozen=True, kw_only=True)
class ProjectFile(Section):
    """The content of ``hef.yaml``; every key may be left out."""

    schema: Literal[1] = 1
    engine: str = "auto"
    toolchain: str = "auto"
    device: str | None = None
    devices: Annotated[dict[str, DeviceEntry], _not_reserved(RESERVED_DEVICES)] = field(
        default_factory=dict
    )
    groups: Annotated[dict[str, tuple[str, ...]], _not_reserved(RESERVED_GROUPS)] = field(
        default_factory=dict
    )
    engines: Annotated[dict[str, EngineEntry], _not_reserved(RESERVED_ENGINES)] = field(
        default_factory=dict
    )
    models: str = "models"
    artifacts: str = "artifacts"
    cache: str | None = None
    store: str | None = None
    #: whose signatures the store's entries need: a list as ssh-keygen(1) has it
    signers: str | None = None
    #: the SSH key that signs what goes to the store
    sign_with: str | None = None
    gpu: Literal["auto", "on", "off"] = "auto"
    strict: bool = False
    limits: Limits = Limits()
    matrix: MatrixEntry = MatrixEntry()


def with_toolchain(text: str, name: str) -> str:
    """Return the text of a ``hef.yaml`` that names another toolchain, its comments kept."""
    line = f"toolchain: {name}"
    if _TOOLCHAIN_LINE.search(text):
        return _TOOLCHAIN_LINE.sub(lambda found: line + found["rest"], text, count=1)
    return f"{text.rstrip()}\n{line}\n" if text.strip() else f"schema: 1\n{line}\n"


def write_toolchain(project: Path, name: str, *, only_if_set: bool = False) -> Path:
    """Name the toolchain in the project's ``hef.yaml`` and return the file.

    With ``only_if_set`` a file that names none is left as it is.
    """
    path = project / PROJECT_FILE
    text = read_text(path) if path.is_file() else ""
    if only_if_set and not _TOOLCHAIN_LINE.search(text):
        return path
    write_atomic(path, with_toolchain(text, name))
    return path
