"""Write values into a recipe's file, with its comments and its order kept."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, HefsmithError
from orchestrator.project.loading import load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def amended(text: str, changes: Mapping[str, object]) -> str:
    """Return a recipe's text with other values at dotted keys; what is not there is added."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document: Any = yaml.load(text)
    for key, value in changes.items():
        *parents, last = key.split(".")
        below = document
        for part in parents:
            if not isinstance(below.get(part), CommentedMap):
                below[part] = CommentedMap()
            below = below[part]
        if isinstance(value, (list, tuple)):
            # Lines of a script are read more easily one below the other.
            below.fa.set_block_style()
            below[last] = list(value)
        else:
            below[last] = value
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def amend(path: Path, changes: Mapping[str, object]) -> None:
    """Write values into a recipe's file; it stays as it was where that gives no recipe.

    Raises :class:`~orchestrator.errors.ConfigError`.
    """
    before = path.read_text(encoding="utf-8")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(amended(before, changes), encoding="utf-8", newline="\n")
        load_recipe(partial)
        partial.replace(path)
    except HefsmithError as error:
        msg = f"{path} was left as it was: with the changes it is no recipe ({error.message})"
        raise ConfigError(msg, code="tune.apply") from None
    finally:
        partial.unlink(missing_ok=True)
