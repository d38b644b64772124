"""Numbers and arrays of numpy in a checkpoint: the best accuracy, class names, a learning rate.

Training scripts put them beside the weights, and ``weights_only`` refuses them. Their names stand
for the classes here, which keep bytes and shapes and call nothing; arrays become tensors or lists.
"""

from __future__ import annotations

from typing import Any, List, Set, Tuple

import numpy as np

#: Kinds of numpy that hold plain values: no objects, no fields.
_PLAIN_KINDS = "biufcSU"
_FORM = "a value of numpy in an unknown form"


class Unfit(Exception):
    """What numpy would not have pickled so."""


class Kind(object):
    """A dtype: its letter and size, and the order of its bytes."""

    def __new__(cls, text: object = None, *_rest: object) -> Kind:  # noqa: PYI034
        """Take what numpy.dtype is called with."""
        made = object.__new__(cls)
        made.text, made.order = text, "="
        return made

    text: object
    order: str

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        if len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = str(state[1])

    def real(self) -> np.dtype[Any]:
        """Return the dtype; raises :class:`Unfit` for one of objects or of fields."""
        if not isinstance(self.text, str) or self.text[:1] not in _PLAIN_KINDS:
            raise Unfit(_FORM)
        try:
            return np.dtype(self.order.replace("|", "=") + self.text)
        except (TypeError, ValueError):
            raise Unfit(_FORM)


class Array(object):
    """An array: its shape, kind and bytes."""

    def __new__(cls, *_given: object) -> Array:  # noqa: PYI034
        """Take what numpy calls for an empty one."""
        made = object.__new__(cls)
        made.state = ()
        return made

    state: Tuple[Any, ...]

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        self.state = tuple(state)

    def value(self) -> Any:
        """Return an array of numbers in this machine's order of bytes, or a list of texts."""
        if len(self.state) != 5 or type(self.state[2]) is not Kind:
            raise Unfit(_FORM)
        _version, shape, kind, turned, raw = self.state
        if type(raw) is not bytes or not isinstance(shape, tuple):
            raise Unfit(_FORM)
        try:
            flat = np.frombuffer(raw, kind.real())
            array = flat.reshape(shape, order="F" if turned else "C")
        except (TypeError, ValueError):
            raise Unfit(_FORM)
        if array.dtype.kind in "SU":
            return array.tolist()
        native = array.astype(array.dtype.newbyteorder("="))
        return np.ascontiguousarray(native).reshape(shape).copy()


def scalar(kind: object, raw: object = b"") -> Any:
    """Return a number as Python has it."""
    if type(kind) is not Kind or type(raw) is not bytes:
        raise Unfit(_FORM)
    dtype = kind.real()
    if len(raw) != dtype.itemsize:
        raise Unfit(_FORM)
    return np.frombuffer(raw, dtype)[0].item()


def reconstruct(*_given: object) -> Array:
    """Return an empty array, whose state comes next."""
    return Array()


def encode(text: object, coding: object = "") -> bytes:
    """Return bytes that an old pickle keeps as text."""
    if type(text) is not str or coding != "latin1":
        raise Unfit(_FORM)
    return text.encode("latin1")


def nothing(*given: object) -> bytes:
    """Return the bytes of an array without any, which an old pickle has as a call."""
    if given:
        raise Unfit(_FORM)
    return b""


_STANDS_FOR = {
    ("numpy", "dtype"): Kind,
    ("numpy", "ndarray"): Array,
    ("_codecs", "encode"): encode,
    **{
        (module, name): stand_in
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, stand_in in (("scalar", scalar), ("_reconstruct", reconstruct))
    },
}


def stand_ins(names: Set[Tuple[str, str]]) -> List[Tuple[Any, str]]:
    """Return what stands for the names of numpy that a checkpoint has, each with its name."""
    found = [(_STANDS_FOR[name], "%s.%s" % name) for name in sorted(names) if name in _STANDS_FOR]
    # PyTorch calls what Python has built in by its name alone, in some releases.
    return [*found, *((nothing, name) for name in ("bytes", "builtins.bytes"))] if found else []
