"""Whose code builds the network of a checkpoint, and what of it a recipe can use."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import relative
from orchestrator.installation import quoted
from orchestrator.project.survey.code import called_names
from orchestrator.project.survey.factory import (
    Factory,
    find_factories,
    local_imports,
    packages_of,
)
from orchestrator.project.survey.questions import Question

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orchestrator.project.survey.code import Script
    from orchestrator.project.survey.given import Given
    from orchestrator.project.survey.questions import Ask
    from orchestrator.project.survey.weights import Weights

#: Statements of a training script that are quoted.
_QUOTED = 2


@dataclass(frozen=True)
class Code:
    """A recipe's source, by its own paths and by absolute ones.

    ``files`` are to be written; ``draft`` are the same by name, for a look before that.
    ``guessed`` are arguments of the factory that the weights may contradict; ``unstated`` is what
    is to be said of one that nobody states, unless the weights tell it; ``export`` is set where a
    look has found the one that the export needs.
    """

    source: Mapping[str, Any]
    absolute: Mapping[str, Any]
    packages: tuple[str, ...] = ()
    files: Mapping[Path, str] = field(default_factory=dict)
    draft: Mapping[str, str] = field(default_factory=dict)
    script: Script | None = None
    said: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    unstated: ConfigError | None = None
    missing: str = ""
    export: Mapping[str, Any] | None = None
    place: str = ""

    def as_run(self, kwargs: Mapping[str, Any], export: Mapping[str, Any] | None) -> Code:
        """Return the same code with the arguments that fit and the export that it needs."""
        source = {key: value for key, value in self.source.items() if key != "kwargs"}
        if kwargs:
            source["kwargs"] = dict(kwargs)
        return replace(self, source=source, export=export)


def place_of(factory: Factory) -> str:
    """Return what tells a network's code from other code: files may have classes of one name."""
    return f"{factory.script.path}:{factory.name}"


def find_code(
    given: Given,
    weights: Weights,
    scripts: Sequence[Script],
    known: Mapping[str, object],
    target: Path,
    ask: Ask,
    *,
    but: Collection[str] = (),
) -> Code | None:
    """Return the source of a recipe; its code is found, asked for, or said to be missing.

    ``but`` names code that the weights did not fit; ``None`` is returned where no other is there.
    """
    network = given.network
    path = network.path
    kind = network.checkpoint.kind if network.checkpoint is not None else None
    alone = kind == "torchscript" or (
        kind == "network" and all(name.startswith("torch.") for name in weights.classes)
    )
    if network.kind != "weights" or (alone and given.torch is None):
        return Code({network.kind: relative(path, target)}, {network.kind: _absolute(path)})
    factory = _factory(given, weights, scripts, known, ask, but)
    if factory is None:
        return None
    if factory.missing:
        given_too = [f"{key}={value!r}" for key, value in factory.kwargs.items()]
        words = [f"{one}=..." for one in factory.missing] + given_too
        call = f"{factory.name}({', '.join(words)})"
        msg = (
            f"{factory.script.path.name}: {factory.name} needs arguments that are nowhere stated: "
            f"{', '.join(factory.missing)}"
        )
        hint = (
            f"Write a function that makes it: def build(): return {call}\n"
            f"then: {_command(given, f'{_from_here(factory.script.path)}:build')}"
        )
        error = ConfigError(msg, hint=hint, code="init.arguments")
        if len(factory.missing) > 1 or not given.measure:
            raise error
        return replace(
            _placed(given, factory, target, ask), unstated=error, missing=factory.missing[0]
        )
    return _placed(given, factory, target, ask)


def _factory(
    given: Given,
    weights: Weights,
    scripts: Sequence[Script],
    known: Mapping[str, object],
    ask: Ask,
    but: Collection[str],
) -> Factory | None:
    if given.torch is not None:
        return None if but else _named(given.torch, weights, scripts, known)
    found = _callable_first(find_factories(scripts, weights, known))
    if but:
        return next((one for one in found if place_of(one) not in but and not one.missing), None)
    names = list(dict.fromkeys((one.script.path, one.name) for one in found))
    if not found:
        raise _no_code(given, weights, scripts)
    if (
        len(names) > 1
        and _as_good(found, weights)
        and not _called_alone(found[0], found[1], scripts)
    ):
        options = tuple(
            (str(number), f"{one.name} in {one.script.path.name}, {one.script.place(one.lines[0])}")
            for number, one in enumerate(found[:6])
        )
        reason = "the names of its layers fit several"
        question = Question("code", "Which code builds this network?", options, "0", reason)
        return found[int(ask(question))]
    return found[0]


