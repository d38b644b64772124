"""How pictures were prepared in training, as somebody has written it down.

Read from a training script's transforms (its syntax, nothing is run), from what lies in the
checkpoint, and from the configuration files that model hubs put beside weights. Means and
deviations are told in units of 0..255, sizes as (height, width).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import yaml
from hefsmith_worker.contract.presets import IMAGENET_MEAN, IMAGENET_STD
from hefsmith_worker.contract.trials import OF_PIXELS

from orchestrator.project.survey.arithmetic import SIZES, last_name, of_plain_code, size_of
from orchestrator.project.survey.code import (
    FAR,
    Script,
    Unknown,
    distance,
    dotted,
    nearest_first,
)
from orchestrator.project.survey.followed import follow
from orchestrator.project.yaml_source import parse_yaml
from orchestrator.reading import open_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_LARGEST_JSON = 4 << 20
_HELD_OUT = ("val", "test", "eval", "infer", "predict", "valid")
_RANDOM = ("Random", "ColorJitter", "AutoAugment", "TrivialAugment", "Flip", "MixUp", "Affine")
#: Transforms that bring a picture to a size, and the recipe's word for what they do.
_FITS = {
    "CenterCrop": "shorter_then_crop",
    "RandomCrop": "shorter_then_crop",
    "RandomResizedCrop": "shorter_then_crop",
    "LongestMaxSize": "letterbox",
}
#: Files that model hubs and training programs put beside weights.
CONFIGS = (
    "args.yaml", "hparams.yaml", "config.yaml", "config.yml", "preprocess.yaml",
    "preprocessing.yaml", "transforms.yaml", "config.json", "model_config.json", "metadata.json",
    "preprocessor_config.json",
)  # fmt: skip
#: What transforms of somebody's own are called that scale.
_OWN_SCALING = re.compile(r"^Lambda$|Subtract|Divide|Mean|Std|Standardi|Whiten|Normali")
#: Calls that make a tensor up.
_MADE_UP = ("randn", "rand", "zeros", "ones", "empty", "FloatTensor", "Tensor")
#: Deviations of values from 0 to 1 are not larger.
_LARGEST_UNIT = 1.0
#: Levels of a configuration in which its plain values are looked for.
_DEEPEST = 4


@dataclass(frozen=True)
class Stated:
    """What is written of the preprocessing; ``None`` where nothing is. ``where`` says by whom.

    ``hidden`` is the place of a scaling whose numbers are known only when the code runs; ``sides``
    are those of a size of which nobody knows which is the height.
    """

    size: tuple[int, int] | None = None
    resize: str | None = None
    resize_to: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None
    hidden: str | None = None
    sides: tuple[int, int] | None = None
    where: tuple[str, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether it is known how pixels become numbers."""
        return self.mean is not None and self.std is not None

    def over(self, other: Stated) -> Stated:
        """Return this with what it leaves open taken from another."""
        values = {
            one.name: getattr(self, one.name)
            if getattr(self, one.name) is not None
            else getattr(other, one.name)
            for one in fields(self)
            if one.name != "where"
        }
        return Stated(**values, where=tuple(dict.fromkeys((*self.where, *other.where))))


def stated_for(found: Stated, channels: int) -> Stated:
    """Return what can be meant for a network of so many channels.

    A folder's scripts also make other pictures: gray ones say nothing of a network that takes
    three channels, nor do three means of one that takes gray ones.
    """
    kept = found
    if found.color is not None and (found.color == "gray") != (channels == 1):
        kept = replace(kept, color=None)
    lengths = {len(part) for part in (found.mean, found.std) if part is not None}
    if not lengths <= {1, channels}:
        kept = replace(kept, mean=None, std=None)
    nothing = replace(kept, hidden=None, sides=None, where=()) == Stated()
    return Stated() if nothing else kept


