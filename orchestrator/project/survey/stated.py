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

from orchestrator.project.survey.code import Script, Unknown, dotted
from orchestrator.project.yaml_source import parse_yaml
from orchestrator.reading import open_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
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
#: Levels of a configuration in which its plain values are looked for.
_DEEPEST = 4


@dataclass(frozen=True)
class Stated:
    """What is written of the preprocessing; ``None`` where nothing is. ``where`` says by whom."""

    size: tuple[int, int] | None = None
    resize: str | None = None
    resize_to: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None
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
    nothing = replace(kept, where=()) == Stated()
    return Stated() if nothing else kept


def stated_in_graph(own: Mapping[str, Sequence[float]]) -> Stated:
    """Return what a network that scales its own input by mean and std wants: 0..255, or 0..1."""
    pixels = min(own["std"]) >= OF_PIXELS
    numbers = " ".join(f"{one:g}" for one in own["std"])
    where = f"the network itself, which divides its input by {numbers}"
    return Stated(mean=(0.0,), std=(1.0 if pixels else 255.0,), where=(where,))


def stated_in_scripts(scripts: Iterable[Script]) -> Stated:
    """Return what the first script that has transforms says, and of others what it leaves open.

    The order of colours goes with the scaling: another script may read its pictures otherwise.
    """
    found, scaling = Stated(), None
    for script in scripts:
        one = stated_in(script)
        scaling = scaling or (one if one.scaled else None)
        found = found.over(one)
    return found if scaling is None else replace(found, color=scaling.color)


def stated_in(script: Script) -> Stated:
    """Return what one script's transforms say, those for validation before those for training."""
    chains = sorted(_chains(script), key=lambda chain: _is_random(chain[1]) - 2 * chain[0])
    found = Stated()
    for _, calls in chains:
        found = found.over(_of_calls(script, calls))
    if not found.scaled or found.size is None:
        found = found.over(_of_arithmetic(script))
    return found


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
    known = (
        "Resize",
        "ToTensor",
        "Normalize",
        "CenterCrop",
        "ToTensorV2",
        "ToImage",
        "PILToTensor",
    )
    return calls if any(_tail(call).endswith(known) for call in calls) else []


def _tail(call: ast.Call) -> str:
    return dotted(call.func).rpartition(".")[2]


def _is_random(calls: list[ast.Call]) -> int:
    return int(any(word in _tail(call) for call in calls for word in _RANDOM))


def _of_calls(script: Script, calls: list[ast.Call]) -> Stated:
    values: dict[str, Any] = {}
    where = []
    for call in calls:
        told = _of_call(script, call)
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
    if unit and "mean" not in values:
        values.update(mean=(0.0,), std=(255.0,))
    return Stated(**values, where=tuple(where)) if where else Stated()


def _of_call(script: Script, call: ast.Call) -> dict[str, Any]:
    """Return what one transform says; ``shorter`` and ``unit`` are for the chain to judge."""
    tail = _tail(call)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "transforms":
        if "weights" not in ast.unparse(call.func).lower():
            return {}
        fit = {"size": (224, 224), "resize": "shorter_then_crop", "resize_to": 256}
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, **fit}
    if tail in ("ToTensor", "ToDtype", "ConvertImageDtype"):
        return {"unit": True}
    if tail == "Normalize":
        return _normalize(script, call)
    if tail == "Grayscale":
        return {"color": "gray"}
    sides = _sides(script, call) if tail in _FITS or tail == "Resize" else []
    if not sides:
        return {}
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


def _normalize(script: Script, call: ast.Call) -> dict[str, Any]:
    named = {one.arg: one.value for one in call.keywords}
    nodes = [*call.args[:2], *(named[key] for key in ("mean", "std") if key in named)]
    tops: Any = 1.0
    try:
        numbers = [_numbers(script.value(node)) for node in nodes[:2]]
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


