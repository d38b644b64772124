"""A copy of the tree in which a test may change a row, found as an installed one is."""

from __future__ import annotations

import shutil
from pathlib import Path

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
