"""How a training script's transforms prepare pictures: its syntax is read, nothing is run."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.presets import IMAGENET_MEAN, IMAGENET_STD

from orchestrator.project.survey.arithmetic import last_name
from orchestrator.project.survey.code import Script, Unknown, dotted
from orchestrator.project.survey.followed import follow
from orchestrator.project.survey.stated import Stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HELD_OUT = ("val", "test", "eval", "infer", "predict", "valid")
_RANDOM = ("Random", "ColorJitter", "AutoAugment", "TrivialAugment", "Flip", "MixUp", "Affine")
#: Transforms that bring a picture to a size, and the recipe's word for what they do.
_FITS = {
    "CenterCrop": "shorter_then_crop",
    "RandomCrop": "shorter_then_crop",
    "RandomResizedCrop": "shorter_then_crop",
    "LongestMaxSize": "letterbox",
}
#: What transforms of somebody's own are called that scale.
_OWN_SCALING = re.compile(r"^Lambda$|Subtract|Divide|Mean|Std|Standardi|Whiten|Normali")
#: Deviations of values from 0 to 1 are not larger.
_LARGEST_UNIT = 1.0


def of_transforms(script: Script, scripts: Sequence[Script]) -> Stated:
    """Return what a script's transforms say, those for validation before those for training.

    ``scripts`` are those that it may take values from.
    """
    found = Stated()
    for _, calls in sorted(_chains(script), key=lambda one: _is_random(one[1]) - 2 * one[0]):
        found = found.over(_of_calls(script, calls, scripts))
    return found if found.scaled else found.over(_of_any_call(script, scripts))


def _chains(script: Script) -> Iterator[tuple[bool, list[ast.Call]]]:
    """Yield the transforms of each ``Compose``, with whether it is called one for validation."""
    named: dict[int, str] = {}
    for node in ast.walk(script.tree):
        name = ""
        if isinstance(node, ast.Assign):
            name = " ".join(ast.unparse(target) for target in node.targets)
        elif isinstance(node, ast.FunctionDef):
            name = node.name
        if name:
            named.update((id(one), name) for one in ast.walk(node) if isinstance(one, ast.Call))
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    named.update((id(one), str(key.value)) for one in ast.walk(value))
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call):
            tail = dotted(node.func).rpartition(".")[2]
            if tail in ("Compose", "Sequential") and (calls := _listed(node)):
                name = named.get(id(node), "").lower()
                yield any(word in name for word in _HELD_OUT), calls
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "transforms":
                yield True, [node]


def _listed(compose: ast.Call) -> list[ast.Call]:
    items: list[ast.expr] = []
    for argument in compose.args:
        items += argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
    calls = [item for item in items if isinstance(item, ast.Call)]
    known = re.compile(r"(Resize|ToTensor\w*|Normalize|CenterCrop|ToImage|PILToTensor)$|^Rescale")
    return calls if any(known.search(last_name(call)) for call in calls) else []


def _of_any_call(script: Script, scripts: Sequence[Script]) -> Stated:
    """Return the scaling of a transform of somebody's own, which is given ``mean`` and ``std``."""
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call) and {"mean", "std"} <= {one.arg for one in node.keywords}:
            told = _normalize(script, node, scripts)
            if told and max(told["std"]) <= 255.0 * _LARGEST_UNIT:
                return Stated(**told, where=(f"{script.path.name}:{node.lineno}",))
    return Stated()


def _is_random(calls: list[ast.Call]) -> int:
    return int(any(word in last_name(call) for call in calls for word in _RANDOM))


