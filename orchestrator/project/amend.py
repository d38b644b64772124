"""Write values into a recipe's file, with its comments, its order and its style kept."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, HefsmithError
from orchestrator.project.loading import load_recipe
from orchestrator.reading import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BOM = "\ufeff"


def amended(text: str, changes: Mapping[str, object]) -> str:
    """Return a recipe's text with other values at dotted keys; what is not there is added.

    Line ends, indentation, marks of documents and a byte order mark stay. What an alias shares
    with another place is written out where it changes, so that the other place stays as it was.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    newline = "\r\n" if "\r\n" in text else "\n"
    body = text.removeprefix(_BOM).replace("\r\n", "\n")
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    mapping, sequence, offset = _indents(body)
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    yaml.explicit_start = bool(re.search(r"^---(\s|$)", body, re.MULTILINE))
    yaml.explicit_end = bool(re.search(r"^\.\.\.(\s|$)", body, re.MULTILINE))
    document: Any = yaml.load(body)
    for key, value in changes.items():
        *parents, last = key.split(".")
        below = document
        for part in parents:
            found = below.get(part)
            if not isinstance(found, CommentedMap):
                _put(below, part, CommentedMap())
            elif _uses(document, found) > 1 or part not in dict.keys(below):
                _put(below, part, _own_copy(found))
            below = below[part]
        _write(document, below, last, value)
    out = StringIO()
    yaml.dump(document, out)
    made = out.getvalue()
    if not yaml.explicit_end:  # ruamel ends a document that is one scalar or flow with a mark
        made = made.removesuffix("...\n")
    return (_BOM if text.startswith(_BOM) else "") + made.replace("\n", newline)


def _write(document: Any, below: Any, last: str, value: object) -> None:
    if not isinstance(value, (list, tuple)):
        _put(below, last, value)
        return
    # Lines of a script are read more easily one below the other.
    below.fa.set_block_style()
    from ruamel.yaml.comments import CommentedSeq

    old = below.get(last)
    if not isinstance(old, CommentedSeq) or _uses(document, old) > 1:
        _put(below, last, list(value))
        return
    same = 0
    while same < min(len(old), len(value)) and old[same] == value[same]:
        same += 1
    follows = _cut_what_follows(old)
    del old[same:]
    old.extend(value[same:])  # the comments of those that stay do, too
    old.fa.set_block_style()
    if follows is not None and old:
        old.ca.items[len(old) - 1] = [follows, *(old.ca.items.get(len(old) - 1) or [None] * 4)[1:]]


def _cut_what_follows(old: Any) -> Any:
    """Take the lines of comment after a list from its last line, which ruamel gives them to."""
    from ruamel.yaml.error import CommentMark
    from ruamel.yaml.tokens import CommentToken

    token: Any = (old.ca.items.get(len(old) - 1) or [None])[0] if old else None
    own, newline, rest = token.value.partition("\n") if token is not None else ("", "", "")
    if not newline or not rest:
        return None
    if own:
        token.value = own + "\n"
    else:
        del old.ca.items[len(old) - 1]
    return CommentToken("\n" + rest, CommentMark(0), None)


def _put(below: Any, key: str, value: object) -> None:
    """Set a key; a new one comes before the last, which holds the comments of what follows."""
    if key in dict.keys(below) or not below or below.fa.flow_style():
        below[key] = value
    elif len(below) and not below.merge:
        last = list(below)[-1]
        below.insert(list(below).index(last), key, value)
    else:
        below[key] = value


def _own_copy(found: Any) -> Any:
    copied = deepcopy(found)
    copied.yaml_set_anchor(None)
    return copied


def _uses(document: Any, wanted: Any) -> int:
    """Return at how many places of a document one and the same value stands."""
    return sum(1 for one in _walk(document, set()) if one is wanted)


def _walk(value: Any, seen: set[int]) -> Iterator[Any]:
    yield value
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        for below in dict.values(value):
            yield from _walk(below, seen)
        for merged in getattr(value, "merge", None) or ():
            yield from _walk(merged[1] if isinstance(merged, tuple) else merged, seen)
    elif isinstance(value, list):
        for below in value:
            yield from _walk(below, seen)


def _indents(text: str) -> tuple[int, int, int]:
    """Return how far a file indents a mapping, a sequence, and the dash within the latter.

    The first of each that the file has; ruamel's usual ones where it has none.
    """
    mapping = dash = None
    lines = [x for x in text.split("\n") if x.strip() and not x.lstrip().startswith("#")]
    for above, line in itertools.pairwise(lines):
        if not re.match(r"[^#]*:\s*(&\S+\s*)?(#.*)?$", above) or above.lstrip().startswith("- "):
            continue
        deeper = _lead(line) - _lead(above)
        if line.lstrip().startswith("- "):
            dash = max(deeper, 0) if dash is None else dash
        elif deeper > 0:
            mapping = deeper if mapping is None else mapping
    dash = dash or 0
    return mapping or 2, dash + 2, dash


def _lead(line: str) -> int:
    return len(line) - len(line.lstrip())


def amend(path: Path, changes: Mapping[str, object]) -> None:
    """Write values into a recipe's file; it stays as it was where that gives no recipe.

    Raises :class:`~orchestrator.errors.ConfigError`, also where the file cannot be written so
    that these values change and nothing else.
    """
    path = path.resolve()  # a link stays one
    before = read_text(path)
    # Beside the recipe, whose paths are relative; of a name that nobody could lay a link at.
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            after = amended(before, changes)
            stream.write(after.encode("utf-8"))
        partial.chmod(path.stat().st_mode & 0o777)
        load_recipe(partial)
        if _plain(after) != _with(_plain(before), changes):
            msg = f"{path} was left as it was: the change would reach other places of the file"
            raise ConfigError(msg, code="tune.apply", hint="Write the values by hand.")
        partial.replace(path)
    except HefsmithError as error:
        if error.code == "tune.apply":
            raise
        msg = f"{path} was left as it was: with the changes it is not a recipe ({error.message})"
        raise ConfigError(msg, code="tune.apply") from None
    finally:
        partial.unlink(missing_ok=True)


def _plain(text: str) -> Any:
    from orchestrator.project.yaml_source import parse_yaml

    return parse_yaml(text.removeprefix(_BOM))


def _with(values: Any, changes: Mapping[str, object]) -> Any:
    result = deepcopy(values)
    for key, value in changes.items():
        *parents, last = key.split(".")
        below = result
        for part in parents:
            now = below.get(part)
            below[part] = below = dict(now) if isinstance(now, dict) else {}
        below[last] = list(value) if isinstance(value, tuple) else value
    return result
