"""What a shell offers behind ``hef``: models, devices, chips, toolchains and engines by name.

A shell asks by the environment (``_HEF_COMPLETE``), with an empty command line. What a parameter
is called tells which kind of name it takes, so that new commands get theirs by themselves.
"""

from __future__ import annotations

import re
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from orchestrator.errors import HefsmithError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import typer

    Words = Callable[[], list[str]]

#: What a shell takes for one word, and for no more: it puts an offer into the line as it is, and a
#: folder of a project that was cloned may be called ``a$(rm -r x)``.
_PLAIN = re.compile(r"\w[\w.+:@/=-]*")


@dataclass(frozen=True)
class Offer:
    """One word for a shell, in the shape that typer's forms for the shells read."""

    value: str
    type: str = "plain"
    help: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter and the path of its command, such as ``device trust``."""

    command: str
    param: Any


def parameters(command: Any, path: str = "") -> Iterator[Parameter]:
    """Yield the parameters of a command and of those below it."""
    yield from (Parameter(path, param) for param in command.params)
    for name, inner in getattr(command, "commands", {}).items():
        yield from parameters(inner, f"{path} {name}".strip())


def words_of(one: Parameter) -> Words | None:
    """Return what lists the words for a parameter, ``None`` for one that takes anything."""
    name = one.param.name
    if name in BY_NAME:
        return BY_NAME[name]
    if name in ("name", "names") and one.command not in NEW_NAMES:
        return BY_GROUP.get(one.command.partition(" ")[0])
    takes_model = str(one.param.metavar or "").strip("[]").startswith("MODEL")
    return models if takes_model else None


def offers(words: Words, incomplete: str) -> list[Offer]:
    """Return the words that go on from what is typed; behind a comma those that it lacks."""
    head, comma, tail = incomplete.rpartition(",")
    taken = head.split(",") if comma else []
    try:
        known = words()
    except (HefsmithError, OSError, ImportError):
        return []  # a broken hef.yaml is told by the command itself
    fitting = [
        word for word in known
        if word.startswith(tail) and word not in taken and _PLAIN.fullmatch(word)
    ]  # fmt: skip
    return [Offer(f"{head}{comma}{word}") for word in fitting]


def teach(command: Any) -> None:
    """Let every parameter that takes a known kind of name offer its words."""
    for one in parameters(command):
        if callable(one.param.default):
            one.param.default = None  # looking for the only model may end in an error
        words = words_of(one)
        if words is not None:
            one.param.shell_complete = lambda _, typed, known=words: offers(known, typed)


def answer(app: typer.Typer) -> object:
    """Answer the shell that asks, by typer's own means, and end."""
    from typer.main import get_command

    command = get_command(app)
    teach(command)
    # Nobody reads what a command would say here: a shell shows it in the middle of a line.
    with redirect_stderr(StringIO()):
        return command([], prog_name="hef")


def models() -> list[str]:
    """Return the models of the project around us, and the bundled one."""
    from orchestrator.project.workspace import BUNDLED_MODEL, open_workspace

    return sorted({*open_workspace().model_names(), BUNDLED_MODEL})


def devices() -> list[str]:
    """Return the devices that are known here, their groups, and the embedded one."""
    from orchestrator.cli.devices import known_devices
    from orchestrator.device.base import BUILT_IN

    registry = known_devices()
    return [*sorted(registry.devices), *sorted(registry.groups), *BUILT_IN]


def archs() -> list[str]:
    """Return the chips that something can be built for."""
    from hefsmith_worker.contract import chips

    return [chip.name for chip in chips.usable()]


def toolchains() -> list[str]:
    """Return the emulator and what was imported."""
    from orchestrator.toolchain import registry

    return ["emulator", *(one.name for one in registry.load_all())]


def engines() -> list[str]:
    """Return the words for engines, and those that ``hef.yaml`` names."""
    from orchestrator.project.workspace import open_workspace

    return ["auto", "docker", "local", *sorted(open_workspace().file.engines)]


def languages() -> list[str]:
    """Return the languages that hef speaks."""
    from orchestrator import language

    return language.languages()


def targets() -> list[str]:
    """Return what a bundle can be for."""
    from orchestrator.device.bundle_targets import TARGETS

    return list(TARGETS)


BY_NAME: Mapping[str, Words] = {
    "arch": archs,
    "chip": archs,
    "device": devices,
    "engine": engines,
    "model": models,
    "models": models,
    "target": targets,
    "lang": languages,
    "toolchain": toolchains,
}
#: Groups whose commands take the name of one of their own things.
BY_GROUP: Mapping[str, Words] = {"device": devices, "toolchain": toolchains}
#: Commands whose name is a new one.
NEW_NAMES = frozenset({"device add", "toolchain import"})