def _of_calls(script: Script, calls: list[ast.Call], scripts: Sequence[Script]) -> Stated:
    values: dict[str, Any] = {}
    where = []
    for call in calls:
        told = _of_call(script, call, scripts)
        if told:
            values.update(told)
            where.append(f"{script.path.name}:{call.lineno}: {script.line(call).rstrip(',')}"[:90])
    shorter, unit = values.pop("shorter", None), values.pop("unit", False)
    if shorter is not None and values.get("resize") == "shorter_then_crop":
        values["resize_to"] = shorter if shorter > max(values["size"]) else None
    elif shorter is not None:
        # Only the shorter side is scaled: the batch is square because the pictures are, or the
        # network takes any size.
        values.update(size=(shorter, shorter), resize="shorter_then_crop")
    if "mean" in values:
        values.pop("hidden", None)
    elif unit and "hidden" not in values:
        values.update(mean=(0.0,), std=(255.0,))
    return Stated(**values, where=tuple(where)) if where else Stated()


def _of_call(script: Script, call: ast.Call, scripts: Sequence[Script]) -> dict[str, Any]:
    """Return what one transform says; ``shorter`` and ``unit`` are for the chain to judge."""
    tail = last_name(call)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "transforms":
        if "weights" not in ast.unparse(call.func).lower():
            return {}
        fit = {"size": (224, 224), "resize": "shorter_then_crop", "resize_to": 256}
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, **fit}
    if tail in ("ToTensor", "ToDtype", "ConvertImageDtype"):
        return {"unit": True}
    if tail == "Normalize":
        return _normalize(script, call, scripts) or {"hidden": f"{script.path.name}:{call.lineno}"}
    if tail == "Grayscale":
        return {"color": "gray"}
    if _OWN_SCALING.search(tail):
        return {"hidden": f"{script.path.name}:{call.lineno}"}
    own = tail.startswith("Rescale")  # of somebody's own; Kornia's and Keras' take no size
    sides = _sides(script, call) if tail in _FITS or tail == "Resize" or own else []
    if not sides:
        return {}
    if own:
        return {"size": (sides[0], sides[-1]), "resize": "stretch"} if sides[0] >= 16 else {}
    if tail == "Resize":
        if len(sides) == 1 and not script.stands_for(dotted(call.func)).startswith("albu"):
            return {"shorter": sides[0]}
        return {"size": (sides[0], sides[-1]), "resize": "stretch"}
    last = sides[0] if tail == "LongestMaxSize" else sides[-1]
    return {"size": (sides[0], last), "resize": _FITS[tail]}


def _sides(script: Script, call: ast.Call) -> list[int]:
    """Return the sizes that a transform is given: one side, or height and width."""
    named = {one.arg: one.value for one in call.keywords}
    nodes = list(call.args) or [
        named[key] for key in ("size", "height", "width", "max_size") if key in named
    ]
    found: list[int] = []
    for node in nodes[:2]:
        try:
            value = script.value(node)
        except Unknown:
            break
        found += [
            one
            for one in (value if isinstance(value, list) else [value])
            if isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= 8192
        ]
        if isinstance(value, list):
            break
    return found[:2]


def _normalize(script: Script, call: ast.Call, scripts: Sequence[Script]) -> dict[str, Any]:
    named = {one.arg: one.value for one in call.keywords}
    nodes = [*call.args[:2], *(named[key] for key in ("mean", "std") if key in named)]
    tops: Any = 1.0
    try:
        numbers = [_numbers(follow(script, node, scripts)) for node in nodes[:2]]
        if "max_pixel_value" in named:
            tops = script.value(named["max_pixel_value"]) / 255.0
    except (Unknown, TypeError):
        return {}
    if not numbers and script.stands_for(dotted(call.func)).startswith(("albumentations", "A.")):
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}  # its own defaults
    if len(numbers) != 2 or not all(numbers):
        return {}
    mean, std = (tuple(round(255.0 * tops * one, 4) for one in part) for part in numbers)
    return {"mean": mean, "std": std} if all(one > 0 for one in std) else {}


def _numbers(value: Any) -> list[float]:
    listed = value if isinstance(value, list) else [value]
    return [float(one) for one in listed if isinstance(one, int | float)]
