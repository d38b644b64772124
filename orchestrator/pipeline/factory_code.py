"""The code behind a factory: what it imports, found by reading it and never by running it.

A recipe beside the code, earlier results, environments and notes are none of it. Where the code
hides what it imports or reads (``importlib``, a pickled network, a name that is put together at
run time), all code of the folder counts: then too much is handed over, never too little.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: Files beside code that it may read; weights and pictures are inputs of their own.
TEXT_SUFFIXES = frozenset({".json", ".yaml", ".yml", ".toml", ".cfg", ".txt"})
#: Larger texts are data.
LARGEST_TEXT = 1 << 20
#: A model has fewer files of code; what has more is not read to its end.
MOST_FILES = 2000

#: Folders that hold no code of a model: hefsmith's own, caches, environments.
_NO_CODE = frozenset({"__pycache__", "node_modules", "site-packages", "artifacts", "calib"})
#: Files of the project that say what to build, and are no code: each is read on its own.
_RECIPES = frozenset({"model.yaml", "hef.yaml", "hef.lock"})

#: Calls that import or run what no import statement names.
_HIDDEN = frozenset(
    {"__import__", "import_module", "exec", "eval", "run_path", "run_module", "walk_packages"}
    | {"iter_modules", "spec_from_file_location", "load_module"}
)


@dataclass
class _Read:
    """What one file of code says: modules it imports, texts it names, whether it hides some."""

    modules: list[tuple[int, str]] = field(default_factory=list)
    strings: set[str] = field(default_factory=set)
    hides: bool = False
    paths: bool = False


def factory_files(
    file: Path, mentioned: Iterable[str] = (), *, everything: bool = False, root: Path | None = None
) -> tuple[str, ...]:
    """Return the files behind the factory in ``file``, relative to its folder, sorted.

    With ``root`` they are relative to that folder above it, from which the code is imported.
    ``mentioned`` are texts from elsewhere that may name files, such as the factory's arguments.
    With ``everything`` all code of the folder counts (a pickle imports what it likes).
    """
    folder = root or file.parent
    closure: dict[str, None] = {}
    strings = set(mentioned)
    hides = everything
    pending = [file.relative_to(folder).as_posix()]
    for package in file.parents:
        if package == folder:
            break
        # Importing the file runs these first.
        if (package / "__init__.py").is_file():
            pending.append((package / "__init__.py").relative_to(folder).as_posix())
    trees: dict[str, list[str]] | None = None
    while pending and len(closure) <= MOST_FILES:
        name = pending.pop()
        if name in closure:
            continue
        closure[name] = None
        found = _read(folder / name)
        strings |= found.strings
        hides |= found.hides
        if found.paths and trees is None:
            trees = _by_module(_tree(folder, {".py"}))
        for level, module in found.modules:
            pending += _resolve(folder, name, level, module, trees or {})
    if hides:
        closure.update(dict.fromkeys(_tree(folder, {".py"})))
        for name in closure:
            strings |= _read(folder / name).strings
    return tuple(sorted({*closure, *_texts(folder, strings)}))


def _read(path: Path) -> _Read:
    found = _Read()
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, SyntaxError, ValueError, RecursionError):
        # Whoever runs it will say so; what it would import nobody can tell.
        found.hides = path.suffix == ".py"
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.modules += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found.modules.append((node.level, base))
            found.modules += [
                (node.level, f"{base}.{alias.name}".strip(".")) for alias in node.names
            ]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.strings.add(node.value)
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            # A network's own .eval() is no code that is run from text.
            method = isinstance(called, ast.Attribute) and name in ("eval", "exec")
            found.hides |= (name in _HIDDEN and not method) or _is_hub(called)
        elif isinstance(node, ast.Attribute) and node.attr == "path":
            found.paths |= isinstance(node.value, ast.Name) and node.value.id == "sys"
    return found


def _is_hub(called: ast.expr) -> bool:
    """Tell a call of ``torch.hub.load``, which runs a folder's ``hubconf.py``."""
    return (
        isinstance(called, ast.Attribute)
        and called.attr == "load"
        and getattr(called.value, "attr", getattr(called.value, "id", "")) == "hub"
    )


def _resolve(
    folder: Path, importer: str, level: int, module: str, trees: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    """Yield the files that an import may mean, those of the packages above it too."""
    parts = module.split(".") if module else []
    above = importer.split("/")[:-1]
    if level:
        base = above[: len(above) - (level - 1)] if level > 1 else above
        bases = [base]
    else:
        # A script's folder and, for code that is run from below, the importer's own.
        bases = [[], above] if above else [[]]
    for base in bases:
        for length in range(len(parts) + 1):
            stem = "/".join([*base, *parts[:length]])
            for name in (f"{stem}.py", f"{stem}/__init__.py".lstrip("/")):
                if stem and (folder / name).is_file():
                    yield name
    if not level and parts:
        # With a changed sys.path the package may begin anywhere below.
        for length in range(1, len(parts) + 1):
            tail = "/".join(parts[:length])
            ends = (f"/{tail}.py", f"/{tail}/__init__.py")
            yield from (name for name in trees.get(parts[length - 1], ()) if name.endswith(ends))


def _by_module(names: Iterable[str]) -> dict[str, list[str]]:
    """Return files of code by the last part of the names that they are imported by."""
    found: dict[str, list[str]] = {}
    for name in names:
        *above, own = name.removesuffix(".py").split("/")
        last = above[-1] if own == "__init__" and above else own
        found.setdefault(last, []).append(name)
    return found


def _texts(folder: Path, strings: set[str]) -> Iterator[str]:
    """Yield the text files that the code names; a bare ending (``*.json``) means all of them."""
    written = {text for text in strings if 0 < len(text) < 200}
    suffixes = {suffix for suffix in TEXT_SUFFIXES if any(s.endswith(suffix) for s in written)}
    stems = {text.rsplit("/", 1)[-1] for text in written}
    if not suffixes and not any(text.isidentifier() for text in stems):
        return
    for text in written:
        # The usual way: a path that stands there, relative to the code.
        suffix = next((one for one in TEXT_SUFFIXES if text.endswith(one)), None)
        if suffix is not None and _plain(text) and (folder / text).is_file():
            yield text
    wild = {s for s in suffixes if any(_is_ending(text, s) for text in written)}
    names = {text for text in stems if any(text.endswith(one) for one in suffixes)}
    if wild or names:
        for name in _tree(folder, TEXT_SUFFIXES):
            own = name.rsplit("/", 1)[-1]
            ending = own[own.rfind(".") :]
            if own in names or (ending in wild and own not in _RECIPES):
                yield name


def _plain(text: str) -> bool:
    return not text.startswith("/") and ".." not in text.split("/") and "\0" not in text


def _is_ending(text: str, suffix: str) -> bool:
    """Tell whether a text is only the end of names that are put together at run time."""
    stem = text.removesuffix(suffix)
    return text.endswith(suffix) and (not stem or stem[-1] in "*/}_-" or not stem[-1].isalnum())


def _tree(folder: Path, suffixes: Iterable[str]) -> Iterator[str]:
    """Yield files of a folder and below by their endings, without what holds no model's code."""
    wanted = frozenset(suffixes)
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            entries = sorted(current.iterdir())
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _NO_CODE:
                continue
            if entry.is_dir() and not entry.is_symlink():
                if not (entry / "pyvenv.cfg").exists():
                    pending.append(entry)
            elif (
                entry.suffix in wanted
                and entry.is_file()
                and (entry.suffix == ".py" or entry.stat().st_size < LARGEST_TEXT)
            ):
                yield entry.relative_to(folder).as_posix()