def _of_arithmetic(script: Script) -> Stated:
    """Return what plain code does: ``.resize((96, 96))``, ``/ 255``, ``(x - MEAN) / STD``."""
    values: dict[str, Any] = {}
    where: list[str] = []
    divided: float | None = None
    shifted: tuple[list[float], list[float]] | None = None
    below: dict[str, list[float]] = {}
    turned = opened = False
    for node in _outside_networks(script.tree):
        found: dict[str, Any] = {}
        if isinstance(node, ast.Call):
            whole = script.stands_for(dotted(node.func))
            opened |= whole == "cv2.imread"
            turned |= whole == "cv2.cvtColor"
            told = _of_picture_call(script, node, whole)
            found = {key: value for key, value in told.items() if key not in values}
            values.update(found)
            if shifted is None and (divisor := _divisor(script, node)) is not None:
                mean = _taken_off(script, divisor[0])
                if mean and _of_pixels(mean, divisor[1]):
                    shifted, found = (mean, divisor[1]), {"scale": divisor[1]}
        elif isinstance(node, ast.Subscript):
            turned |= "::-1" in ast.unparse(node.slice)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub):
            below[ast.unparse(node.target)] = _constants(script, node.value)
        elif (divisor := _divisor(script, node)) is not None:
            of, by = divisor
            mean = below.get(ast.unparse(of)) or _taken_off(script, of)
            number = by[0] if len(by) == 1 else None
            if mean and shifted is None and _of_pixels(mean, by):
                shifted, found = (mean, by), {"scale": by}
            elif number in (255.0, 127.5, 128.0) and divided is None:
                divided, found = number, {"scale": number}
        if found:
            line = getattr(node, "lineno", 0)
            where.append(f"{script.path.name}:{line}: {script.line(node)}"[:90])
    if opened and not turned:
        values["color"] = "bgr"
    if "size" not in values and (sides := _of_options(script)) is not None:
        values["size"] = sides
        where.append(f"{script.path.name}: its options")
    scale = _scale(script, divided, shifted)
    if scale is not None:
        values["mean"], values["std"] = scale
    return Stated(**values, where=tuple(where)) if values else Stated()


def _outside_networks(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a script's nodes without what a network's ``forward`` computes.

    That is part of the network, and comes after the preparation of a picture: its graph tells of
    it, and where a file has several networks it is not even of this one.
    """
    pending = [tree]
    while pending:
        node = pending.pop(0)
        yield node
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.ClassDef):
            inner = [
                one
                for one in inner
                if not (isinstance(one, ast.FunctionDef) and one.name == "forward")
            ]
        pending += inner


def _of_picture_call(script: Script, node: ast.Call, whole: str) -> dict[str, Any]:
    """Return what ``.resize(...)`` and ``.convert("L")`` say, of Pillow and OpenCV."""
    tail = node.func.attr if isinstance(node.func, ast.Attribute) else _tail(node)
    first = node.args[0] if node.args else None
    if tail.startswith("resize"):
        argument = node.args[1] if whole.startswith("cv2") and len(node.args) > 1 else first
        sides = _wide_high(script, argument)
        return {} if sides is None else {"size": sides, "resize": "stretch"}
    gray = tail == "convert" and isinstance(first, ast.Constant) and first.value == "L"
    return {"color": "gray"} if gray else {}


def _divisor(script: Script, node: ast.AST) -> tuple[ast.expr, list[float]] | None:
    """Return what is divided and by what, also in place, and by a factor (``* 0.0078125``)."""
    of: ast.expr
    if (called := _method(node, ("div", "div_"))) is not None:
        by = _constants(script, called[1])
        return (called[0], by) if by and min(by) > 0 else None
    if isinstance(node, ast.AugAssign):
        of, by = node.target, _constants(script, node.value)
    elif isinstance(node, ast.BinOp):
        of, by = node.left, _constants(script, node.right)
    else:
        return None
    if not by or min(by) <= 0 or not isinstance(node.op, ast.Div | ast.Mult):
        return None
    if isinstance(node.op, ast.Mult):
        # Factors that bring pixels to numbers near 1; others do something else.
        if not all(0.002 < one < 0.05 for one in by):
            return None
        by = [round(1.0 / one, 3) for one in by]
    return of, by


def _of_pixels(mean: list[float], std: list[float]) -> bool:
    """Tell whether numbers can be mean and deviation of pixels, of 0..1 or of 0..255."""
    if not all(0 <= one <= 255 for one in mean):
        return False
    return (max(mean) <= 1.5 and max(std) <= 1.5) or min(std) >= 20


def _method(node: ast.AST, names: tuple[str, ...]) -> tuple[ast.expr, ast.expr] | None:
    """Return of ``x.name(value)`` what it is called on and the value."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        return (node.func.value, node.args[0]) if node.func.attr in names else None
    return None


def _taken_off(script: Script, node: ast.expr) -> list[float]:
    """Return the mean of ``(x - MEAN)`` and of ``x.sub_(MEAN)``."""
    if (called := _method(node, ("sub", "sub_"))) is not None:
        return _constants(script, called[1])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return _constants(script, node.right)
    return []


def _scale(
    script: Script, divided: float | None, shifted: tuple[list[float], list[float]] | None
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if shifted is not None:
        mean, std = shifted
        unit = 255.0 if divided == 255.0 or max(mean) <= 1.0 else 1.0
        if max(mean) > 1.5:
            unit = 1.0
        scaled = [tuple(round(unit * one, 4) for one in part) for part in (mean, std)]
        return scaled[0], scaled[1]
    if divided in (127.5, 128.0):
        if any(
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Sub)
            and _constant(script, node.right) == 1.0
            for node in ast.walk(script.tree)
        ):
            return (divided,), (divided,)
        return None
    return ((0.0,), (255.0,)) if divided == 255.0 else None


def _wide_high(script: Script, node: ast.expr | None) -> tuple[int, int] | None:
    """Return (height, width) of a ``resize((width, height))``."""
    try:
        value = script.value(node)
    except Unknown:
        return None
    listed = value if isinstance(value, list) and len(value) == 2 else []
    # OpenCV's ``resize(img, (0, 0), fx=...)`` states a factor.
    if listed and all(isinstance(one, int) and one > 0 for one in listed):
        return listed[1], listed[0]
    return None


def _of_options(script: Script) -> tuple[int, int] | None:
    """Return (height, width) that a program's options have if nobody gives others."""
    found: dict[str, int] = {}
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call) and _tail(node) == "add_argument":
            names = [one.value for one in node.args if isinstance(one, ast.Constant)]
            default = next((one.value for one in node.keywords if one.arg == "default"), None)
            number = _constant(script, default) if default is not None else None
            side = next((side for one in names if (side := _side(str(one)))), "")
            if side and number is not None and number == int(number) and 8 <= number <= 8192:
                found.setdefault(side, int(number))
    return (found["high"], found["wide"]) if len(found) == 2 else None


