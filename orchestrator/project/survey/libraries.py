"""Networks of other people's libraries, as the user's code takes and changes them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from orchestrator.project.survey.arguments import PRETRAINED, guess, valued
from orchestrator.project.survey.code import Extract, Script, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.project.survey.weights import Weights

#: Places that networks of other people come from by a call.
_LIBRARIES = ("torchvision.models.", "timm.create_model", "segmentation_models_pytorch.")


def built_of_libraries(
    script: Script, weights: Weights, known: Mapping[str, object]
) -> Iterator[tuple[Extract, str]]:
    """Yield what a script takes of torchvision, timm and the like, and changes.

    That is a file with a function ``build`` that makes it, and the name of the library's network.
    """
    for body in _bodies(script.tree):
        for number, node in enumerate(body):
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
                continue
            target = node.targets[0]
            what = script.stands_for(dotted(node.value.func))
            if not isinstance(target, ast.Name) or not what.startswith(_LIBRARIES):
                continue
            changes = [one for one in body[number + 1 :] if _changes(one, target.id)]
            made = _written(script, node, changes, known, weights)
            if made is not None:
                yield made, _library_name(what, node)


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                yield body


def _changes(node: ast.stmt, name: str) -> bool:
    """Tell whether a statement puts another layer into a network, or takes a size out of it."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return False
    target: ast.expr = node.targets[0]
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
        if isinstance(target, ast.Name) and target.id == name:
            return True
    reads = {dotted(one).partition(".")[0] for one in ast.walk(node.value)}
    is_size = isinstance(node.value, ast.Attribute) and name in reads
    return isinstance(node.targets[0], ast.Name) and is_size


def _library_name(what: str, node: ast.Assign) -> str:
    call = node.value
    if isinstance(call, ast.Call) and what.startswith("timm.") and call.args:
        first = call.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return f"timm {first.value}"
    return what.replace(".models.", " ", 1)


def _written(
    script: Script,
    node: ast.Assign,
    changes: Sequence[ast.stmt],
    known: Mapping[str, object],
    weights: Weights,
) -> Extract | None:
    """Return a file with a function that builds the network without any weights."""
    call = node.value
    assert isinstance(call, ast.Call)
    assert isinstance(node.targets[0], ast.Name)
    kept = [one for one in call.keywords if one.arg not in PRETRAINED]
    library = script.stands_for(dotted(call.func)).partition(".")[0]
    off = ast.keyword("weights", ast.Constant(None))
    if library == "timm":
        off = ast.keyword("pretrained", ast.Constant(value=False))
    fresh = ast.Call(call.func, call.args, [*kept, off] if library != "segmentation" else kept)
    lines = [ast.Assign([node.targets[0]], fresh), *changes]
    text = ["def build():"]
    open_names: list[str] = []
    for one in lines:
        resolved = _Resolved(script, known, weights, node.targets[0].id).visit(
            ast.parse(ast.unparse(ast.fix_missing_locations(one))).body[0]
        )
        text.append(f"    {ast.unparse(resolved)}")
        open_names += [
            used.id
            for used in ast.walk(resolved)
            if isinstance(used, ast.Name)
            and isinstance(used.ctx, ast.Load)
            and used.id not in script.imports
            and used.id not in _bound(lines)
        ]
    text.append(f"    return {node.targets[0].id}")
    if open_names:
        return None
    roots = {
        one.id for line in text for one in ast.walk(_parsed(line)) if isinstance(one, ast.Name)
    }
    needed = [
        ast.unparse(_only(statement, name))
        for name, statement in script.imports.items()
        if name in roots and isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    return Extract("\n".join([*dict.fromkeys(needed), "", "", *text]) + "\n", ("build",))


def _only(statement: ast.Import | ast.ImportFrom, name: str) -> ast.stmt:
    names = [one for one in statement.names if (one.asname or one.name).partition(".")[0] == name]
    if isinstance(statement, ast.ImportFrom):
        return ast.ImportFrom(statement.module, names, statement.level)
    return ast.Import(names)


def _bound(lines: Sequence[ast.stmt]) -> set[str]:
    return {
        target.id
        for one in lines
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }


def _parsed(line: str) -> ast.AST:
    try:
        return ast.parse(line.strip())
    except SyntaxError:
        return ast.Module([], [])


class _Resolved(ast.NodeTransformer):
    """Puts numbers in the place of names and ``len(...)`` that the weights or data tell."""

    def __init__(
        self, script: Script, known: Mapping[str, object], weights: Weights, network: str
    ) -> None:
        self.script, self.known, self.weights = script, known, weights
        self.network = network

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if dotted(node.func) == "len" and node.args:
            value = valued(self.script, node, self.known)
            if value is None:
                value = self.weights.classes_out
            return ast.Constant(value) if value is not None else node
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load) or node.id in self.script.imports:
            return node
        if node.id == self.network:
            return node
        value = valued(self.script, node, self.known)
        if value is None:
            value = guess(node.id, self.weights)
        return node if value is None else ast.Constant(value)
