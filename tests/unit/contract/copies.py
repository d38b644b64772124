"""A copy of the tree in which a test may change a row, found as an installed one is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Data folders of the code, and where an installation has them.
DATA = {"docker/emulator": "_docker/emulator", "docker/pi": "_docker/pi", "models": "_models"}


def copy_tree(repository: Path, target: Path) -> Path:
    """Copy the code and return the copy's folder.

    Its data lie where an installation has them: else the copy would use those of the checkout
    that the tests run from, or none at all where hefsmith is installed from a wheel.
    """
    ignore = shutil.ignore_patterns("__pycache__", "wheels")
    for folder in ("docker/emulator", "docker/pi", "docker/worker", "models", "orchestrator"):
        shutil.copytree(repository / folder, target / folder, ignore=ignore)
    for folder, installed in DATA.items():
        link = target / "orchestrator" / installed
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target / folder)
    return target


def add_rows(tree: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write rows into files of a copy: file, the text that each stands before, the row."""
    for name, before, row in rows:
        text = (tree / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before)
        (tree / name).write_text(text.replace(before, row + before), encoding="utf-8")


def walk(script: str, tree: Path, place: Path, *words: str) -> Any:
    """Run a script of this folder with a copy's code; return its last line, from JSON."""
    modules = ("docker/emulator/packages", "docker/worker", "")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *words, str(place)],
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(place.parent),
            "PYTHONPATH": ":".join(str(tree / module) for module in modules),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=place.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
