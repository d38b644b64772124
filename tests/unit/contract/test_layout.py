"""Names of a build's files stand in the contract, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

from hefsmith_worker.contract import layout

#: The same words elsewhere: files on devices and in a project, labels of containers.
OTHERS = {
    "orchestrator/device/release.py": {"manifest.json"},
    "orchestrator/engine/launch.py": {".detached"},
    "orchestrator/engine/orphans.py": {".detached"},
    "orchestrator/project/zoo.py": {"model.onnx"},
}


def test_no_other_file_spells_a_name_of_the_layout(repository: Path) -> None:
    names = {
        value
        for name, value in vars(layout).items()
        if name.isupper() and isinstance(value, str) and "." in value
    }
    own = repository / "docker/worker/hefsmith_worker/contract/layout.py"
    found: dict[str, set[str]] = {}
    for folder in ("orchestrator", "docker/worker"):
        for path in (repository / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            # To parse what has none of the words would take most of the time.
            if not any(name in text for name in names):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and node.value in names and path != own:
                    found.setdefault(path.relative_to(repository).as_posix(), set()).add(node.value)
    assert found == OTHERS


def test_no_two_files_share_a_name() -> None:
    names = [value for name, value in vars(layout).items() if name.isupper() and type(value) is str]
    assert len(names) == len(set(names))
    assert set(layout.PASSING_FILES) <= set(names)
