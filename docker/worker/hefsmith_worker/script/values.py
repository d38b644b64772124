"""Values of the model script language (``.alls``), and how each is written."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Dict, List, Tuple, Union


class Name(str):
    """A bare word: a layer (``net/conv41``), a choice (``enabled``), a duration (``25m``).

    A quoted string is a plain :class:`str`, so ``isinstance(value, Name)`` tells them apart.
    """

    __slots__ = ()

    @property
    def layer(self) -> str:
        """The name without the network's scope: ``conv41`` of ``net/conv41``."""
        return self.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Glob:
    """A set of layers by pattern: ``{*}``, ``{conv*}``, ``{net/norm[1-3]}``; ``{}`` is empty."""

    pattern: str

    def matches(self, layer: str) -> bool:
        """Say whether ``layer`` is meant; scopes count only where the pattern has one."""
        if "/" not in self.pattern:
            layer = layer.rsplit("/", 1)[-1]
        elif "/" not in layer:
            return fnmatch.fnmatchcase(layer, self.pattern.rsplit("/", 1)[-1])
        return fnmatch.fnmatchcase(layer, self.pattern)


#: What an argument can be. Lists are tuples, so that commands can be compared and hashed.
Scalar = Union[int, float, bool, str, Name, Glob, None]
Value = Union[Scalar, Tuple["Value", ...]]


def render(value: Value) -> str:
    """Write a value the way the language reads it back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Glob):
        return "{" + value.pattern + "}"
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, str):
        quote = "'" if '"' in value else '"'
        return quote + value + quote
    return "[" + ", ".join(render(item) for item in value) + "]"


def names_in(value: Value) -> List[str]:
    """List the bare words in a value, those inside lists too, in order."""
    if isinstance(value, Name):
        return [value]
    if isinstance(value, tuple):
        return [name for item in value for name in names_in(item)]
    return []


def as_plain(value: Value) -> object:
    """Turn a value into what JSON can hold; a pattern becomes ``{"glob": ...}``."""
    if isinstance(value, Glob):
        plain: Dict[str, str] = {"glob": value.pattern}
        return plain
    if isinstance(value, tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, Name):
        return str(value)
    return value
