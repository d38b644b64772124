"""Networks out of a checkpoint, rebuilt without running anything that the checkpoint chooses.

``weights_only`` of PyTorch makes objects of admitted classes by calling them, and a constructor
may do anything (read a YAML, open a file, load a library). So no class is admitted here: each
name of an admitted network stands for a :class:`Shell` that takes a state and nothing else.
What was read is then walked through once: tensors and plain containers stay, shells become
objects of their real classes, made without a constructor, and all else is refused.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Tuple, Type

from hefsmith_worker.stages import numpy_shells

#: Where the layers are whose objects are made here: modules, or packages of them.
LAYERS = ("torch.nn.modules", "torch.nn.parallel", "ultralytics.nn.modules", "ultralytics.nn.tasks")

#: Classes beside networks that hold plain values only: all become a plain namespace.
NAMESPACES = frozenset(
    {("ultralytics.utils", "IterableSimpleNamespace"), ("types", "SimpleNamespace")}
)

#: What a class of the training script is called when the script itself saved the network.
MAIN = "__main__"

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)


class NotPlain(Exception):
    """A checkpoint holds what is neither a tensor, nor plain, nor an admitted network."""


class Shell:
    """An object of a checkpoint before it is known to be harmless: a class and a state."""

    kind: Optional[Type[Any]] = None
    state: Dict[str, Any]

    def __new__(cls, *given: object) -> Shell:  # noqa: PYI034  Python 3.8 has no Self
        """Take no arguments: whoever gives some wants a constructor to run."""
        if given:
            raise NotPlain("it makes a %s of its own" % cls.__name__)
        made = object.__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: object) -> None:
        if type(state) is not dict or not all(type(name) is str for name in state):
            raise NotPlain("%s has a state that is no mapping of names" % type(self).__name__)
        self.state = state


def shells(names: Iterable[Tuple[str, str]], own: Optional[Any]) -> List[Tuple[Any, str]]:
    """Return the admitted ones of (module, name), each as a shell and the name it goes by.

    ``own`` is the module of the user's factory: classes that it has loaded from its folder are
    admitted, too. Nothing is imported because a checkpoint says so but the layers' packages.
    """
    found: List[Tuple[Any, str]] = []
    for module, name in sorted(names):
        if (module, name) in NAMESPACES:
            kind: Optional[type] = SimpleNamespace
        else:
            kind = _layer(module, name, own)
        if kind is not None:
            shell = type(name, (Shell,), {"kind": kind})
            found.append((shell, "%s.%s" % (module, name)))
    return found


def _layer(module: str, name: str, own: Optional[Any]) -> Optional[type]:
    import torch

    if own is not None and module in (MAIN, own.__name__):
        holder: Any = own
    elif any(module == root or module.startswith(root + ".") for root in LAYERS):
        holder = _imported(module)
    elif own is not None:
        holder = sys.modules.get(module)
        # Loaded already, by the factory: a checkpoint does not choose what is run.
        if not _lies_below(holder, Path(str(own.__file__)).parents[own.__name__.count(".")]):
            return None
    else:
        return None
    kind = vars(holder).get(name) if holder is not None else None
    if not isinstance(kind, type) or not issubclass(kind, torch.nn.Module):
        return None
    return kind


def _imported(module: str) -> Any:
    from importlib import import_module

    from hefsmith_worker.stages.torchvision_ops import retrying

    try:
        return retrying(lambda: import_module(module))
    except Exception:
        return None


def _lies_below(module: Any, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and folder in Path(str(file)).parents


def rebuilt(value: Any) -> Any:
    """Return what a checkpoint holds with networks in place of their shells.

    Raises :class:`NotPlain` for anything but tensors, plain values, containers and networks.
    """
    try:
        return _Walk().take(value)
    except RecursionError:
        msg = "it is nested deeper than any network"
        raise NotPlain(msg)


class _Walk:
    """One pass over a checkpoint; what is met twice stays one object."""

    def __init__(self) -> None:
        import torch

        self.done: Dict[int, Any] = {}
        #: Keeps what was met alive, so that its id stays its own.
        self.met: List[Any] = []
        self.facts = (torch.dtype, torch.device, torch.layout, torch.Size, torch.memory_format)
        self.tensors: FrozenSet[type] = frozenset({torch.Tensor, torch.nn.Parameter})

    def take(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN or kind in self.facts:
            return value
        if id(value) not in self.done:
            self.met.append(value)
            self.done[id(value)] = self._new(kind, value)
        return self.done[id(value)]

    def _new(self, kind: type, value: Any) -> Any:
        if kind in self.tensors:
            if value._backward_hooks is not None:  # noqa: SLF001  hooks are code to call
                value._backward_hooks = None  # noqa: SLF001
            return value
        if kind in (dict, OrderedDict, Counter):
            mapping = self.done[id(value)] = kind()
            for name, one in value.items():
                mapping[self.take(name)] = self.take(one)
            return mapping
        if kind is list:
            row = self.done[id(value)] = []
            row.extend(self.take(one) for one in value)
            return row
        if kind in (tuple, set):
            return kind(self.take(one) for one in value)
        if isinstance(value, Shell):
            return self._object(value)
        if kind is numpy_shells.Array:
            return _as_tensor(value)
        if kind is numpy_shells.Kind:
            return str(value.text)
        raise NotPlain("it holds %s" % _shown(value))

    def _object(self, shell: Shell) -> Any:
        import torch

        assert shell.kind is not None
        if shell.kind is SimpleNamespace:
            space = self.done[id(shell)] = SimpleNamespace()
            space.__dict__.update({name: self.take(one) for name, one in shell.state.items()})
            return space
        made = self.done[id(shell)] = object.__new__(shell.kind)
        # Hooks are code to call; none of them belongs to a network that is exported.
        state = {
            name: OrderedDict() if "_hooks" in name else self.take(one)
            for name, one in shell.state.items()
        }
        # PyTorch's own layers know the states of older versions of themselves.
        known = type(made).__module__.startswith("torch.nn.modules.")
        (type(made) if known else torch.nn.Module).__setstate__(made, state)
        return made


def _as_tensor(array: numpy_shells.Array) -> Any:
    """Return an array as a tensor, or as a list where it holds what no tensor does."""
    import torch

    try:
        value = array.value()
    except numpy_shells.Unfit as error:
        raise NotPlain("it holds %s" % error)
    if isinstance(value, list):
        return value
    try:
        return torch.from_numpy(value)
    except TypeError:
        return value.tolist()


def _shown(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    name = "%s.%s" % (kind.__module__, kind.__qualname__)
    return "the class %s itself" % name if isinstance(value, type) else "a %s" % name
