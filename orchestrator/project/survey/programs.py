"""How the programs of a folder prepare pictures for a network: training, export, demonstration."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.project.survey.arithmetic import last_name, of_plain_code
from orchestrator.project.survey.code import (
    FAR,
    Script,
    Unknown,
    distance,
    dotted,
    nearest_first,
)
from orchestrator.project.survey.stated import Stated
from orchestrator.project.survey.transforms import of_transforms

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Calls that make a tensor up.
_MADE_UP = ("randn", "rand", "zeros", "ones", "empty", "FloatTensor", "Tensor")


def stated_in_scripts(scripts: Sequence[Script], own: Script | None = None) -> Stated:
    """Return the scaling of the nearest script that has one, and the best told of all sizes.

    ``own`` is the script of the network.
    The order of colours goes with the scaling: another script may read its pictures otherwise.
    Where a nearer script scales by numbers that nobody sees, a plain division by 255 farther off
    says nothing of this network.
    """
    read = [(script, *_read(script, scripts)) for script in nearest_first(scripts, own)]
    whole = [calls.over(plain) for _, calls, plain in read]
    hidden = next((one.hidden for one in whole if one.hidden is not None), None)
    scaling: Stated | None = None
    behind = False
    for one in whole:
        behind |= one.hidden is not None
        if one.scaled and not (behind and not any(one.mean or ())):
            scaling = one
            break
    size = _best_size(read, own)
    sides = None
    if size.size is None:
        sides = next((one.sides for one in whole if one.sides is not None), None)
    found = Stated(size=size.size, resize=size.resize, resize_to=size.resize_to, sides=sides)
    if scaling is None:
        color = next((one.color for one in whole if one.color is not None), None)
        return replace(found, color=color, hidden=hidden, where=size.where)
    where = tuple(dict.fromkeys((*scaling.where, *size.where)))
    return replace(found, mean=scaling.mean, std=scaling.std, color=scaling.color, where=where)


def _best_size(read: Sequence[tuple[Script, Stated, Stated]], own: Script | None) -> Stated:
    """Return the size that is told best, of those told alike the nearest.

    What has nothing to do with the network comes after all that has.
    Transforms tell it best; then a tensor of zeros that an exporting program shows the network,
    then what plain code resizes to, and last what a network's own file tries it with.
    """
    sizes: list[tuple[tuple[bool, int], Stated]] = []
    for script, calls, plain in read:
        shown = shown_size(script)
        tried = 3 if script.has_layers else 1
        far = distance(script, own) >= FAR
        sizes += [
            ((far, strength), one)
            for strength, one in ((0, calls), (2, plain), (tried, shown))
            if one.size is not None
        ]
    return min(sizes, key=lambda pair: pair[0], default=((True, 0), Stated()))[1]


def stated_otherwise(scripts: Sequence[Script], taken: Stated) -> list[str]:
    """Return where scripts state another scaling than the one that was taken, as file and line."""
    found = []
    for script in scripts:
        one = stated_in(script, scripts)
        if one.scaled and (one.mean, one.std) != (taken.mean, taken.std):
            found += [where.partition(": ")[0] for where in one.where[-1:]]
    return list(dict.fromkeys(found))


def stated_in(script: Script, scripts: Sequence[Script] = ()) -> Stated:
    """Return what one script says; ``scripts`` are those that it may take values from."""
    calls, plain = _read(script, scripts)
    return calls.over(plain)


def _read(script: Script, scripts: Sequence[Script]) -> tuple[Stated, Stated]:
    """Return what transforms say, those for validation before those for training; and plain code.

    The second is what the first leaves open.
    """
    found, plain = of_transforms(script, scripts), Stated()
    if not found.scaled or found.size is None:
        values, where = of_plain_code(script)
        if found.hidden is not None:
            values = {key: value for key, value in values.items() if key not in ("mean", "std")}
        plain = Stated(**values, where=where if values else ())
    return found, plain


def shown_size(script: Script) -> Stated:
    """Return the size of the picture that a script makes up to show a network one.

    As an export does (``torch.randn(1, 3, 240, 320)``), and a summary of its layers.
    """
    for node in ast.walk(script.tree):
        if not isinstance(node, ast.Call):
            continue
        tail = last_name(node)
        of_torch = script.stands_for(dotted(node.func)).startswith("torch.")
        if tail == "summary":
            nodes = [*node.args, *(one.value for one in node.keywords)]
            shapes = [shape for one in nodes if (shape := _shape(script, [one])) is not None]
            size = next((shape[-2:] for shape in shapes if 3 <= len(shape) <= 4), None)
        elif tail in _MADE_UP and (of_torch or tail in ("rand", "randn")):
            shape = _shape(script, node.args[:1]) or _shape(script, node.args)
            size = shape[-2:] if shape is not None and len(shape) == 4 else None
        else:
            continue
        if size is not None:
            where = f"{script.path.name}:{node.lineno}: {script.line(node)}"[:90]
            return Stated(size=(size[0], size[1]), where=(where,))
    return Stated()


def _shape(script: Script, nodes: Sequence[ast.expr]) -> list[int] | None:
    """Return the shape of a picture, channels first, that is given whole or side by side."""
    try:
        values = [script.value(one) for one in nodes]
    except Unknown:
        return None
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if len(values) < 3 or not all(isinstance(one, int) for one in values):
        return None
    pictured = values[-3] in (1, 3) and all(16 <= one <= 4096 for one in values[-2:])
    return list(values) if pictured else None
