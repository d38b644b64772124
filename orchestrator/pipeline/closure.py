"""Whose code decides a result: the import closure of a module of the worker, read from its source.

Imports count wherever they stand, in functions too; those for type checkers alone do not. A
module that is started by its name (``-m``) counts where the name stands as a string. Reading a
file's imports takes a while, so they are remembered by the file's content.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.pipeline.digests import digest_of, files_below

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.pipeline.digests import DigestMemory

PACKAGE = "hefsmith_worker"
#: What imports are remembered under; another number when they are read in another way.
_KIND = "imports-2"
_MODULE = re.compile(rf"{PACKAGE}(\.\w+)*")
#: A module's name as a string: what a process is started with (``-m``).
_STARTED = re.compile(rf"""["']({PACKAGE}(?:\.\w+)*)["']""".encode())
#: Where statements hold statements: bodies, branches, handlers, cases.
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")

#: Modules by the digest of the file that names them: a process that builds with several caches
#: looks at a file once.
_FOUND: dict[str, list[str]] = {}


class CodeReader:
    """Finds the worker's files behind modules; each file is looked at once.

    ``worker`` is the folder of the package.
    """

    def __init__(self, worker: Path, memory: DigestMemory) -> None:
        self._worker = worker
        self._memory = memory
        self._there = frozenset(files_below(worker))
        self._files: dict[str, tuple[str, ...]] = {}
        self._seen: dict[str, tuple[str, tuple[str, ...]]] = {}

    def digest(self, modules: Iterable[str]) -> str:
        """Return one digest of all files behind some modules, by their relative names."""
        return digest_of([[name, self._look(name)[0]] for name in self.closure(modules)])

    def closure(self, modules: Iterable[str]) -> list[str]:
        """Return the files that a process needs to import some modules: relative names, sorted."""
        found: set[str] = set()
        pending = [name for module in modules for name in self._files_of(module)]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self._look(name)[1]
        return sorted(found)

    def imports_of(self, path: Path, digest: str) -> list[str]:
        """Return the worker's modules that any file, with its digest, names in its imports."""

        def find() -> list[str]:
            if digest not in _FOUND:
                _FOUND[digest] = sorted(_imports(path))
            return _FOUND[digest]

        return self._memory.derived(digest, _KIND, find)

    def _look(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return a file's digest and the files of what it imports."""
        if name not in self._seen:
            path = self._worker / name
            digest = self._memory.file(path)
            modules = self.imports_of(path, digest)
            files = (found for module in modules for found in self._files_of(module))
            self._seen[name] = (digest, tuple(dict.fromkeys(files)))
        return self._seen[name]

    def _files_of(self, module: str) -> tuple[str, ...]:
        if module not in self._files:
            self._files[module] = tuple(self._find(module))
        return self._files[module]

    def _find(self, module: str) -> Iterator[str]:
        """Yield the files that importing a name runs; its last part may be no module at all."""
        folder = ""
        for part in (*module.split(".")[1:], None):
            if (package := f"{folder}__init__.py") in self._there:
                yield package
            if (plain := f"{folder}{part}.py") in self._there:
                yield plain
                return
            folder = f"{folder}{part}/"


def _imports(path: Path) -> set[str]:
    """Return the worker's modules that a file names.

    Only statements are walked, since imports are some: a first build looks at all files, and
    expressions are most of what is in them.
    """
    source = path.read_bytes()
    if PACKAGE.encode() not in source:
        return set()
    import ast

    found = {match[1].decode() for match in _STARTED.finditer(source)}
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and _is_for_types(node.test):
            pending += node.orelse
            continue
        found.update(_named(node))
        for block in _BLOCKS:
            pending += getattr(node, block, ())
    return {name for name in found if _MODULE.fullmatch(name)}


def _is_for_types(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def _named(node: ast.AST) -> Iterator[str]:
    import ast

    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield module
            yield from (f"{module}.{alias.name}" for alias in names)
        case _:
            pass
