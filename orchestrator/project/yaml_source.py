"""YAML with a memory: plain values, and where in the file each of them stood.

PyYAML's habits that hurt in a configuration file are switched off: ``no`` is a word and not
``False``, ``1e-4`` is a number, and a key that occurs twice is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.errors import ConfigError, escape_control, shorten
from orchestrator.project.document import LARGEST, Position, YamlDocument
from orchestrator.project.yaml_loader import LimitedLoader, refused
from orchestrator.reading import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.document import Location


class _Loader(LimitedLoader):
    """YAML 1.2's idea of booleans and floats on PyYAML's parser."""


# A copy: the resolvers of the parent class are shared by every user of PyYAML.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
        r"|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(
    path: Path, content: bytes | None = None, *, loader: type[LimitedLoader] = _Loader
) -> YamlDocument:
    """Read a YAML file whose top level is a mapping; ``content`` is what it holds, if known.

    Raises :class:`ConfigError` for a file that is missing, is not UTF-8, is not YAML, is past
    the limits of :mod:`~orchestrator.project.yaml_loader`, has a key twice, or holds something
    other than a mapping; each names file, line and column.
    """
    shown = escape_control(str(path))
    try:
        content = read_regular(path, limit=LARGEST) if content is None else content
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        msg = f"{shown}: no such file"
        raise ConfigError(msg, code="config.missing") from error
    except UnicodeDecodeError as error:
        line = (content or b"").count(b"\n", 0, error.start) + 1
        msg = f"{shown}:{line}: not UTF-8 text (byte {error.start})"
        raise ConfigError(msg, code="config.encoding") from error
    except OSError as error:
        msg = f"{shown}: cannot be read: {error.strerror or error}"
        raise ConfigError(msg, code="config.unreadable") from error
    positions: dict[Location, Position] = {}
    try:
        value = parse_yaml(text, positions, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        problem = shorten(error.problem or error.context or "not YAML", 300)
        twice = isinstance(error, _DuplicateKeyError)
        code = "config.duplicate-key" if twice else "config.yaml"
        raise ConfigError(message=f"{where}: {problem}", code=code) from None
    if not isinstance(value, dict):
        msg = f"{shown}:1:1: expected a mapping (key: value), found {type(value).__name__}"
        raise ConfigError(msg, code="config.yaml")
    return YamlDocument(path, value, positions)


class _DuplicateKeyError(yaml.MarkedYAMLError):
    """A key that a mapping has already."""


def parse_yaml(
    text: str,
    positions: dict[Location, Position] | None = None,
    loader: type[LimitedLoader] = _Loader,
) -> Any:
    """Return the value of a YAML text, and note in ``positions`` where each of its parts stands.

    Raises ``yaml.MarkedYAMLError``, whatever is wrong.
    """
    reader = loader(text)
    try:
        root = reader.get_single_node()
        if root is None:
            return {}
        return _build(reader, root, (), {} if positions is None else positions)
    except (yaml.MarkedYAMLError, RecursionError, yaml.YAMLError, ValueError) as error:
        if isinstance(error, yaml.MarkedYAMLError):
            raise
        deep = isinstance(error, RecursionError)
        problem = "nested too deeply" if deep else shorten(str(error), 200)
        raise refused(problem=problem, mark=reader.get_mark()) from error
    finally:
        reader.dispose()


def _build(
    loader: LimitedLoader,
    node: yaml.Node,
    location: Location,
    positions: dict[Location, Position],
) -> Any:
    """Turn a node into plain values, noting positions on the way."""
    positions[location] = Position(node.start_mark.line + 1, node.start_mark.column + 1)
    if not node.tag.startswith("tag:yaml.org,2002:") or "python/" in node.tag:
        raise refused(
            problem=f"{shorten(node.tag, 60)}: tags mean nothing here", mark=node.start_mark
        )
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, object] = {}
        for key_node, value_node in loader.merged(node):
            mark = key_node.start_mark
            loader.scalar(yaml.ScalarNode("tag:yaml.org,2002:str", key_node.value, mark))
            key = str(key_node.value)
            if key in mapping:
                msg = f"{shorten(key, 60)}: this key occurs twice"
                raise _DuplicateKeyError(problem=msg, problem_mark=mark)
            mapping[key] = _build(loader, value_node, (*location, key), positions)
            # A wrong key is shown at the key, a wrong value at the value.
            positions[(*location, key, "<key>")] = Position(mark.line + 1, mark.column + 1)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(loader, item, (*location, index), positions)
            for index, item in enumerate(node.value)
        ]
    assert isinstance(node, yaml.ScalarNode)
    return loader.scalar(node)
