"""Which class or function of the user's code builds the network that a checkpoint was saved from.

Told by names alone: a class assigns its layers to attributes, and those are the first parts of
the tensors' names. Where the code trains when it is imported, what to move is said, and the file
that it would become is made.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.project.code_root import above, holds
from orchestrator.project.survey.arguments import arguments_of
from orchestrator.project.survey.code import (
    Extract,
    Script,
    Trouble,
    called_names,
    dotted,
    extract,
    hands_on,
    makers,
)
from orchestrator.project.survey.libraries import built_of_libraries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.project.survey.weights import Weights

_MODULES = ("torch.nn.Module", "lightning.LightningModule", "pytorch_lightning.LightningModule")
#: Packages that are there wherever a network is exported.
_THERE = frozenset({"torch", "numpy", "onnx", "PIL"})
#: What functions are called that make a network.
_MAKER = re.compile(r"^(build|make|create|get|new|define|construct)\w*$|^\w*(model|net|network)$")
#: What functions of such names make otherwise, by the last word of it.
_MAKES_OTHER = re.compile(
    r"_(?:args?|parser|config|cfg|options?|opts?|(?:data)?loaders?|datasets?|data|transforms?|device"
    r"|optimi[sz]ers?|schedulers?|logger|paths?|(?:file)?names?|lr|loss|time|labels?|classes)$"
)
#: Other frameworks' packages: what is written for one builds no network of PyTorch.
_OTHER_FRAMEWORKS = frozenset(
    {"jax", "keras", "megengine", "mindspore", "mxnet", "paddle", "tensorflow"}
)
#: Methods that give a network a layer by a name.
_REGISTERS = ("register_buffer", "register_parameter", "add_module", "register_module")
#: How far a class is from weights whose names it computes: behind each that names them all.
_COMPUTED = 1000
#: Ranks of what may build a network, behind classes by their layers (0) and by those of the one
#: network in them (1).
_HIDING, _OF_LIBRARIES, _BY_NAME = 2, 3, 4
#: Classes above a class that are looked at.
_DEEPEST = 10


@dataclass(frozen=True)
class Factory:
    """What builds a network: a name in a script, and how it is called.

    ``file`` is what the network's code would be as a file of its own, where the script does more
    than define it; ``troubles`` are the statements that do. ``missing`` are arguments that nobody
    knows, ``guessed`` those that the weights' sizes suggest.
    """

    script: Script
    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    file: Extract | None = None
    missing: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    library: str = ""

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line of the definition in its script."""
        node = self.script.definitions.get(self.name)
        return (node.lineno, node.end_lineno or node.lineno) if node is not None else (1, 1)


def find_factories(
    scripts: Sequence[Script], weights: Weights, known: Mapping[str, object]
) -> list[Factory]:
    """Return what may build the network of some weights, best first.

    ``known`` are values by name that scripts compute of their data, such as class names.
    """
    found: list[tuple[tuple[int, ...], Factory]] = []
    inner = weights.inner
    for script in scripts:
        if _of_another_framework(script):
            continue
        for name in _networks(script, scripts):
            fit = _fit(script, name, weights, scripts)
            if fit is not None:
                factory = _of_class(script, name, weights, known, scripts)
                # A wrapper of a training tool, which hands its input on, is not needed.
                hides = inner is not None and bool(factory.packages) and hands_on(script, name)
                found.append(((_HIDING if hides else 0, fit, len(factory.missing)), factory))
                sizes = [_called(script, one, weights, known, ()) for one in makers(script, name)]
                found += [((0, fit, len(one.missing)), _placed(one, known)) for one in sizes]
            elif inner is not None:
                fit = _fit(script, name, inner, scripts)
                if fit is not None:
                    factory = _of_class(script, name, inner, known, scripts)
                    found.append(((1, fit, len(factory.missing)), factory))
        found += [
            ((_OF_LIBRARIES, 0, 0), _placed(Factory(script, "build", file=made, library=of), known))
            for made, of in built_of_libraries(script, weights, known)
        ]
        found += [((_BY_NAME, 0, 0), one) for one in _made_by_name(script, weights, known)]
    called = called_names(scripts)
    found.sort(
        key=lambda pair: (
            pair[0],
            pair[1].name not in called,
            len(pair[1].troubles),
            str(pair[1].script.path),
        )
    )
    return _without_strangers([(rank[0], factory) for rank, factory in found])


def _of_another_framework(script: Script) -> bool:
    roots = {name.partition(".")[0] for name in script.imported.values()}
    return bool(roots & _OTHER_FRAMEWORKS) and "torch" not in roots


