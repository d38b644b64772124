"""Python files of the user's, read and never run: what they define, what importing them does.

A training script that reads its data when it is imported cannot be a recipe's source. What its
network stands on is found by names, so that those definitions can be moved into a file of their
own.
"""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.reading import parse_json, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_BUILTINS = frozenset(dir(builtins))
_LARGEST = 2 << 20
#: Notebooks hold the pictures that they have shown.
_LARGEST_NOTEBOOK = 64 << 20
NOTEBOOK = ".ipynb"
#: Beginnings of cells that are Python all the same.
_OF_PYTHON = ("%%time", "%%capture", "%%timeit")

#: Calls in a constant's value that touch nothing: what a network's sizes are computed with.
_HARMLESS = frozenset(
    {"len", "range", "list", "tuple", "dict", "set", "sorted", "max", "min", "int", "float", "str"}
)

#: What libraries compute of constants alone, by the beginning of the name.
_HARMLESS_OF = (
    "torch.nn.",
    "torch.device",
    "torch.cuda.is_available",
    "torchvision.transforms.",
    "albumentations.",
    "pathlib.Path",
    "os.path.",
    "logging.getLogger",
    # Types and bound arguments: nothing runs before somebody calls what they make.
    "collections.namedtuple",
    "collections.OrderedDict",
    "typing.NamedTuple",
    "typing.TypeVar",
    "functools.partial",
    # Numbers that stand in the file.
    "math.",
    "numpy.array",
    "numpy.asarray",
    "torch.tensor",
)
#: Methods of paths that name others, and calls at the top of a file that leave no trace.
_OF_PATHS = frozenset({"resolve", "absolute", "expanduser", "joinpath", "with_name", "as_posix"})
_SETTINGS = (
    "sys.path.append",
    "sys.path.insert",
    "warnings.filterwarnings",
    "warnings.simplefilter",
    "logging.basicConfig",
    "torch.manual_seed",
    "torch.set_",
    "numpy.random.seed",
    "random.seed",
)
#: What programs are called that feed a network as it is fed in use, the surest first.
_ROLES = (
    re.compile(r"export|onnx|deploy", re.IGNORECASE),
    re.compile(r"infer|predict|demo|detect", re.IGNORECASE),
    re.compile(r"test|eval|valid", re.IGNORECASE),
)
#: What differs from one run to the next.
_OUTSIDE = ("os.environ", "sys.argv")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Unknown(Exception):
    """A value that cannot be known without running the code."""


@dataclass(frozen=True)
class Trouble:
    """A statement that does something when the file is imported: its line, and what it says."""

    line: int
    text: str


