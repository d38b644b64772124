"""The tensors of a checkpoint by name and shape, and the plain facts beside them.

A pickle is read with every name in it replaced by a stand-in that only remembers: nothing of
PyTorch is needed, and nothing that the file names is imported or called.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.safetensors_header import LARGEST_SIDE, MOST_SIDES, read_header
from hefsmith_worker.stages.checkpoint import LARGEST_PICKLE, WRAPPERS_OWN, find_state

from orchestrator.reading import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Pickles before the one that holds the object, in files of PyTorch before 1.6.
_OLD_PREAMBLE = 3
_DEEPEST = 40
_MOST_FACTS = 400

#: Prefixes that wrappers put before every name (data parallel, compile).
PREFIXES = ("module.", "_orig_mod.")
_SHARING = "torch.nn.parallel."


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint: shapes by name, wrappers' prefixes taken off.

    ``facts`` are plain values that lie beside them (numbers, texts, lists of those) by dotted
    name; ``classes`` the classes of a network that was saved whole, outermost first. ``key`` tells
    where in the file they lie, where that holds several.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    key: str = ""

    @property
    def inner(self) -> Weights | None:
        """The same without the one name that is before all of them, as of a network in another."""
        if len(self.roots) != 1 or self.classes or not all("." in name for name in self.shapes):
            return None
        shapes = {name.partition(".")[2]: shape for name, shape in self.shapes.items()}
        return replace(self, shapes=shapes)

    @property
    def roots(self) -> frozenset[str]:
        """The first parts of the names: attributes of the network's class."""
        return frozenset(name.partition(".")[0] for name in self.shapes)

    @property
    def channels(self) -> int | None:
        """Channels of the first convolution, ``None`` where the first layer is none."""
        for name, shape in self.shapes.items():
            if len(shape) == 4 and name.endswith("weight"):
                return shape[1]
            if len(shape) in (2, 3):
                return None
        return None

    @property
    def rank(self) -> int | None:
        """Sides of the first layer's weights: 4 of a convolution over pictures, 3 over signals."""
        ranks = [len(s) for n, s in self.shapes.items() if n.endswith("weight") and len(s) >= 2]
        return ranks[0] if ranks else None

    @property
    def features(self) -> int | None:
        """Numbers that the first layer takes where that is a linear one."""
        for name, shape in self.shapes.items():
            if name.endswith("weight") and len(shape) >= 2:
                return shape[1] if len(shape) == 2 else None
        return None

    @property
    def classes_out(self) -> int | None:
        """Outputs of the last layer."""
        last = [shape for name, shape in self.shapes.items() if name.endswith("weight")]
        wide = [shape for shape in last if len(shape) in (2, 4)]
        return wide[-1][0] if wide else None


def read_weights(path: Path) -> Weights:
    """Return what a checkpoint holds; an empty answer for what cannot be read so."""
    try:
        if path.suffix.lower() == ".safetensors":
            return _safetensors(path)
        value = _unpickled(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error):
        return Weights()
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError):
        return Weights()
    except (MemoryError, RecursionError, NotImplementedError, ArithmeticError, RuntimeError):
        return Weights()
    return _weights(value)


def _safetensors(path: Path) -> Weights:
    header = read_header(path)
    shapes = {name: entry.shape for name, entry in header.entries.items()}
    return Weights(_in_layer_order(_unwrapped(shapes)), header.texts)