def _without_strangers(found: Sequence[tuple[int, Factory]]) -> list[Factory]:
    """Leave out, where a class has the layers, what hides it and functions that never make it."""
    names = {one.name for rank, one in found if rank < _HIDING}
    if not names:
        return [one for _, one in found]
    kept = []
    for rank, one in found:
        node = one.script.definitions.get(one.name)
        makes = node is not None and any(
            isinstance(part, ast.Call) and dotted(part.func).rpartition(".")[2] in names
            for part in ast.walk(node)
        )
        if rank < _HIDING or rank == _OF_LIBRARIES or (rank == _BY_NAME and makes):
            kept.append(one)
    return kept


def factory_of(
    script: Script,
    name: str,
    weights: Weights,
    known: Mapping[str, object],
    scripts: Sequence[Script],
) -> Factory:
    """Return the factory that somebody has named."""
    if name not in script.definitions and name not in script.statements:
        return Factory(script, name)
    return _of_class(script, name, weights, known, scripts)


def _networks(script: Script, scripts: Sequence[Script]) -> Iterator[str]:
    """Yield the classes of a script that are networks, outermost ones first."""
    names = [name for name in script.definitions if _is_network(script, name, scripts, 0)]
    inside = {
        one.id
        for name in names
        for one in ast.walk(script.definitions[name])
        if isinstance(one, ast.Name) and one.id in names and one.id != name
    }
    yield from sorted(names, key=lambda name: (name in inside, script.definitions[name].lineno))


def _class(
    script: Script, name: str, scripts: Sequence[Script]
) -> tuple[Script, ast.ClassDef] | None:
    """Return a class of a script, or the one of that name that it imports from another."""
    node = script.definitions.get(name)
    if node is None and name.rpartition(".")[2]:
        module, _, name = script.stands_for(name).rpartition(".")
        file = module.rpartition(".")[2]
        script = next(
            (one for one in scripts if one.path.stem == file and name in one.definitions), script
        )
        node = script.definitions.get(name)
    return (script, node) if isinstance(node, ast.ClassDef) else None


def _is_network(script: Script, name: str, scripts: Sequence[Script], depth: int) -> bool:
    found = _class(script, name, scripts) if depth <= _DEEPEST else None
    if found is None:
        return False
    owner, node = found
    for base in map(dotted, node.bases):
        whole = owner.stands_for(base)
        if whole in _MODULES or whole.endswith((".nn.Module", "LightningModule")):
            return True
        if whole.startswith("torch.nn.") or _is_network(owner, base, scripts, depth + 1):
            return True
    return False


@dataclass(frozen=True)
class _Layers:
    """What a class assigns to itself; ``open`` where a part of the names is computed."""

    names: frozenset[str] = frozenset()
    open: bool = False

    def __or__(self, other: _Layers) -> _Layers:
        return _Layers(self.names | other.names, self.open or other.open)


def _layers(script: Script, name: str, scripts: Sequence[Script], depth: int = 0) -> _Layers:
    """Return the names of a class's layers: ``self.x = ...``, ``add_module``, ``setattr``."""
    owned = _class(script, name, scripts) if depth <= _DEEPEST else None
    if owned is None:
        return _Layers()
    owner, node = owned
    own = _first_arguments(node)
    names: set[str] = set()
    computed = False
    for one in ast.walk(node):
        targets = one.targets if isinstance(one, ast.Assign) else []
        if isinstance(one, ast.AnnAssign):
            targets = [one.target]
        names |= {attribute for target in targets for attribute in _assigned(target, own)}
        if not isinstance(one, ast.Call):
            continue
        called = dotted(one.func).rpartition(".")[2]
        if called in _REGISTERS or called == "setattr":
            place = 1 if called == "setattr" else 0
            first = one.args[place] if len(one.args) > place else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                names.add(first.value)
            else:
                computed = True
    found = _Layers(frozenset(names), computed)
    for base in map(dotted, node.bases):
        found |= _layers(owner, base, scripts, depth + 1)
    return found


def _assigned(target: ast.expr, own: set[str]) -> Iterator[str]:
    """Yield the attributes of the object itself that an assignment binds."""
    if isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            yield from _assigned(one, own)
    elif (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id in own
    ):
        yield target.attr


def _first_arguments(node: ast.ClassDef) -> set[str]:
    """Return what the methods of a class call the object itself; nearly all say ``self``."""
    methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
    plain = [one.args.posonlyargs + one.args.args for one in methods]
    return {arguments[0].arg for arguments in plain if arguments}


