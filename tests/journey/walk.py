"""A person at a keyboard in a clean home: runs commands, and counts what they cost."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.paths import image_context

#: Nothing of the person who runs the journey, such as a cache that is full or trust that was given.
NOT_THEIRS = ("HEFSMITH_", "XDG_", "PYTHON")
#: Where images are built from, which is the machine's: one without a registry has nothing else.
OF_MACHINE = ("HEFSMITH_BASE_IMAGE", "HEFSMITH_WHEELS")

#: But images are built from what this machine has: an index may give a torch with CUDA, five
#: gigabytes that every later test with an image of that name would carry.
THE_MACHINES = ("HEFSMITH_WHEELS", "HEFSMITH_BASE_IMAGE")


@dataclass(frozen=True)
class Step:
    """One command, as it was typed, and what came of it."""

    command: str
    seconds: float
    code: int
    out: str
    err: str


@dataclass
class Walker:
    """Types commands in ``folder``, at home in ``home``; both are new."""

    home: Path
    folder: Path
    steps: list[Step] = field(default_factory=list)
    edits: int = 0

    @property
    def environ(self) -> dict[str, str]:
        """Return what a new user's shell has: the installed program and a home."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if key in THE_MACHINES or not key.startswith(NOT_THEIRS)
        }
        return {**kept, "HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}

    def type(self, command: str, *, in_folder: Path | None = None, **environ: str) -> Step:
        """Run a command line; ``hef`` and ``python`` are those of this test's environment."""
        words = shlex.split(command)
        programs = {
            "hef": [sys.executable, "-m", "orchestrator"],
            "python": [sys.executable],
            "python3": [sys.executable],
        }
        began = time.monotonic()
        done = subprocess.run(
            [*programs[words[0]], *words[1:]], cwd=in_folder or self.folder, text=True,
            env={**self.environ, **environ}, capture_output=True, check=False, timeout=900,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        step = Step(command, time.monotonic() - began, done.returncode, done.stdout, done.stderr)
        self.steps.append(step)
        return step

    @property
    def minutes(self) -> float:
        """Return for how long the person waited."""
        return sum(step.seconds for step in self.steps) / 60


def proposed(text: str) -> list[str]:
    """Return the ``hef`` commands that a screen proposes, in its order.

    After ``next`` in its own line, or in the lines that ``hef`` alone prints below ``next:``.
    """
    found: list[str] = []
    below = False
    for line in text.splitlines():
        if line.rstrip() == "next:":
            below = True
            continue
        words = line.split()
        if words[:1] in (["next:"], ["next"]):
            found.append(_command(line.partition("next")[2].lstrip(": ")))
        elif below and line.startswith("  hef "):
            found.append(_command(line.strip()))
    return found


def _command(text: str) -> str:
    for end in ("  ", ": ", " (", ", then "):
        text = text.partition(end)[0]
    return text.strip()


def program_of(command: str) -> str:
    """Return a command for a screen: many files of one kind are counted."""
    words = command.split()
    files = [word for word in words if word.endswith(".jpg")]
    if len(files) < 2:
        return command
    rest = [word for word in words if not word.endswith(".jpg")]
    return " ".join([*rest[:2], f"({len(files)} photographs)", *rest[2:]])


def pi_environment() -> dict[str, str]:
    """Return the environment of an emulated Pi: the stand-ins of HailoRT's package and tools."""
    emulator = image_context("emulator")
    import orchestrator

    ours = str(Path(orchestrator.__file__).parent.parent)
    return {
        "PATH": os.pathsep.join([str(emulator / "bin"), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(emulator / "packages"), ours]),
        "HAILORT_LOGGER_PATH": "NONE",
    }
