"""The stages of a build: their order, their modules, what each stands on.

The code behind a stage is not listed: it is what the stage's module imports, and what that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Tuple


@dataclass(frozen=True)
class Stage:
    """One stage. ``after`` are those whose results it reads; ``by_arch`` ones run the compiler."""

    name: str
    after: Tuple[str, ...]
    by_arch: bool

    @property
    def module(self) -> str:
        """The module whose ``run(workspace)`` is the stage."""
        return "hefsmith_worker.stages." + self.name


#: In the only order in which they run.
STAGES = (
    Stage("export", (), by_arch=False),
    Stage("calibrate", ("export",), by_arch=False),
    Stage("parse", ("export",), by_arch=True),
    Stage("optimize", ("parse", "calibrate"), by_arch=True),
    Stage("compile", ("optimize",), by_arch=True),
    Stage("evaluate", ("compile", "export"), by_arch=True),
)

NAMES = tuple(stage.name for stage in STAGES)
BY_NAME: Mapping[str, Stage] = {stage.name: stage for stage in STAGES}
#: Stages that need torch or pictures, and nothing of the compiler's.
BEFORE_COMPILER = tuple(stage.name for stage in STAGES if not stage.by_arch)