def _side(option: str) -> str:
    """Return which side of a picture an option states, "" for another one."""
    words = re.fullmatch(
        r"-*(?:(?:input|image|img|crop|resize|net|model)[-_]?)?(?:(h|height)|(w|width))",
        option,
        re.IGNORECASE,
    )
    return "" if words is None else "high" if words.group(1) else "wide"


def _constant(script: Script, node: ast.expr) -> float | None:
    found = _constants(script, node)
    return found[0] if len(found) == 1 else None


def _constants(script: Script, node: ast.expr) -> list[float]:
    """Return the numbers of a value, also inside ``np.array([...])`` and ``torch.tensor``."""
    if isinstance(node, ast.Name):
        node = script.assigned.get(node.id, node)
    while isinstance(node, ast.Call) and (node.args or isinstance(node.func, ast.Attribute)):
        inner = node.args[0] if _tail(node) in ("array", "tensor", "asarray", "float32") else None
        if inner is None:
            inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if inner is None:
            return []
        node = inner
    if isinstance(node, ast.Subscript):
        node = node.value
    try:
        value = script.value(node)
    except Unknown:
        return []
    flat = value if isinstance(value, list) else [value]
    while flat and all(isinstance(one, list) and len(one) == 1 for one in flat):
        flat = [one[0] for one in flat]
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in flat)
    return [float(one) for one in flat] if numeric else []


_MEANS = ("mean", "image_mean", "normalize_mean", "norm_mean", "img_mean", "pixel_mean")
_STDS = ("std", "image_std", "normalize_std", "norm_std", "img_std", "pixel_std")
_SIZES = ("input_size", "img_size", "image_size", "imgsz", "crop_size", "input_shape", "resolution")


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
    size = next((_size(last[key]) for key in _SIZES if key in last), None)
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


def _size(value: object) -> tuple[int, int] | None:
    if isinstance(value, dict):
        value = value.get("shortest_edge") or [value.get("height"), value.get("width")]
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return None
    listed = list(value) if isinstance(value, list | tuple) else [value]
    sides = [one for one in listed if isinstance(one, int) and not isinstance(one, bool)]
    if len(sides) != len(listed) or not sides:
        return None
    if len(sides) == 3:
        sides = sides[1:] if sides[0] in (1, 3) else sides[:2]
    if len(sides) > 2 or not all(8 <= one <= 8192 for one in sides):
        return None
    return sides[0], sides[-1]


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