def _fit(script: Script, name: str, weights: Weights, scripts: Sequence[Script]) -> int | None:
    """Return how far a class is from the weights (0 is best), ``None`` where it is another."""
    if weights.classes:
        # A network that was saved whole names its class.
        return 0 if weights.classes[0].rpartition(".")[2] == name else None
    layers = _layers(script, name, scripts)
    roots = weights.roots
    if not roots:
        return None
    node = script.definitions[name]
    sequential = isinstance(node, ast.ClassDef) and any(
        script.stands_for(dotted(base)).endswith("Sequential") for base in node.bases
    )
    if sequential and all(root.isdigit() for root in roots):
        return 1
    if roots <= layers.names:
        return len(layers.names - roots)
    # Names that are computed may be the rest; a class that shows them all goes first.
    return _COMPUTED + len(roots - layers.names) if layers.open else None


def _of_class(
    script: Script,
    name: str,
    weights: Weights,
    known: Mapping[str, object],
    scripts: Sequence[Script],
) -> Factory:
    return _placed(_called(script, name, weights, known, scripts), known)


def _placed(factory: Factory, known: Mapping[str, object]) -> Factory:
    """Add what importing the script would do, and the file that does only what is needed."""
    script = factory.script
    own = factory.file or extract(script, factory.name, known)
    troubles = tuple(script.troubles)
    alone = packages_of(own.text, script.path.parent)
    if factory.file is not None:
        return replace(factory, packages=alone, troubles=troubles)
    others = set(packages_of(script.source, script.path.parent)) - set(alone)
    if not troubles and not script.is_notebook and not others & _based_on(script):
        # Packages that only its other parts need may be missing where it is imported.
        return replace(factory, packages=alone)
    return replace(factory, packages=alone, troubles=troubles, file=own)


def _based_on(script: Script) -> set[str]:
    """Return the packages whose classes those of a script are based on: importing it needs them."""
    classes = [one for one in ast.walk(script.tree) if isinstance(one, ast.ClassDef)]
    roots = {
        script.stands_for(dotted(base)).partition(".")[0] for one in classes for base in one.bases
    }
    return {_distribution(root) for root in roots}


def _distribution(root: str) -> str:
    from hefsmith_worker.stages.user_code import DISTRIBUTIONS

    return DISTRIBUTIONS.get(root, root)


def packages_of(source: str, folder: Path) -> tuple[str, ...]:
    """Return the packages that code imports beside torch; files of the user's own are none."""
    roots: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            roots.add(node.module.partition(".")[0])
    others = roots - _THERE - set(sys.stdlib_module_names)
    return tuple(sorted(_distribution(root) for root in others if not is_local(root, folder)))


def is_local(root: str, folder: Path) -> bool:
    """Tell whether a module is a file or folder of the user's beside the script, or above."""
    beside = (folder / f"{root}.py").is_file() or (folder / root).is_dir()
    return beside or any(holds(one, root) for one in above(folder, Path.cwd()))


def local_imports(source: str, folder: Path) -> bool:
    """Tell whether code imports files that lie beside the script."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (
            node.level or is_local((node.module or "").partition(".")[0], folder)
        ):
            return True
        if isinstance(node, ast.Import) and any(
            is_local(alias.name.partition(".")[0], folder) for alias in node.names
        ):
            return True
    return False


def _made_by_name(
    script: Script, weights: Weights, known: Mapping[str, object]
) -> Iterator[Factory]:
    """Yield networks of plain layers that have a name, and functions that say they make one."""
    if weights.roots and all(root.isdigit() for root in weights.roots):
        for name, value in script.assigned.items():
            call = dotted(value.func) if isinstance(value, ast.Call) else ""
            if name in script.statements and script.stands_for(call).endswith("nn.Sequential"):
                yield _placed(Factory(script, name), known)
    for name, node in script.definitions.items():
        makes = _MAKER.match(name) and not _MAKES_OTHER.search(name)
        if not isinstance(node, ast.FunctionDef) or not makes:
            continue
        if any(isinstance(one, ast.Return) and one.value is not None for one in ast.walk(node)):
            yield _placed(_called(script, name, weights, known, ()), known)


def _called(
    script: Script,
    name: str,
    weights: Weights,
    known: Mapping[str, object],
    scripts: Sequence[Script],
) -> Factory:
    """Return a class with the arguments that it was made with, and those that nobody knows."""
    told = arguments_of(script, name, weights, known, scripts)
    return Factory(script, name, told.given, missing=told.missing, guessed=told.guessed)
