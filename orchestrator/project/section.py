"""Parts of a configuration file: plain frozen dataclasses that say what their values must be.

Whoever reads a recipe needs its values, not the library that checks them: pydantic takes longer
to load than all else in a short command. So the marks below stand in annotations, and only
:mod:`.checking` makes pydantic read them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Section:
    """A part of a file: unknown keys are errors, values cannot be changed."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def plain(self, *, skip_none: bool = False) -> dict[str, Any]:
        """Return the values as JSON knows them, without those that are ``None`` if so wished."""
        return {
            name: _plain(value, skip_none)
            for name, value in _values(self)
            if not (skip_none and value is None)
        }


def _values(section: Section) -> list[tuple[str, Any]]:
    return [(one.name, getattr(section, one.name)) for one in fields(cast("Any", section))]


def _plain(value: object, skip_none: bool) -> Any:
    if isinstance(value, Section):
        return value.plain(skip_none=skip_none)
    if isinstance(value, dict):
        return {key: _plain(one, skip_none) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, skip_none) for one in value]
    return value


# --- marks in annotations -----------------------------------------------------------------------


@dataclass(frozen=True)
class Within:
    """A number's bounds, of which one side may be open."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Add the bounds to the number's schema."""
        from pydantic_core import core_schema

        bounds = {name: bound for name, bound in vars(self).items() if bound is not None}
        number = cast("CoreSchema", {**handler(source), **bounds})
        return core_schema.no_info_before_validator_function(_no_switch, number)


def _no_switch(value: Any) -> Any:
    """Refuse true and false, which Python counts as 1 and 0."""
    if isinstance(value, bool):
        msg = f"needs a number, not {str(value).lower()}"
        # pydantic tells a ValueError with its place, and lets a TypeError through.
        raise ValueError(msg)  # noqa: TRY004
    return value


@dataclass(frozen=True)
class Checked:
    """A value that a function returns as it shall be; ``ValueError`` says what is wrong."""

    function: Callable[[Any], Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Call the function with the value that has its type already."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.function, handler(source))


@dataclass(frozen=True)
class Spelled:
    """A value that may be written in other ways; a function makes them one."""

    function: Callable[[Any], Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Call the function with the value as it stands in the file."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.function, handler(source))


class ToldApart:
    """A union whose member a function names, so that mistakes are told of that one only."""

    def __init__(self, name_of: Callable[[Any], str], **members: Any) -> None:
        self.name_of = name_of
        self.members = members

    def __get_pydantic_core_schema__(
        self,
        source: object,
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        """Choose by the name instead of trying one after the other."""
        from pydantic_core import core_schema

        return core_schema.tagged_union_schema(
            {name: handler.generate_schema(member) for name, member in self.members.items()},
            discriminator=self.name_of,
        )
