"""Folders of this machine, which have no business in what others get."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def private_folders(cache: Path, project: Path) -> dict[str, str]:
    """Return the folders of this machine that nobody else need know, and words for them."""
    words = {
        cache: "<cache>",
        project: "<project>",
        Path(tempfile.gettempdir()): "<tmp>",
        Path.home(): "~",
    }
    if sys.prefix != sys.base_prefix:
        words[Path(sys.prefix)] = "<python>"
    found: dict[str, str] = {}
    for folder, word in words.items():
        for path in (folder, folder.resolve()):
            if len(path.parts) > 1:
                found.setdefault(os.fspath(path), word)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))