def _called_alone(first: Factory, second: Factory, scripts: Sequence[Script]) -> bool:
    """Tell whether programs here make the first of two and not the other."""
    called = called_names(scripts)
    return first.name in called and second.name not in called


def _callable_first(found: Sequence[Factory]) -> list[Factory]:
    """Take, for a class whose arguments nobody knows, the user's own function that makes it."""
    if not found or not found[0].missing:
        return list(found)
    makers = [
        one
        for one in found
        if not one.missing and isinstance(one.script.definitions.get(one.name), ast.FunctionDef)
    ]
    others = [one for one in found if not one.missing and one not in makers]
    return [*makers, *others] or list(found)


def _as_good(found: Sequence[Factory], weights: Weights) -> bool:
    """Tell whether the first two fit alike: neither was saved by name, nor is one a class alone."""
    first, second = found[0], found[1]
    if weights.classes or first.library != second.library:
        return False
    return (first.script.definitions.get(first.name) is None) == (
        second.script.definitions.get(second.name) is None
    )


def _named(
    torch: str, weights: Weights, scripts: Sequence[Script], known: Mapping[str, object]
) -> Factory:
    from orchestrator.project.survey.code import read_script
    from orchestrator.project.survey.factory import factory_of

    file, colon, function = torch.rpartition(":")
    if not colon or not file.endswith(".py") or not function.isidentifier():
        msg = "--torch takes FILE.py:FACTORY, such as model.py:build"
        raise ConfigError(msg, code="init.torch")
    path = Path(file)
    if not path.is_file():
        msg = f"{path} does not exist"
        raise ConfigError(msg, code="init.file")
    script = read_script(path)
    if script is None:
        msg = f"{path} cannot be read as a Python file"
        raise ConfigError(msg, code="init.torch")
    return factory_of(script, function, weights, known, scripts)


def _no_code(given: Given, weights: Weights, scripts: Sequence[Script]) -> ConfigError:
    name = escape_control(given.network.path.name)
    what = "weights alone"
    if weights.classes:
        what = f"a network of the class {escape_control(weights.classes[0])}"
    looked = f"; none of {len(scripts)} Python files here defines it" if scripts else ""
    if not weights.classes and not weights.shapes:
        msg = f"{name} holds no weights of a network under a name that is known"
        hint = "Save them by themselves: torch.save(model.state_dict(), 'net.pt')"
        raise ConfigError(msg, hint=hint, code="init.weights")
    msg = f"{name} holds {what}: the code that defines the network is needed too{looked}"
    layers = ", ".join(sorted(weights.roots)[:6])
    hint = (
        "Copy the file with the network's class into this folder, and run hef init again,\n"
        f"or: {_command(given, 'FILE.py:FACTORY')}"
    )
    if layers and not weights.classes:
        hint = f"It is a class with the layers {escape_control(layers)}.\n{hint}"
    return ConfigError(msg, hint=hint, code="init.weights")


