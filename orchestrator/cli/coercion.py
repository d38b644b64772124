"""Words and flags of the command line, taken as they are.

A recent typer makes a pydantic adapter for each parameter of a command, given or not, which
takes longer than most of our commands. What is not given, flags, words and lists of words need
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer.core

if TYPE_CHECKING:
    from collections.abc import Callable


class PlainCoercion:
    """Stands in for typer's coercion of one parameter; makes that one for what is not plain."""

    def __init__(self, described: Any, make: Callable[[Any], Any]) -> None:
        self._described = described
        self._make = make

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter as its command takes it."""
        several = bool(param.multiple) or param.nargs == -1
        if value is None:
            return () if several else None
        if self._is_plain(value):
            return value
        return self._make(self._described).coerce(value, param=param, ctx=ctx)

    def _is_plain(self, value: Any) -> bool:
        given = self._described
        if given.parameter_info.parser is not None or given.is_path or given.is_choice:
            return False
        if given.annotation in (bool, str):
            return type(value) is given.annotation
        listed = given.annotation == list[str] and isinstance(value, list | tuple)
        return listed and all(type(one) is str for one in value)


def spare_adapters() -> None:
    """Let commands do without adapters where they can.

    This leans on a name that typer does not promise. Without it nothing happens: an older typer
    has no adapters, and a newer one is only as slow as it wants to be.
    """
    core: Any = typer.core
    make = getattr(core, "build_runtime_param", None)
    if make is not None and getattr(make, "func", None) is not PlainCoercion:
        from functools import partial

        core.build_runtime_param = partial(PlainCoercion, make=make)
