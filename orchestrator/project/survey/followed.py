"""Values that code takes from elsewhere: a constant of another file, what a function is given.

Nothing is run. A value is known only where all places that may give it agree.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from orchestrator.project.survey.code import Script, Unknown, dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: How often one is led on.
_FARTHEST = 6
#: What hands on the numbers that it is given.
_WRAPS = frozenset({"list", "tuple", "array", "asarray", "tensor", "float32", "float"})

_Place = tuple[Script, ast.expr]


def follow(script: Script, node: ast.expr, scripts: Sequence[Script], depth: int = 0) -> Any:
    """Return the value of ``node``, which stands in ``script``; raises :class:`Unknown`."""
    if depth > _FARTHEST:
        raise Unknown
    if isinstance(node, ast.List | ast.Tuple):
        return [follow(script, one, scripts, depth + 1) for one in node.elts]
    called = dotted(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    if isinstance(node, ast.Call) and called in _WRAPS and len(node.args) == 1:
        return follow(script, node.args[0], scripts, depth + 1)
    given = list(_given(script, node, scripts))
    if given:
        return _agreed(given, scripts, depth)
    try:
        return script.value(node)
    except Unknown:
        return _agreed(_found(script, node, scripts), scripts, depth)


def _agreed(places: Iterable[_Place], scripts: Sequence[Script], depth: int) -> Any:
    """Return the one value that stands at all places of which it can be told."""
    values: list[Any] = []
    for script, node in places:
        try:
            values.append(follow(script, node, scripts, depth + 1))
        except Unknown:
            continue
    if not values or any(one != values[0] for one in values):
        raise Unknown
    return values[0]


def _given(script: Script, node: ast.expr, scripts: Sequence[Script]) -> Iterator[_Place]:
    """Yield what a parameter of the function around is given where that is called, or by itself."""
    function = _around(script, node) if isinstance(node, ast.Name) else None
    if function is None or not isinstance(node, ast.Name):
        return
    plain = function.args.posonlyargs + function.args.args
    names = [one.arg for one in plain]
    named = [*names, *(one.arg for one in function.args.kwonlyargs)]
    if node.id not in named:
        return
    owner = _class_of(script, function)
    called = owner if owner and function.name == "__init__" else function.name
    at = names.index(node.id) - bool(owner) if node.id in names else -1
    called_with = False
    for caller in scripts:
        for call in ast.walk(caller.tree):
            if isinstance(call, ast.Call) and dotted(call.func).rpartition(".")[2] == called:
                by_name = {one.arg: one.value for one in call.keywords}
                if node.id in by_name:
                    called_with = True
                    yield caller, by_name[node.id]
                elif 0 <= at < len(call.args):
                    called_with = True
                    yield caller, call.args[at]
    if called_with:
        return
    defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
    for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if value is not None:
            defaults[one.arg] = value
    if node.id in defaults:
        yield script, defaults[node.id]


def _found(script: Script, node: ast.expr, scripts: Sequence[Script]) -> Iterator[_Place]:
    """Yield what is assigned elsewhere to a name that is imported, to an attribute, or to a key."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        for other in (script, *scripts):
            for one in ast.walk(other.tree):
                if isinstance(one, ast.Dict):
                    for key, value in zip(one.keys, one.values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == node.slice.value:
                            yield other, value
        return
    name = dotted(node)
    root, _, last = name.rpartition(".")
    if root.partition(".")[0] == "self":
        for one in ast.walk(script.tree):
            targets = one.targets if isinstance(one, ast.Assign) else []
            if any(dotted(target) == name for target in targets):
                yield script, one.value  # type: ignore[attr-defined]
        return
    if name.partition(".")[0] in script.imported:
        for other in scripts:
            if other is not script and last in other.statements and last in other.assigned:
                yield other, other.assigned[last]


def _around(script: Script, node: ast.expr) -> ast.FunctionDef | None:
    """Return the innermost function that a node stands in."""
    found = None
    for one in ast.walk(script.tree):
        if isinstance(one, ast.FunctionDef) and any(part is node for part in ast.walk(one)):
            found = one
    return found


def _class_of(script: Script, function: ast.FunctionDef) -> str:
    for one in ast.walk(script.tree):
        if isinstance(one, ast.ClassDef) and function in one.body:
            return one.name
    return ""