@dataclass(frozen=True)
class Script:
    """One Python file, parsed."""

    path: Path
    source: str
    tree: ast.Module = field(compare=False)
    #: Of a notebook: the line with which each of its cells begins, by the cell's number.
    cells: Mapping[int, int] = field(default_factory=dict)

    @property
    def is_notebook(self) -> bool:
        """Whether it is one, whose code no program can import."""
        return bool(self.cells)

    def place(self, line: int) -> str:
        """Return where a line is, as its reader finds it: the line, or the cell of a notebook."""
        before = [number for number, first in self.cells.items() if first <= line]
        return f"cell {max(before)}" if before else f"line {line}"

    @cached_property
    def definitions(self) -> Mapping[str, Definition]:
        """Classes and functions at the top of the file."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return {node.name: node for node in self.tree.body if isinstance(node, kinds)}

    @cached_property
    def imports(self) -> Mapping[str, ast.stmt]:
        """Import statements by the names that they bind, anywhere in the file."""
        found: dict[str, ast.stmt] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    found.setdefault((alias.asname or alias.name).partition(".")[0], node)
        return found

    @cached_property
    def imported(self) -> Mapping[str, str]:
        """What each imported name stands for: ``models`` is ``torchvision.models``."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    found.setdefault(bound, alias.name if alias.asname else bound)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found.setdefault(alias.asname or alias.name, f"{node.module}.{alias.name}")
        if "*" in found:
            # What a file of the same project hands on by a star; everybody calls these so.
            found = {"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional", **found}
        return found

    @cached_property
    def assigned(self) -> Mapping[str, ast.expr]:
        """Values by the name that is given them: the first of the file, whatever the function."""
        found: dict[str, ast.expr] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and node.value is not None:
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, node.value)
                    elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                        pairs = zip(target.elts, node.value.elts, strict=False)
                        found.update(
                            (one.id, value)
                            for one, value in pairs
                            if isinstance(one, ast.Name) and one.id not in found
                        )
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.setdefault(node.target.id, node.value or ast.Constant(None))
        return found

    @cached_property
    def statements(self) -> Mapping[str, ast.stmt]:
        """Assignments at the top of the file, by the name that they bind."""
        found: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, node)
        return found

    @cached_property
    def has_layers(self) -> bool:
        """Whether it defines a network, or a part of one."""
        classes = [one for one in self.definitions.values() if isinstance(one, ast.ClassDef)]
        return any(dotted(base).endswith("Module") for one in classes for base in one.bases)

    @property
    def troubles(self) -> list[Trouble]:
        """What happens when the file is imported, beside definitions and constants."""
        return [
            Trouble(node.lineno, self.line(node))
            for node in self.tree.body
            if not self._is_quiet(node)
        ]

    def line(self, node: ast.AST) -> str:
        """Return the first line of a node, as it stands in the file."""
        number = getattr(node, "lineno", 1)
        lines = self.source.splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def _is_quiet(self, node: ast.stmt) -> bool:
        quiet = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if isinstance(node, (*quiet, ast.Pass)):
            return True
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant) or self._is_setting(node.value)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            return node.value is None or self.is_constant(node.value)
        if isinstance(node, ast.If):
            inside = all(self._is_quiet(one) for one in (*node.body, *node.orelse))
            return _asks_for_main(node.test) or (inside and self.is_constant(node.test))
        return isinstance(node, ast.Try) and all(
            isinstance(one, (*quiet, ast.Pass, ast.Assign)) for one in node.body
        )

    def _is_setting(self, value: ast.expr) -> bool:
        """Tell a call that only sets up this Python, such as where it looks for modules."""
        if not isinstance(value, ast.Call):
            return False
        given = [*value.args, *(one.value for one in value.keywords)]
        known = self.stands_for(dotted(value.func)).startswith(_SETTINGS)
        return known and all(self.is_constant(one) for one in given)

    def is_constant(self, value: ast.expr) -> bool:
        """Tell whether a value is computed of numbers and texts alone."""
        for node in ast.walk(value):
            if isinstance(node, ast.Call):
                name = dotted(node.func)
                if isinstance(node.func, ast.Attribute) and not name:
                    # What it is called on is looked at by itself.
                    name = "str" if node.func.attr in _OF_PATHS else ""
                if name not in _HARMLESS and not self.stands_for(name).startswith(_HARMLESS_OF):
                    return False
            if isinstance(node, ast.Attribute) and self.stands_for(dotted(node)) in _OUTSIDE:
                return False
            if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
                return False
        return True

    def stands_for(self, name: str) -> str:
        """Return a dotted name as the imports have it: ``nn.Linear`` is ``torch.nn.Linear``."""
        root, dot, rest = name.partition(".")
        return f"{self.imported.get(root, root)}{dot}{rest}"

    def value(self, node: ast.AST | None, depth: int = 0) -> Any:
        """Return a constant's value, names followed; raises :class:`Unknown`."""
        if depth > 20 or node is None:
            raise Unknown
        if isinstance(node, ast.Name):
            if node.id in self.assigned:
                return self.value(self.assigned[node.id], depth + 1)
            raise Unknown
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(one, depth + 1) for one in node.elts]
        if isinstance(node, ast.Dict):
            return {
                self.value(key, depth + 1): self.value(one, depth + 1)
                for key, one in zip(node.keys, node.values, strict=True)
            }
        if isinstance(node, ast.Call) and dotted(node.func) == "len" and len(node.args) == 1:
            return len(self.value(node.args[0], depth + 1))
        if isinstance(node, ast.BinOp):
            return _computed(node, self.value(node.left, depth + 1), self.value(node.right, depth))
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise Unknown from None


def _computed(node: ast.BinOp, left: Any, right: Any) -> Any:
    if isinstance(node.op, ast.Mult) and isinstance(left, list) and isinstance(right, int):
        return left * min(right, 64)
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise Unknown
    try:
        if isinstance(node.op, ast.Div):
            return left / right
        if isinstance(node.op, ast.FloorDiv):
            return left // right
    except ZeroDivisionError:
        raise Unknown from None
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    raise Unknown


