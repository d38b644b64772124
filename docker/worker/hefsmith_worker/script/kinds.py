"""Kinds of arguments, and which values are of each."""

from __future__ import annotations

from typing import Callable, Mapping

from hefsmith_worker.contract import commands as table
from hefsmith_worker.script.values import Glob, Name, Value


def is_number(value: Value) -> bool:
    """Say whether a value is a number, and no switch."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_integer(value: Value) -> bool:
    """Say whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_word(value: Value) -> bool:
    """Say whether a value is a bare word, as a layer's name is."""
    return isinstance(value, Name)


def is_layers(value: Value) -> bool:
    """Say whether a value is a layer, a pattern, or a list of them."""
    if isinstance(value, tuple):
        return all(isinstance(item, (Name, Glob)) for item in value)
    return isinstance(value, (Name, Glob))


def is_duration(value: Value) -> bool:
    """Say whether a value is a number of seconds, or one with a unit (``25m``)."""
    return is_number(value) or (
        isinstance(value, Name) and value[-1:] in "smhd" and value[:-1].isdigit()
    )


def is_switch(value: Value) -> bool:
    """Say whether a value turns something on or off."""
    return isinstance(value, bool) or value in ("enabled", "disabled", "allowed", "automatic")


def all_are(value: Value, test: Callable[[Value], bool]) -> bool:
    """Say whether a value is a list, of lists perhaps, of nothing but such values."""
    return isinstance(value, tuple) and all(test(item) or all_are(item, test) for item in value)


#: What the table of commands calls a kind, and its test.
IS_KIND: Mapping[str, Callable[[Value], bool]] = {
    table.INTEGER: is_integer,
    table.NUMBER: lambda value: value is None or is_number(value),
    table.BOOLEAN: lambda value: isinstance(value, bool),
    table.SWITCH: is_switch,
    table.WORD: is_word,
    table.TEXT: lambda value: isinstance(value, str) and not isinstance(value, Name),
    table.LAYER: is_word,
    table.LAYERS: is_layers,
    table.NUMBERS: lambda value: all_are(value, is_number),
    table.WORDS: lambda value: all_are(value, is_word),
    table.DURATION: is_duration,
    table.ANY: lambda _value: True,
}
