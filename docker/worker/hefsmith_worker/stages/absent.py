"""Stand-ins for packages that the user's code imports and that are not here.

A file with a network imports what draws, logs or trains beside it, and none of that is needed to
export it. So an import that fails gives a stand-in, which may be passed on and called; what would
take a value from it (a number, a truth, a tensor, a base class) raises what the import would have
raised. So nothing that a network computes can come of one.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Callable, Iterator, List, Optional, Set, Tuple, TypeVar

T = TypeVar("T")

#: What an operator, a loop or a condition would do with a value.
_VALUES = (
    "bool", "int", "float", "complex", "index", "len", "iter", "next", "contains", "hash",
    "eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "round", "array",
    "enter", "exit", "aenter", "await", "setitem", "fspath", "format", "mro_entries",
    *(
        form % name
        for name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow",
                     "lshift", "rshift", "and", "xor")
        for form in ("%s", "r%s")
    ),
)  # fmt: skip


class Absent:
    """Something of a module that is not here, whose name is in that of the class."""

    _module = ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Return something of the same module: a decorated function, a writer of logs."""
        return self

    # In annotations: Array[float] | None
    def __getitem__(self, key: Any) -> Any:
        return self

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __or__

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __subclasscheck__(self, subclass: Any) -> bool:
        return False


def _missing(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError("No module named %r" % module, name=module)


def _refuse(absent: Absent, *_: Any, **__: Any) -> Any:
    raise _missing(absent._module)  # noqa: SLF001


for _name in _VALUES:
    setattr(Absent, "__%s__" % _name, _refuse)


class _Module(ModuleType):
    """A module that is not here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        module = next(one for one in _stood_in if _below(self.__name__, one))
        return type("stand-in of %s" % module, (Absent,), {"_module": module})()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of :data:`_stood_in`, and what lies below them."""

    def find_spec(self, fullname: str, *_: Any) -> Any:
        if any(_below(fullname, one) for one in _stood_in):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


#: By this libraries name what they were given, where it is a stand-in.
_NAMED = re.compile(r"\bstand-in of ([\w.]*\w)")
#: The modules that have a stand-in.
_stood_in: Set[str] = set()


def standing_in(action: Callable[[], T], folder: Path) -> Tuple[T, List[str]]:
    """Run code of the user's below ``folder``; again with a stand-in for what it does not find.

    Returns what ``action`` returns, and the modules that got one. Raises what ``action`` raises,
    also where a stand-in is used for a value.
    """
    found: List[str] = []
    while True:
        try:
            return action(), found
        except ImportError as error:
            module = _imported(error, folder)
            if module is None or module in _stood_in:
                raise
        if not _stood_in:
            sys.meta_path.insert(0, _Finder())
        _stood_in.add(module)
        found.append(module)


def missed(error: BaseException) -> Optional[ModuleNotFoundError]:
    """Return the missing module behind an error that a stand-in led to, as where a layer got it."""
    if isinstance(error, ModuleNotFoundError):
        return error
    named = _NAMED.search(str(error))
    return _missing(named.group(1)).with_traceback(error.__traceback__) if named else None


def real(value: T) -> T:
    """Return ``value``; raises ``ModuleNotFoundError`` where it is a stand-in."""
    if isinstance(value, Absent):
        raise _missing(value._module)  # noqa: SLF001
    return value


def held_by(network: Any) -> str:
    """Return the module whose stand-in a part of a network has taken for a layer, else nothing."""
    for part in network.modules():
        for value in vars(part).values():
            if isinstance(value, Absent):
                return value._module  # noqa: SLF001
    return ""


def forget() -> None:
    """Take all stand-ins back."""
    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, _Finder)]
    for name in [one for one in sys.modules if any(_below(one, other) for other in _stood_in)]:
        del sys.modules[name]
    _stood_in.clear()


def _below(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def _imported(error: ImportError, folder: Path) -> Optional[str]:
    """Return the module that an import of the user's own did not find, or could not load."""
    # A library of the system that is missing (libGL.so.1) leaves a package as unusable.
    unloaded = "cannot open shared object" in str(error)
    if not unloaded and not isinstance(error, ModuleNotFoundError):
        return None
    for trace in reversed(list(_traces(error.__traceback__))):
        if folder in Path(trace.tb_frame.f_code.co_filename).parents:
            asked = list(_asked(trace))
            named = [one for one in asked if error.name and _below(one, error.name)]
            if named and not unloaded:
                return error.name
            # A package that is here lacks something of its own.
            return next((one for one in asked if one not in sys.modules), None)
    return None


def _traces(trace: Optional[TracebackType]) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _asked(trace: TracebackType) -> Iterator[str]:
    """Yield the modules that the import in the line of ``trace`` names; none for another line."""
    frame = trace.tb_frame
    try:
        tree = ast.parse(Path(frame.f_code.co_filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        if not node.lineno <= trace.tb_lineno <= (node.end_lineno or node.lineno):
            continue
        if any(alias.name == "*" for alias in node.names):
            # Its names are not known.
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif not node.level:
            yield str(node.module)
        else:
            relative = "." * node.level + (node.module or "")
            yield importlib.util.resolve_name(relative, str(frame.f_globals.get("__package__")))
