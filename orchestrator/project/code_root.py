"""From which folder the user's code is imported: the one above its packages, as its owner has it.

``net.py`` alone is imported from its own folder. Code in packages says otherwise by what it
imports: ``from .blocks import Block`` needs a package around it, ``from mypkg.layers import x``
the folder that holds ``mypkg``. Read, never run.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

#: Files by which a folder is the top of somebody's project.
_TOPS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
#: Folders above code that are looked at where nothing says which one is the top.
_HIGHEST = 4
_MOST_FILES = 500
#: Folders of installed packages, which are no part of the project that an environment lies in.
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def above(folder: Path, project: Path | None = None) -> list[Path]:
    """Return the folders above one that may hold code of the same project, the nearest first.

    ``project`` is its top where the folder lies below it.
    """
    found: list[Path] = []
    if project is not None and not folder.is_relative_to(project):
        project = None
    for one in [folder, *folder.parents]:
        if one.name in _INSTALLED or (one / "pyvenv.cfg").is_file():
            break
        if one != folder:
            found.append(one)
        marked = one == project if project else any((one / name).exists() for name in _TOPS)
        if marked:
            return found
    if project is not None:
        return found
    # Nobody's top: packages alone show where the code begins.
    kept = []
    for one in found[:_HIGHEST]:
        kept.append(one)
        if not (one / "__init__.py").is_file():
            break
    return kept if (folder / "__init__.py").is_file() else []


def holds(folder: Path, name: str) -> bool:
    """Tell whether a module of that name can be imported from a folder."""
    if (folder / f"{name}.py").is_file():
        return True
    inside = folder / name
    try:
        return inside.is_dir() and any(
            one.suffix == ".py" or (one.is_dir() and (one / "__init__.py").is_file())
            for one in inside.iterdir()
        )
    except OSError:
        return False


def code_root(file: Path, project: Path | None = None) -> Path:
    """Return the folder from which a file of code is imported, by what it and its own import."""
    root = file.parent
    places = above(root, project)
    while True:
        higher = _wanted(file, root, [one for one in places if one in root.parents])
        if higher is None:
            break
        root = higher
    parts = file.relative_to(root).with_suffix("").parts
    return root if all(part.isidentifier() for part in parts) else file.parent


def _wanted(file: Path, root: Path, places: list[Path]) -> Path | None:
    """Return a folder above ``root`` that some import needs, ``None`` where all are content."""
    pending, seen = [file], set[Path]()
    while pending and len(seen) < _MOST_FILES:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        for level, module, name in _imports(current):
            base = current.parent
            for _ in range(level - 1):
                base = base.parent
            if level and not (base != root and base.is_relative_to(root)):
                # The folder itself may lie in one that is called a package and is a project's top.
                needed = (_above_packages(base), base.parent)
                higher = next((one for one in needed if one in places), None)
                if higher is not None:
                    return higher
                continue
            head = name.partition(".")[0]
            homes = (base,) if level else (root, current.parent)
            home = next((one for one in homes if _holds_all(one, module or head)), None)
            if home is not None:
                pending += _files(home, name)
            elif not level and head not in sys.stdlib_module_names:
                higher = next((one for one in places if holds(one, head)), None)
                if higher is not None:
                    return higher
    return None


def _holds_all(folder: Path, module: str) -> bool:
    """Tell whether a folder holds a module, and not only a file called like its first part."""
    head, _, rest = module.partition(".")
    return holds(folder, head) and not (rest and not (folder / head).is_dir())


def _above_packages(folder: Path) -> Path:
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder.parent


def _files(home: Path, name: str) -> list[Path]:
    """Return the files that are read when a module is imported from a folder."""
    found = []
    place = home
    for part in name.split("."):
        found += [place / f"{part}.py", place / part / "__init__.py"]
        place = place / part
    return [one for one in found if one.is_file()]


def _imports(file: Path) -> list[tuple[int, str, str]]:
    """Return level, module and name of what a file imports; a name may be a module, or in one."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    found: list[tuple[int, str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found += [(node.level, base, f"{base}.{one.name}".strip(".")) for one in node.names]
    return found
