"""The plan as a worker reads it: plain JSON, checked before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from hefsmith_worker.contract import names
from hefsmith_worker.contract.stages import LOOK, NAMES

SCHEMA = 1


class PlanError(Exception):
    """The plan is no plan; only a mismatch of versions or a damaged file brings this about."""


class StageError(Exception):
    """A stage cannot go on, for a reason that the user can act on.

    ``code`` is stable, ``fix`` says what to do next.
    """

    def __init__(self, message: str, code: str = "stage.failed", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix


class Plan:
    """Stages to run and their parameters; paths are below the inputs or the work folder.

    ``known`` has, by stage, digests of what it may pass on, and which of the stages after it
    must then still run: the host has the results of the others.
    """

    def __init__(self, document: Dict[str, Any], inputs: Path, work: Path) -> None:
        if document.get("schema") != SCHEMA:
            raise PlanError(
                "the plan has schema %r, this worker knows %d" % (document.get("schema"), SCHEMA)
            )
        known = (LOOK.name, *NAMES)
        unknown = [stage for stage in document.get("stages", []) if stage not in known]
        if unknown:
            raise PlanError("unknown stages: %s" % ", ".join(map(str, unknown)))
        self.model = str(document["model"])
        self.arch = str(document["arch"])
        self.net_name = str(document["net_name"])
        self.hef_name = str(document["hef_name"])
        self.seed = int(document.get("seed", 0))
        self.stages: List[str] = [stage for stage in known if stage in document["stages"]]
        self.parameters: Dict[str, Dict[str, Any]] = dict(document["parameters"])
        self.known: Dict[str, Dict[str, List[str]]] = dict(document.get("known", {}))
        #: What the contact test was told by this very compiler: a check and how it ended. It
        #: only says which of two forms is tried first, so no key has it.
        self.answers: Dict[str, str] = dict(document.get("answers", {}))
        self.inputs = inputs
        self.work = work

    def refuses(self, check: str) -> bool:
        """Say whether the compiler was asked for something before, and answered no."""
        return self.answers.get(check, "").split(" ")[0] == "no"

    def of(self, stage: str) -> Dict[str, Any]:
        """Return what a stage was asked; it reads no other's, since its key has no other's."""
        return self.parameters.get(stage, {})

    def input(self, name: str) -> Path:
        """Return the path of an input; a name cannot lead out of the inputs folder."""
        # Not where a link leads: the local engine lends inputs as links.
        try:
            return self.inputs.joinpath(*names.parts(name))
        except names.NameRefused as error:
            raise PlanError("input %s" % error)


def read_plan(plan: Path, inputs: Path, work: Path) -> Plan:
    """Read and check a plan file."""
    try:
        document = json.loads(plan.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError("%s cannot be read: %s" % (plan, error))
    try:
        return Plan(document, inputs, work)
    except KeyError as error:
        raise PlanError("the plan lacks %s" % error)