def _asks_for_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(one, ast.Name) and one.id == "__name__" for one in (test.left, *test.comparators)
    )


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a chain of names, ``""`` for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def read_script(path: Path) -> Script | None:
    """Return a Python file or a notebook, ``None`` for one that is too large or is neither."""
    try:
        notebook = path.suffix.lower() == NOTEBOOK
        if path.stat().st_size > (_LARGEST_NOTEBOOK if notebook else _LARGEST):
            return None
        if notebook:
            return _notebook(path)
        source = read_text(path)
        return Script(path, source, ast.parse(source))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _notebook(path: Path) -> Script | None:
    """Return the code of a notebook's cells, one after the other; cells number from one."""
    cells: dict[int, int] = {}
    lines: list[str] = []
    whole = parse_json(path.read_bytes())
    listed = whole.get("cells") if isinstance(whole, dict) else None
    for number, cell in enumerate(listed if isinstance(listed, list) else (), 1):
        text = _code_of(cell)
        if text is not None:
            cells[number] = len(lines) + 1
            lines += text.splitlines() or [""]
    if not cells:
        return None
    source = "\n".join(lines) + "\n"
    return Script(path, source, ast.parse(source), cells)


def _code_of(cell: object) -> str | None:
    """Return a cell's Python, its magic turned into remarks; ``None`` for what is no Python."""
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    given = cell.get("source")
    text = "".join(map(str, given)) if isinstance(given, list) else str(given or "")
    if text.lstrip().startswith("%%") and not text.lstrip().startswith(_OF_PYTHON):
        return None
    text = re.sub(r"^([ \t]*)([%!?].*)$", r"\1pass  # \2", text, flags=re.MULTILINE)
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    return text


@dataclass(frozen=True)
class Extract:
    """Definitions in a file of their own. ``names`` were moved; ``open_names`` stayed unknown."""

    text: str
    names: tuple[str, ...]
    open_names: tuple[str, ...] = ()


def extract(script: Script, name: str, given: Mapping[str, object]) -> Extract:
    """Return a file with a definition and all that it stands on.

    ``given`` are values that are known although the script computes them, such as class names.
    """
    wanted, unknown = _stands_on(script, name, given)
    moved = [node for node in script.tree.body if _binds(node) & wanted]
    needed = {used for node in moved for used in _names_used(node)}
    lines = _imports(script, needed)
    lines.append("")
    for node in moved:
        if isinstance(node, Definition):
            lines += ["", *_text(script, node), ""]
        elif bound := _binds(node) & wanted & set(given):
            lines += [f"{one} = {given[one]!r}" for one in sorted(bound)]
        else:
            lines += _text(script, node)
    text = "\n".join(_at_most_two_empty(lines)).strip() + "\n"
    return Extract(text, tuple(_defined(moved)), tuple(dict.fromkeys(unknown)))


def _stands_on(
    script: Script, name: str, given: Mapping[str, object]
) -> tuple[set[str], list[str]]:
    """Return the names that go along with a definition, and those that nobody can know."""
    wanted, queue = {name}, [name]
    unknown: list[str] = []
    while queue:
        node = script.definitions.get(queue[0]) or script.statements.get(queue[0])
        queue.pop(0)
        if node is None:
            continue
        for used in _names_used(node):
            if used in wanted or used in _BUILTINS or used in script.imports:
                continue
            if used in script.definitions:
                queue.append(used)
            elif used not in script.statements:
                continue
            elif used not in given:
                value = script.assigned.get(used)
                if value is None or not script.is_constant(value):
                    unknown.append(used)
                    continue
                queue.append(used)
            wanted.add(used)
    return wanted, unknown


def _defined(nodes: Sequence[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        yield from sorted(_binds(node))


def _binds(node: ast.stmt) -> set[str]:
    if isinstance(node, Definition):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {
            one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)
        }
    return set()


def _names_used(node: ast.AST) -> set[str]:
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    }


