"""With what the user's code makes its network: read from calls, defaults and the weights' sizes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.project.survey.code import Script, Unknown, dotted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.project.survey.weights import Weights

#: Arguments that fetch weights: those that were trained come from the checkpoint.
PRETRAINED = {"pretrained": False, "weights": None, "weights_backbone": None}


@dataclass(frozen=True)
class Arguments:
    """With what something is called: ``given`` by name, of which the weights' sizes suggest those
    that are ``guessed``; ``missing`` are those that nobody knows."""

    given: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


def arguments_of(
    script: Script,
    name: str,
    weights: Weights,
    known: Mapping[str, object],
    scripts: Sequence[Script],
) -> Arguments:
    """Return what a class or a function is called with, in its own script or in others.

    ``known`` are values by name that scripts compute of their data.
    """
    parameters = _parameters(script, name)
    given: dict[str, object] = {}
    for caller in (script, *scripts):
        call = _call(caller, name)
        if call is None:
            continue
        pairs = [*zip(parameters, call.args, strict=False)]
        pairs += [(one.arg, one.value) for one in call.keywords if one.arg in parameters]
        for parameter, node in pairs:
            value = valued(caller, node, known)
            if value is not None and parameter is not None and parameter not in PRETRAINED:
                given.setdefault(parameter, value)
        if given:
            break
    missing = []
    guessed = []
    for parameter, default in parameters.items():
        told = guess(parameter, weights)
        if parameter in PRETRAINED:
            if default is None or valued(script, default, known):
                given[parameter] = PRETRAINED[parameter]
            continue
        if parameter in given:
            same = default is not None and valued(script, default, known) == given[parameter]
            if same:
                del given[parameter]
            continue
        value = None if default is None else valued(script, default, known)
        if told is not None and value != told:
            given[parameter] = told
            guessed.append(parameter)
        elif default is None:
            missing.append(parameter)
    return Arguments(given, tuple(missing), tuple(guessed))


def _parameters(script: Script, name: str) -> dict[str, ast.expr | None]:
    """Return the parameters of a class's constructor with their defaults."""
    node = script.definitions.get(name)
    function = node
    if isinstance(node, ast.ClassDef):
        function = next(
            (
                one
                for one in node.body
                if isinstance(one, ast.FunctionDef) and one.name == "__init__"
            ),
            None,
        )
    if not isinstance(function, ast.FunctionDef):
        return {}
    plain = function.args.posonlyargs + function.args.args
    names = [one.arg for one in plain][1 if isinstance(node, ast.ClassDef) else 0 :]
    defaults: list[ast.expr | None] = list(function.args.defaults)
    found = dict(zip(names, [None] * (len(names) - len(defaults)) + defaults, strict=False))
    found.update(
        zip((one.arg for one in function.args.kwonlyargs), function.args.kw_defaults, strict=True)
    )
    return found


def _call(script: Script, name: str) -> ast.Call | None:
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == name:
            return node
    return None


def valued(script: Script, node: ast.expr, known: Mapping[str, object]) -> Any:
    """Return a plain value, ``None`` where it cannot be known without running the code."""
    if isinstance(node, ast.Call) and dotted(node.func) == "len" and node.args:
        listed = known.get(dotted(node.args[0]))
        if isinstance(listed, list | tuple):
            return len(listed)
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), int | str | float):
        return known[node.id]
    try:
        value = script.value(node)
    except Unknown:
        return None
    return value if isinstance(value, int | float | str | bool | list) else None


def guess(parameter: str, weights: Weights) -> int | None:
    """Return what the weights tell of a parameter by its name."""
    name = parameter.lower()
    if "class" in name or name in ("nc", "n_out", "num_out", "out_features", "outputs", "labels"):
        return weights.classes_out
    if name in ("in_channels", "channels", "in_ch", "n_channels", "input_channels", "in_chans"):
        return weights.channels
    return None