def _placed(given: Given, factory: Factory, target: Path, ask: Ask) -> Code:
    """Return the source: the script as it is, or the file that its network is moved into."""
    script, path = factory.script, given.network.path
    source: dict[str, Any] = {}
    absolute: dict[str, Any] = {}
    files: dict[Path, str] = {}
    draft: dict[str, str] = {}
    said = [f"code: {factory.name} in {script.path.name}, {script.place(factory.lines[0])}"]
    if factory.library:
        said = [f"code: {factory.library}, as {script.path.name} builds it"]
    where, name, packages = script.path, factory.name, factory.packages
    if factory.file is not None:
        text = factory.file.text
        if factory.file.open_names:
            raise _cannot_move(given, factory)
        stem = _stem(given, script)
        local = local_imports(text, script.path.parent)
        where = (script.path.parent if local else target) / f"{stem}.py"
        if not _agreed(factory, where, ask):
            raise _to_move(given, factory, where)
        header = f'"""The network of {script.path.name}, taken out of it by hef init."""\n\n'
        files[where] = header + text
        draft[where.name] = header + text
        said.append(f"code: {', '.join(factory.file.names)} go into {relative(where, Path.cwd())}")
        packages = packages_of(text, script.path.parent)
    source["torch"] = f"{relative(where, target)}:{name}"
    absolute["torch"] = f"{where.name if draft else _absolute(where)}:{name}"
    if draft and where.parent != target:
        # It imports files beside it, so the look takes it from where it will be.
        absolute["torch"] = f"{_absolute(script.path)}:{name}"
        draft = {}
    source["weights"], absolute["weights"] = relative(path, target), _absolute(path)
    if factory.kwargs:
        source["kwargs"] = absolute["kwargs"] = dict(factory.kwargs)
    return Code(
        source,
        absolute,
        packages,
        files,
        draft,
        script,
        tuple(said),
        factory.guessed,
        place=place_of(factory),
    )


def _stem(given: Given, script: Script) -> str:
    """Return the name of the new file; a network that was saved whole names its module."""
    checkpoint = given.network.checkpoint
    modules = {name.rpartition(".")[0] for name in checkpoint.classes} if checkpoint else set()
    return script.path.stem if script.path.stem in modules else "network"


def _agreed(factory: Factory, where: Path, ask: Ask) -> bool:
    script = factory.script
    if script.is_notebook:
        reason = f"{script.path.name} is a notebook, which cannot be imported"
    elif factory.troubles:
        lines = "; ".join(f"line {one.line}: {one.text[:60]}" for one in factory.troubles[:_QUOTED])
        reason = f"importing {script.path.name} does more than define the network ({lines})"
    else:
        reason = f"{script.path.name} imports packages that the network does not need"
    assert factory.file is not None
    question = Question(
        "write",
        f"Write {relative(where, Path.cwd())} with {', '.join(factory.file.names)}?",
        (("yes", f"{script.path.name} stays as it is"), ("no", "say what to move by hand")),
        "yes",
        reason,
    )
    return ask(question) == "yes"


def _to_move(given: Given, factory: Factory, where: Path) -> ConfigError:
    assert factory.file is not None
    first, last = factory.lines
    script = factory.script.path.name
    msg = f"{script} does more than define the network when it is imported"
    if factory.script.is_notebook:
        msg = f"{script} is a notebook, which cannot be imported"
    hint = (
        f"Move {', '.join(factory.file.names)} ({factory.name}: lines {first} to {last}) into a "
        f"file of their own, {relative(where, Path.cwd())}, and write in {script}:\n"
        f"from {where.stem} import {factory.name}\n"
        f"then: {_command(given, f'{_from_here(where)}:{factory.name}')}"
    )
    return ConfigError(msg, hint=hint, code="init.script")


def _cannot_move(given: Given, factory: Factory) -> ConfigError:
    assert factory.file is not None
    script = factory.script.path.name
    names = ", ".join(factory.file.open_names)
    msg = (
        f"{script}: {factory.name} uses {names}, which the script computes when it runs: "
        "its value cannot be known without running it"
    )
    hint = (
        f"Put {factory.name} into a file of its own, with {names} as a number or a list there,\n"
        f"then: {_command(given, f'FILE.py:{factory.name}')}"
    )
    return ConfigError(msg, hint=hint, code="init.script")


def _command(given: Given, torch: str) -> str:
    """Return the ``hef init`` that names the code, as a shell in this folder takes it."""
    weights = _from_here(given.network.path)
    words = ("hef", "init", given.name, "--torch", torch, "--weights", weights)
    return " ".join(quoted(word, windows=os.name == "nt") for word in words)


def _from_here(path: Path) -> str:
    return escape_control(relative(path, Path.cwd()))


def _absolute(path: Path) -> str:
    return path.resolve().as_posix()