def _imports(script: Script, needed: set[str]) -> list[str]:
    found: dict[str, None] = {}
    for node in ast.walk(script.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            found[ast.unparse(node)] = None
    for name, node in script.imports.items():
        if name in needed and isinstance(node, ast.Import | ast.ImportFrom):
            aliases = [
                one
                for one in node.names
                if (one.asname or one.name).partition(".")[0] == name or one.name == "*"
            ]
            if isinstance(node, ast.ImportFrom):
                kept: ast.stmt = ast.ImportFrom(node.module, aliases, node.level)
            else:
                kept = ast.Import(aliases)
            found[ast.unparse(kept)] = None
    return list(found)


def _text(script: Script, node: ast.stmt) -> list[str]:
    lines = script.source.splitlines()
    first = node.lineno
    if isinstance(node, Definition) and node.decorator_list:
        first = min(first, *(one.lineno for one in node.decorator_list))
    return lines[first - 1 : node.end_lineno]


def _at_most_two_empty(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if line.strip() or not (len(kept) > 1 and not kept[-1].strip() and not kept[-2].strip()):
            kept.append(line)
    return kept


def called_names(scripts: Iterable[Script]) -> frozenset[str]:
    """Return the names that programs call where they run, as ``net = Net()`` in a training does.

    What is called inside of functions and classes may be any of a library's networks.
    """
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    outside = [one for script in scripts for one in script.tree.body if not isinstance(one, kinds)]
    calls = [node for one in outside for node in ast.walk(one) if isinstance(node, ast.Call)]
    return frozenset(dotted(node.func).rpartition(".")[2] for node in calls)


#: How far a script is from a network's own that has nothing to do with it.
FAR = 3


def nearest_first(scripts: Sequence[Script], own: Script | None) -> list[Script]:
    """Return scripts by how near they are to a network's own: what uses it and loads its weights
    comes next, as a demonstration does; other programs of a folder are about other networks."""
    if own is None:
        return list(scripts)
    return sorted(scripts, key=lambda one: (distance(one, own), _role(one)))


def distance(script: Script, own: Script | None) -> int:
    """Return how near a script is to a network's own, which is 0; :data:`FAR` for strangers."""
    if own is None or script is own:
        return 0
    if not _imports_file(script, own):
        return 2 if _stands_for(own, script) else FAR
    return 1 if "load_state_dict" in script.source else 2


def _stands_for(own: Script, other: Script) -> bool:
    """Tell whether a script imports another one itself."""
    place = other.path.with_suffix("").parts
    for name in own.imported.values():
        parts = tuple(name.split("."))
        # The last may be what is taken from the file.
        if any(place[-len(one) :] == one for one in (parts, parts[:-1]) if one):
            return True
    return False


def _role(script: Script) -> int:
    return next((at for at, words in enumerate(_ROLES) if words.search(script.path.stem)), 9)


def _imports_file(script: Script, other: Script) -> bool:
    """Tell whether a script imports another one, or a package that it lies in."""
    place = other.path.with_suffix("").parts
    for name in script.imported.values():
        parts = tuple(name.split("."))
        for count in range(len(parts), 0, -1):
            starts = range(len(place) - count + 1)
            ends = [at + count for at in starts if place[at : at + count] == parts[:count]]
            # One name alone may be that of any folder above.
            if any(count > 1 or end >= len(place) - 1 for end in ends):
                return True
    return False


def hands_on(script: Script, name: str) -> bool:
    """Tell whether a class's ``forward`` only calls one of its layers on what it is given."""
    node = script.definitions.get(name)
    body = node.body if isinstance(node, ast.ClassDef) else []
    forward = next(
        (one for one in body if isinstance(one, ast.FunctionDef) and one.name == "forward"), None
    )
    if forward is None or len(forward.args.args) != 2:
        return False
    own, given = (one.arg for one in forward.args.args)
    said = [one for one in forward.body if not isinstance(one, ast.Expr)]
    returned = said[0].value if len(said) == 1 and isinstance(said[0], ast.Return) else None
    return (
        isinstance(returned, ast.Call)
        and dotted(returned.func).startswith(f"{own}.")
        and dotted(returned.func).count(".") == 1
        and [dotted(one) for one in returned.args] == [given]
        and not returned.keywords
    )


def makers(script: Script, name: str) -> list[str]:
    """Return the functions that make a class in several sizes, each with arguments of its own."""
    functions = [one for one in script.definitions.values() if isinstance(one, ast.FunctionDef)]
    found = [one.name for one in functions if name in _returned(one)]
    return found if len(found) > 1 else []


def _returned(function: ast.FunctionDef) -> set[str]:
    """Return what a function calls for what it returns, also by a variable."""
    made: dict[str, str] = {}
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called = dotted(node.value.func)
            made.update((one.id, called) for one in node.targets if isinstance(one, ast.Name))
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            found.add(dotted(node.value.func))
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
            found.add(made.get(node.value.id, ""))
    return found
