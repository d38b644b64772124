"""Draw the rooms and their arrows from the imports, into ``docs/architecture.md``.

``python docs/architecture.py`` writes the picture; ``--check`` fails when it is out of date.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "architecture.md"
START, END = "<!-- picture: start -->", "<!-- picture: end -->"

#: Rooms by the module prefix that leads to them, the longest that fits wins.
ROOMS = {
    "orchestrator.cli": "cli",
    "orchestrator.api": "api",
    "orchestrator.pipeline": "pipeline",
    "orchestrator.diagnose": "diagnose",
    "orchestrator.report": "report",
    "orchestrator.inspect": "inspect",
    "orchestrator.engine": "engine",
    "orchestrator.device": "device",
    "orchestrator.toolchain": "toolchain",
    "orchestrator.project": "project",
    "orchestrator.hef": "hef",
    "hefsmith_worker": "worker",
    "hefsmith_worker.contract": "contract",
    "hailo_emulator": "emulator",
    "hailo_sdk_client": "vendor",
    "hailo_sdk_common": "vendor",
    "hailo_model_optimization": "vendor",
    "hailo_platform": "vendor",
}

#: Arrows lead down: a room knows those of the storeys below, and none beside or above it.
#: ``vendor`` are the names of Hailo's packages: the SDK and HailoRT, or our stand-ins for them.
STOREYS = (
    ("cli",),
    ("api",),
    ("pipeline",),
    ("diagnose", "report"),
    ("engine", "device", "toolchain", "project"),
    ("inspect",),
    ("emulator",),
    ("worker",),
    ("hef", "vendor"),
    ("contract",),
)

Edges = Counter[tuple[str, str]]


def room_of(module: str) -> str | None:
    """Return the room that a module belongs to, ``None`` for what is no room of ours."""
    fits = [name for name in ROOMS if module == name or module.startswith(f"{name}.")]
    return ROOMS[max(fits, key=len)] if fits else None


def sources() -> list[tuple[str, Path]]:
    """Return our modules with their files; tests are none."""
    found = []
    for root in ("", "docker/worker", "docker/emulator/packages"):
        base = REPOSITORY / root
        for top in ("orchestrator",) if not root else sorted(p.name for p in base.iterdir()):
            for path in sorted((base / top).rglob("*.py")):
                module = ".".join(path.relative_to(base).with_suffix("").parts)
                found.append((module.removesuffix(".__init__"), path))
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def edges() -> Edges:
    """Count the imports from room to room."""
    counted: Edges = Counter()
    for module, path in sources():
        here = room_of(module)
        if here is None:
            continue
        for name in imports(path):
            there = room_of(name)
            # The stand-ins carry the vendor's names, and are made of what is ours.
            if there is not None and here != there and here != "vendor":
                counted[here, there] += 1
    return counted


def picture(counted: Edges) -> str:
    """Return the rooms as a Mermaid flow chart, one storey under the other."""
    lines = ["```mermaid", "flowchart TD"]
    for number, storey in enumerate(STOREYS):
        lines += [f"  subgraph s{number}[ ]", *(f"    {room}" for room in storey), "  end"]
    lines += [f"  {here} --> {there}" for here, there in sorted(counted)]
    return "\n".join([*lines, "```"])


def page(text: str, drawn: str) -> str:
    """Return the page with the picture in its place."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{drawn}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the picture, or with ``--check`` say whether it is the one of today."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text, picture(edges()))
    if "--check" in arguments:
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
