"""Commands that screens propose: collected from many situations, and typed as they stand.

One with a word in capitals (``USER@HOST``, ``FILE``) waits for what only its reader knows, and one
that changes a device is not typed in a test: their words are parsed by the program itself.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.journey.walk import Step, Walker

#: Where a command ends in a sentence.
_ENDS = re.compile(
    r"  |`|: |, then |, or |, once |; | \(|\)|, where |, before |, after |\.$|\. |,$|;$"
    r"| or hef | again| runs| takes | builds | makes "
)
#: Verbs whose subject a command is: the sentence speaks of it, and does not propose it.
_SUBJECTS = (" makes ", " takes ")
#: A word that its reader puts something in the place of.
_OPEN = re.compile(r"\b[A-Z]{2,}\b|\.\.\.")
#: What is not typed here: it waits for a person or a device, changes this machine, or is walked
#: by tests of its own (the demo).
NOT_TYPED = (
    "hef up digits", "hef device add", "hef device trust", "hef deploy", "hef attach",
    "hef engine shell", "hef shell",
)  # fmt: skip


@dataclass
class Situation:
    """What lies in a folder, and what somebody types there first."""

    name: str
    lay_out: Callable[[Path], None]
    typed: tuple[str, ...]
    #: Words of what is missing there, which a proposed command rightly ends in.
    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """One command, where it was shown, and what came of it; ``step`` is none where it is open."""

    situation: str
    after: str
    command: str
    step: Step | None = None
    wrong: str = ""


@cache
def known_commands() -> frozenset[str]:
    """Return the names of the program's commands."""
    from typer.main import get_command

    from orchestrator.cli.app import build_app

    return frozenset(get_command(build_app()).commands)  # type: ignore[attr-defined]


def commands_in(text: str) -> list[str]:
    """Return the commands that stand in a screen, in its order, each once."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        for match in re.finditer(r"(?<![\w/.-])hef (?=[a-z-])", line):
            rest = line[match.end() :]
            end = _ENDS.search(rest)
            if end and end.group() in _SUBJECTS:
                continue
            command = rest[: end.start()] if end else rest
            command = command.strip().rstrip(".,;:")
            name = command.split(" ", 1)[0]
            if name in known_commands():
                found[f"hef {command}"] = None
    return list(found)


def parse(command: str) -> str:
    """Return what the program has against a command's words; nothing of it is run."""
    from typer.main import get_command

    from orchestrator.cli.app import build_app

    words = shlex.split(command)[1:]
    # Which click it is, typer's own or the package, is typer's matter.
    found: Any = get_command(build_app())
    path = "hef"
    while hasattr(found, "commands") and words and words[0] != "--help":
        if words[0] not in found.commands:
            return f"no command {path} {words[0]}"
        path = f"{path} {words[0]}"
        found = found.commands[words.pop(0)]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            found.make_context(path, words)
    except Exception as error:
        if hasattr(error, "format_message"):
            return str(error.format_message())
        # How --help ends.
        if type(error).__name__ != "Exit":
            raise
    return ""


def walk(situations: Iterable[Situation], root: Path) -> list[Proposal]:
    """Type what people type, then all that the screens propose, until nothing new is proposed."""
    done: list[Proposal] = []
    for number, situation in enumerate(situations):
        folder = root / f"{number}-{situation.name}"
        folder.mkdir()
        situation.lay_out(folder)
        walker = Walker(root / "home", folder)
        walker.home.mkdir(exist_ok=True)
        seen: set[str] = set()
        queue = [(one, "") for one in situation.typed]
        while queue:
            command, after = queue.pop(0)
            if command in seen:
                continue
            seen.add(command)
            if _OPEN.search(command) or command.startswith(NOT_TYPED):
                done.append(Proposal(situation.name, after, command, wrong=parse(command)))
                continue
            step = walker.type(command, HEFSMITH_ENGINE="local")
            if after:
                wrong = _judged(step, situation.expected)
                done.append(Proposal(situation.name, after, command, step, wrong))
            elif "Traceback" in step.err:
                done.append(Proposal(situation.name, "", command, step, step.err[-400:]))
            queue += [(one, command) for one in commands_in(step.out + step.err)]
    return done


def _judged(step: Step, expected: tuple[str, ...]) -> str:
    """Return what is wrong with what came of a proposed command."""
    said = (step.out + step.err).strip()
    if "Traceback" in said:
        return said[-400:]
    # A verdict that failed (5) and a doctor who found something (1) have done what they are for.
    fine = (0, 5) if not step.command.startswith("hef doctor") else (0, 1)
    if step.code in fine or any(one in said for one in expected):
        return ""
    return f"exit code {step.code}: {said[-300:]}"
