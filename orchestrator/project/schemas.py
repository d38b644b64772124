"""JSON schemas of the files that people write, made from what the program checks them with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.files import write_atomic
from orchestrator.project.projectfile import ProjectFile
from orchestrator.project.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.section import Section

#: Files by the name that `hef config schema` takes.
SCHEMAS: dict[str, type[Section]] = {"model": Recipe, "project": ProjectFile}
#: Where a project keeps them, so that each of its editors finds them.
FOLDER = ".hef"


def schema_of(name: str) -> dict[str, object]:
    """Return the schema of ``model`` (``model.yaml``) or ``project`` (``hef.yaml``)."""
    from orchestrator.project.checking import json_schema

    return {"title": f"hefsmith {name}", **json_schema(SCHEMAS[name])}


def write_schemas(project: Path) -> None:
    """Write the schemas into a project; those of an older hefsmith are replaced."""
    for name in SCHEMAS:
        text = json.dumps(schema_of(name), indent=1, ensure_ascii=False) + "\n"
        write_atomic(project / FOLDER / f"{name}.schema.json", text)


def reference(name: str, project: Path, folder: Path) -> str:
    """Return a project's schema as a file in ``folder`` refers to it."""
    from orchestrator.files import relative

    return relative(project / FOLDER / f"{name}.schema.json", folder)
