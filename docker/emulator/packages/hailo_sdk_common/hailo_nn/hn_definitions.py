"""Emulated: the words of the network description."""

from __future__ import annotations

from enum import Enum


class LayerType(str):
    """A layer's type: a word that also has a ``name`` and a ``value``, as an enumeration's."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The word."""
        return str(self)

    @property
    def value(self) -> str:
        """The word."""
        return str(self)


class ActivationTypes(Enum):
    """Activations that a layer can end with."""

    linear = "linear"
    relu = "relu"
    relu6 = "relu6"
    leaky = "leaky"
    elu = "elu"
    sigmoid = "sigmoid"
    exp = "exp"
    tanh = "tanh"
    softplus = "softplus"
    silu = "silu"
    mish = "mish"
    hardswish = "hardswish"
    hardsigmoid = "hardsigmoid"
    softmax = "softmax"
