"""How plain code prepares pictures: arithmetic on pixels, ``resize``, options and constants.

Means and deviations are told in units of 0..255, sizes as (height, width).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.project.survey.code import Script, Unknown, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Names that the size of a network's pictures has in code and configurations.
SIZES = ("input_size", "img_size", "image_size", "imgsz", "crop_size", "input_shape", "resolution")


def last_name(call: ast.Call) -> str:
    """Return what is called, without what stands before it: ``Resize`` of ``T.Resize(96)``."""
    return dotted(call.func).rpartition(".")[2]


#: What is made larger again after a network: its answers, and what they are compared with.
_OF_ANSWERS = re.compile(r"pred|mask|disp|heat|prob|label|depth|out|(?<![a-z])gt(?![a-z])")
#: How the channels of a picture are put in the other order.
_TURNS = ("::-1", "(2, 1, 0)", "[2, 1, 0]")


def of_plain_code(script: Script) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what plain code does: ``.resize((96, 96))``, ``/ 255``, ``(x - MEAN) / STD``.

    These are fields of ``Stated`` and where they were read.
    """
    read = _Reading(script)
    for node in _outside_networks(script.tree):
        read.take(node)
    return read.told()


@dataclass
class _Reading:
    """What has been read of a script's arithmetic so far.

    ``below`` are numbers that are taken off in a line of their own, by what they are taken off.
    """

    script: Script
    #: Which channel of a picture a value is assigned to: ``x[:, :, 0] = ...``.
    channels: dict[int, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    where: list[str] = field(default_factory=list)
    divided: float | None = None
    shifted: tuple[list[float], list[float]] | None = None
    below: dict[str, tuple[list[float], ast.AugAssign]] = field(default_factory=dict)
    by_channel: dict[int, tuple[float, float]] = field(default_factory=dict)
    turned: bool = False
    opened: bool = False

    def take(self, node: ast.AST) -> None:
        """Read one node."""
        if isinstance(node, ast.Assign):
            channel = _channel_of(node.targets[0])
            if channel is not None:
                self.channels[id(node.value)] = channel
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Subscript):
            self.turned |= _turns(node)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub):
            taken_off = _constants(self.script, node.value)
            self.below[ast.unparse(node.target)] = taken_off, node
        elif (divisor := _divisor(self.script, node)) is not None:
            of, by = divisor
            before = self.below.get(ast.unparse(of))
            mean = (before[0] if before is not None else None) or _taken_off(self.script, of)
            number = by[0] if len(by) == 1 else None
            if mean and self.shifted is None and _of_pixels(mean, by):
                if id(node) in self.channels:
                    self._of_channel(self.channels[id(node)], mean, by, node)
                else:
                    self.shifted = mean, by
                    self._read_at(node)
            elif number in (255.0, 127.5, 128.0) and self.divided is None:
                self.divided = number
                self._read_at(node)

    def _of_channel(self, channel: int, mean: list[float], by: list[float], node: ast.AST) -> None:
        """Read a line that scales one channel; those of three make the scaling of a picture."""
        if len(mean) == len(by) == 1:
            self.by_channel.setdefault(channel, (mean[0], by[0]))
        if self.by_channel.keys() == {0, 1, 2}:
            means, deviations = zip(*(self.by_channel[one] for one in range(3)), strict=True)
            self.shifted = list(means), list(deviations)
            self._read_at(node)

    def _call(self, node: ast.Call) -> None:
        whole = self.script.stands_for(dotted(node.func))
        self.opened |= whole == "cv2.imread"
        self.turned |= whole == "cv2.cvtColor"
        told = _of_picture_call(self.script, node, whole)
        found = {key: value for key, value in told.items() if key not in self.values}
        self.values.update(found)
        if self.shifted is None and (divisor := _divisor(self.script, node)) is not None:
            mean = _taken_off(self.script, divisor[0])
            if mean and _of_pixels(mean, divisor[1]):
                self.shifted, found = (mean, divisor[1]), {"scale": divisor[1]}
        if found:
            self._read_at(node)

    def _read_at(self, node: ast.AST) -> None:
        line = f"{self.script.path.name}:{getattr(node, 'lineno', 0)}: {self.script.line(node)}"
        self.where.append(line[:90])

    def told(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the fields of ``Stated``, and where they stand."""
        if self.opened and not self.turned:
            self.values["color"] = "bgr"
        if "size" not in self.values:
            options = _of_options(self.script)
            self.values.update(options)
            if "size" in options:
                self.where.append(f"{self.script.path.name}: its options")
        if self.shifted is None and self.divided is None:
            for mean, node in self.below.values():
                # A mean of pixels, and no deviation.
                if len(mean) == 3 and 20 <= min(mean) <= max(mean) <= 255:
                    self.shifted = mean, [1.0]
                    self._read_at(node)
                    break
        scale = _scale(self.script, self.divided, self.shifted)
        if scale is not None:
            self.values["mean"], self.values["std"] = scale
        return self.values, tuple(self.where) if self.values else ()


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


def _channel_of(target: ast.expr) -> int | None:
    """Return the number of ``x[:, :, 0]`` and ``x[0]``."""
    index = target.slice if isinstance(target, ast.Subscript) else None
    last = index.elts[-1] if isinstance(index, ast.Tuple) and index.elts else index
    value = last.value if isinstance(last, ast.Constant) else None
    return value if isinstance(value, int) and 0 <= value <= 2 else None


def _turns(node: ast.Subscript) -> bool:
    """Tell whether a subscript turns a picture's channels, and not an order or a pair of sides."""
    of_numbers = any(word in ast.unparse(node.value) for word in ("sort", "shape", "size"))
    return not of_numbers and any(sign in ast.unparse(node.slice) for sign in _TURNS)


def _of_picture_call(script: Script, node: ast.Call, whole: str) -> dict[str, Any]:
    """Return what ``.resize(...)`` and ``.convert("L")`` say, of Pillow and OpenCV."""
    tail = node.func.attr if isinstance(node.func, ast.Attribute) else last_name(node)
    first = node.args[0] if node.args else None
    if tail.startswith("resize"):
        of = node.args[0] if whole.startswith("cv2") and node.args else node.func
        if _OF_ANSWERS.search(ast.unparse(of)):
            return {}
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


def _of_options(script: Script) -> dict[str, tuple[int, int]]:
    """Return the ``size`` that a program's options or constants have if nobody gives others.

    Of two different numbers under one name nobody knows which is the height: they are ``sides``.
    """
    found: dict[str, int] = {}
    sizes: list[tuple[int, int] | None] = []
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call) and last_name(node) == "add_argument":
            names = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
            default = next((one.value for one in node.keywords if one.arg == "default"), None)
            number = _constant(script, default) if default is not None else None
            side = next((side for one in names if (side := _side(one))), "")
            if side and number is not None and number == int(number) and 8 <= number <= 8192:
                found.setdefault(side, int(number))
            elif any(one.lstrip("-").replace("-", "_").lower() in SIZES for one in names):
                sizes.append(_plain_size(script, default))
    sizes += [_plain_size(script, node) for name, node in script.assigned.items()
              if name.lower() in SIZES]  # fmt: skip
    if len(found) == 2:
        return {"size": (found["high"], found["wide"])}
    known = [one for one in sizes if one is not None]
    alike = [one for one in known if one[0] == one[1]]
    return {"size": alike[0]} if alike else {"sides": known[0]} if known else {}


def _plain_size(script: Script, node: ast.expr | None) -> tuple[int, int] | None:
    try:
        return size_of(script.value(node))
    except Unknown:
        return None


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
        inner = (
            node.args[0] if last_name(node) in ("array", "tensor", "asarray", "float32") else None
        )
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


def size_of(value: object) -> tuple[int, int] | None:
    """Return (height, width) of what states a size: a side, two or three of them, or both named."""
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