def stated_in_graph(own: Mapping[str, Sequence[float]]) -> Stated:
    """Return what a network that scales its own input by mean and std wants: 0..255, or 0..1."""
    pixels = min(own["std"]) >= OF_PIXELS
    numbers = " ".join(f"{one:g}" for one in own["std"])
    where = f"the network itself, which divides its input by {numbers}"
    return Stated(mean=(0.0,), std=(1.0 if pixels else 255.0,), where=(where,))


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
    chains = sorted(_chains(script), key=lambda chain: _is_random(chain[1]) - 2 * chain[0])
    found, plain = Stated(), Stated()
    for _, calls in chains:
        found = found.over(_of_calls(script, calls, scripts))
    if not found.scaled:
        found = found.over(_of_any_call(script, scripts))
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


_MEANS = ("mean", "image_mean", "normalize_mean", "norm_mean", "img_mean", "pixel_mean")
_STDS = ("std", "image_std", "normalize_std", "norm_std", "img_std", "pixel_std")


def stated_in_facts(facts: Mapping[str, Any], name: str) -> Stated:
    """Return what the plain values beside some weights say; ``name`` is the file's."""
    last = {key.rpartition(".")[2].lower(): value for key, value in facts.items()}
    values: dict[str, Any] = {}
    mean = next((_floats(last[key]) for key in _MEANS if key in last), None)
    std = next((_floats(last[key]) for key in _STDS if key in last), None)
    if mean and std and min(std) > 0:
        unit = 255.0 if max(std) <= 1.5 else 1.0
        values["mean"] = tuple(round(unit * one, 4) for one in mean)
        values["std"] = tuple(round(unit * one, 4) for one in std)
    size = next((size_of(last[key]) for key in SIZES if key in last), None)
    if size is not None:
        values["size"] = size
    share = last.get("crop_pct")
    if size is not None and isinstance(share, int | float) and 0.1 < share <= 1:
        larger = round(size[0] / share)
        values.update(resize="shorter_then_crop", resize_to=larger if larger > max(size) else None)
    return Stated(**values, where=(f"{name}: {', '.join(sorted(values))}",)) if values else Stated()


def _floats(value: object) -> list[float] | None:
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return None
    listed: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if listed and all(isinstance(one, int | float) for one in listed) and len(listed) in (1, 3):
        return [float(one) for one in listed]
    return None


def facts_beside(weights: Path) -> dict[str, Any]:
    """Return the plain values of the configuration files beside a network's file.

    Those of a file called like the network come first, then what model hubs write, then what
    training programs do; Lightning's lies one folder above. Values inside of sections are told by
    their own names.
    """
    own = (weights.with_suffix(ending) for ending in (".yml", ".yaml", ".json"))
    paths = (
        weights.parent.parent / "hparams.yaml",
        *(weights.with_name(name) for name in CONFIGS),
        *own,
    )
    found: dict[str, Any] = {}
    for path in paths:
        value = _configuration(path)
        if isinstance(value, dict):
            found.update(_unmistaken(value))
    return found


def _configuration(path: Path) -> Any:
    try:
        with open_regular(path) as stream:
            content = stream.read(_LARGEST_JSON)
        if path.suffix == ".json":
            return parse_json(content)
        return parse_yaml(content.decode("utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _unmistaken(document: dict[Any, Any]) -> dict[str, Any]:
    """Return the values by their own names; of several of one name the one with fewest sections.

    Where those differ, nobody knows which one was meant, and none is told.
    """
    found: dict[str, Any] = {}
    sections = [document]
    for _ in range(_DEEPEST):
        level: dict[str, list[Any]] = {}
        for section in sections:
            for key, value in section.items():
                if isinstance(key, str):
                    level.setdefault(key, []).append(value)
        for key, values in level.items():
            if key not in found:
                found[key] = values[0] if all(one == values[0] for one in values) else None
        inner = [one for values in level.values() for one in values]
        sections = [one for one in inner if isinstance(one, dict)]
    return {key: value for key, value in found.items() if value is not None}
