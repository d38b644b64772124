"""Write a first recipe and what goes with it: code, lists, the project's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import write_atomic
from orchestrator.project.checking import Mistake, section_from
from orchestrator.project.projectfile import PROJECT_FILE
from orchestrator.project.recipe import Recipe
from orchestrator.project.schemas import reference, write_schemas
from orchestrator.project.starter import render_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.pipeline.start.first_recipe import Started
    from orchestrator.project.workspace import Workspace

#: What is made and can be made again.
IGNORED = """\
# Written by hef init: what hef makes, and can make again.
/artifacts/
/calib/remote/
*.failed.log
"""

PROJECT = """\
# What holds for all models of this project; every key may be left out.
schema: 1
# auto: Hailo's suite where one is imported for the chip (hef toolchain import FILE), else the
# open emulator. hef toolchain use emulator writes it here.
toolchain: auto
# A device by its own name makes --device short; hef device add NAME USER@HOST needs no line here.
# devices:
#   pi5: {host: raspberrypi.local, user: pi}
"""


def write_started(workspace: Workspace, target: Path, started: Started) -> list[Path]:
    """Write a recipe and what goes with it; return the files, the recipe first.

    Files of the user's that are there already stay as they are. Raises :class:`ConfigError` for a
    recipe that no build would take, before anything is written.
    """
    check(started)
    written = []
    for path, text in started.files.items():
        write_atomic(path, text)
        written.append(path)
    write_schemas(workspace.root)
    schema = reference("model", workspace.root, target.parent)
    text = render_recipe(started.recipe, started.network, started.notes, started.comments, schema)
    write_atomic(target, text)
    line = f"# yaml-language-server: $schema={reference('project', workspace.root, workspace.root)}"
    own = [
        (workspace.root / ".gitignore", IGNORED),
        (workspace.root / PROJECT_FILE, f"{line}\n{PROJECT}"),
    ]
    for path, text in own:
        if not path.exists():
            write_atomic(path, text)
            written.append(path)
    return [target, *written]


def check(started: Started) -> None:
    """Raise :class:`ConfigError` where the build would refuse the recipe's inputs, in its words."""
    from hefsmith_worker.golden import input_specs
    from hefsmith_worker.protocol import StageError

    try:
        section_from(started.recipe, Recipe)
    except Mistake as mistake:
        msg = f"no recipe can be made of it: {mistake}"
        raise ConfigError(escape_control(msg), code="init.recipe") from None
    given = started.recipe.get("preprocessing") or {}
    by_input = bool(given) and all(isinstance(one, dict) for one in given.values())
    preprocessing = {"by_input" if by_input else "shared": given}
    facts = [{"name": name, "shape": list(shape)} for name, shape in started.network.inputs.items()]
    try:
        input_specs(preprocessing, facts)
    except StageError as error:
        raise ConfigError(error.message, hint=error.fix or None, code=error.code) from None
