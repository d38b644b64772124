"""Which chips a command builds for: those asked for by name, else the recipe's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hefsmith_worker.contract import chips

from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch


def pick_archs(loaded: LoadedRecipe, asked: str | Sequence[str] | None) -> tuple[Arch, ...]:
    """Return the chips to build for: those asked for, each once, else the recipe's."""
    return named_archs(asked) if asked else loaded.recipe.arch


def named_archs(asked: str | Sequence[str]) -> tuple[Arch, ...]:
    """Return chips by their names, each once; raises :class:`ConfigError` for what is none."""
    found: list[Arch] = []
    words = [asked] if isinstance(asked, str) else asked
    for text in [part.strip() for word in words for part in word.split(",")]:
        chip = chips.find(text)
        if chip is None or chip.refused:
            known = ", ".join(one.name for one in chips.usable())
            why = "" if chip is None else f": nothing can be built for it: {chip.refused}"
            msg = f"--arch: no chip {escape_control(text)!r}{why}"
            raise ConfigError(msg, hint=f"Chips: {known}.")
        found.append(chip.name)
    return tuple(dict.fromkeys(found))