def _in_layer_order(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the tensors as a network has them; safetensors sorts by type and name.

    A first layer is told by its few input channels: three, or few where none has three (one is
    what layers have, too, that take each channel by itself). It goes first, a classifier last.
    """
    names = list(shapes)
    few = (3, 4, 2, 1)
    first = sorted(
        (name for name in names if len(shapes[name]) == 4 and shapes[name][1] in few),
        key=lambda name: few.index(shapes[name][1]),
    )
    heads = [name for name in names if any(word in name for word in ("classifier", "fc", "head"))]
    rest = [name for name in names if name not in first[:1] and name not in heads]
    order = [*first[:1], *rest, *(name for name in heads if name not in first[:1])]
    return {name: shapes[name] for name in order}


class Remembered:
    """Stands for an object of a class that is not loaded: its name, arguments and state."""

    name = ""

    def __init__(self, *given: object, **_named: object) -> None:
        self.given = given
        self.state: Any = None
        self.items: list[Any] = []

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.items.append((key, value))

    def append(self, value: object) -> None:
        """Take an entry of a list's subclass."""
        self.items.append(value)

    def extend(self, values: object) -> None:
        """Take the entries of a list's subclass."""
        self.items.extend(values if isinstance(values, list) else [])


@dataclass(frozen=True)
class Shape:
    """A tensor of which only the shape is known."""

    sides: tuple[int, ...]


def _tensor(_storage: object, _offset: object, size: object, *_rest: object) -> Shape:
    sides = tuple(size) if isinstance(size, tuple | list) else ()
    if len(sides) > MOST_SIDES or not all(
        isinstance(side, int) and 0 <= side <= LARGEST_SIDE for side in sides
    ):
        msg = "a tensor with impossible dimensions"
        raise ValueError(msg)
    return Shape(tuple(int(side) for side in sides))


def _same(value: object, *_rest: object) -> object:
    return value


class _Reader(pickle.Unpickler):
    """An unpickler that finds no class but its own stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _same
        if (module, name) == ("torch", "Size"):
            return _as_tuple
        return type(name, (Remembered,), {"name": f"{module}.{name}"})

    def persistent_load(self, identifier: object) -> object:
        return identifier


def _as_tuple(value: object = ()) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else ()


def _unpickled(path: Path) -> Any:
    with open_regular(path) as stream:
        packed = zipfile.is_zipfile(stream)
    if packed:
        with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
            inside = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if not inside or archive.getinfo(inside[0]).file_size > LARGEST_PICKLE:
                return None
            with archive.open(inside[0]) as stream:
                return _Reader(stream).load()
    with open_regular(path) as stream:
        if stream.read(1) != b"\x80":
            return None
        stream.seek(0)
        for _ in range(_OLD_PREAMBLE):
            _Reader(stream).load()
        return _Reader(stream).load()


def _weights(value: Any) -> Weights:
    classes: tuple[str, ...] = ()
    key = ""
    state: Any = value
    if isinstance(value, dict) and not any(isinstance(one, Shape) for one in value.values()):
        key, state = find_state(value, _is_shape, _is_remembered) or ("", None)
    shapes: dict[str, tuple[int, ...]] = {}
    if isinstance(state, Remembered):
        shapes = dict(_inside(state, "", 0))
        # What shares a network out over GPUs is none of its classes.
        found = (name for name in _classes(state, 0) if not name.startswith(_SHARING))
        classes = tuple(dict.fromkeys(found))
    elif isinstance(state, dict):
        shapes = {str(name): one.sides for name, one in state.items() if isinstance(one, Shape)}
    facts = dict(_facts(value, "", 0)) if isinstance(value, dict) else {}
    return Weights(_unwrapped(shapes), facts, classes, key)


def _is_shape(value: object) -> bool:
    return isinstance(value, Shape)


def _is_remembered(value: object) -> bool:
    return isinstance(value, Remembered)


def _unwrapped(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Take wrappers' prefixes off, as the export does."""
    found = {name: shape for name, shape in shapes.items() if name not in WRAPPERS_OWN}
    # In either order: a compiled network in parallel, or a parallel one that was compiled.
    for prefix in (*PREFIXES, PREFIXES[0]):
        if found and all(name.startswith(prefix) for name in found):
            found = {name[len(prefix) :]: shape for name, shape in found.items()}
    return found


def _attributes(module: Remembered) -> dict[str, object]:
    state = module.state
    if isinstance(state, tuple):
        state = next((one for one in state if isinstance(one, dict)), None)
    return {str(key): value for key, value in state.items()} if isinstance(state, dict) else {}


def _inside(module: Remembered, prefix: str, depth: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the tensors of a network that was saved whole, or as TorchScript."""
    if depth > _DEEPEST:
        return
    attributes = _attributes(module)
    for group in ("_parameters", "_buffers"):
        inner = attributes.pop(group, None)
        for name, one in inner.items() if isinstance(inner, dict) else ():
            if isinstance(one, Shape):
                yield f"{prefix}{name}", one.sides
    layers = attributes.pop("_modules", None)
    for name, one in {**attributes, **(layers if isinstance(layers, dict) else {})}.items():
        if isinstance(one, Remembered):
            yield from _inside(one, f"{prefix}{name}.", depth + 1)
        elif isinstance(one, Shape):
            yield f"{prefix}{name}", one.sides


def _classes(module: Remembered, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    yield module.name
    layers = _attributes(module).get("_modules")
    for one in layers.values() if isinstance(layers, dict) else ():
        if isinstance(one, Remembered):
            yield from _classes(one, depth + 1)


def _facts(value: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield plain values of a checkpoint by their dotted names."""
    for number, (key, one) in enumerate(value.items()):
        if number >= _MOST_FACTS or not isinstance(key, str | int):
            return
        name = f"{prefix}{key}"
        # argparse's Namespace and its like keep their values as attributes.
        inner = _attributes(one) if isinstance(one, Remembered) else one
        if isinstance(inner, dict) and depth < 3:
            if inner and all(isinstance(v, str | int | float) for v in inner.values()):
                yield name, dict(inner)
            yield from _facts(inner, f"{name}.", depth + 1)
        elif isinstance(one, str | int | float | bool) or _is_plain_list(one):
            yield name, list(one) if isinstance(one, tuple) else one


def _is_plain_list(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) <= 2000
        and all(isinstance(one, str | int | float) for one in value)
    )
