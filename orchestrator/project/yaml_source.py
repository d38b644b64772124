"""YAML with a memory: plain values, and where in the file each of them stood.

PyYAML's habits that hurt in a configuration file are switched off: ``no`` is a word and not
``False``, ``1e-4`` is a number, and a key that occurs twice is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.errors import ConfigError, escape_control
from orchestrator.project.document import Position, YamlDocument

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.project.document import Location


class _Loader(yaml.SafeLoader):
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


def read_yaml(path: Path, content: bytes | None = None) -> YamlDocument:
    """Read a YAML file whose top level is a mapping; ``content`` is what it holds, if known.

    Raises :class:`ConfigError` for a file that is missing, is not UTF-8, is not YAML, has
    a key twice, or holds something other than a mapping; each names file, line and column.
    """
    try:
        text = (path.read_bytes() if content is None else content).decode("utf-8")
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise ConfigError(msg, code="config.missing") from error
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 text (byte {error.start})"
        raise ConfigError(msg, code="config.encoding") from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise ConfigError(msg, code="config.unreadable") from error
    positions: dict[Location, Position] = {}
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        value = _build(loader, root, (), positions, path) if root is not None else {}
    except RecursionError as error:
        msg = f"{path}: nested too deeply"
        raise ConfigError(msg, code="config.yaml") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        msg = f"{where}: {error.problem or error.context or 'not YAML'}"
        raise ConfigError(msg, code="config.yaml") from error
    except (yaml.YAMLError, ValueError) as error:
        msg = f"{path}: {escape_control(str(error))}"
        raise ConfigError(msg, code="config.yaml") from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(value, dict):
        msg = f"{path}:1:1: expected a mapping (key: value), found {type(value).__name__}"
        raise ConfigError(msg, code="config.yaml")
    return YamlDocument(path, value, positions)


def _build(
    loader: _Loader,
    node: yaml.Node,
    location: Location,
    positions: dict[Location, Position],
    path: Path,
) -> Any:
    """Turn a node into plain values, noting positions on the way."""
    positions[location] = Position(node.start_mark.line + 1, node.start_mark.column + 1)
    if not node.tag.startswith("tag:yaml.org,2002:") or "python/" in node.tag:
        mark = node.start_mark
        msg = f"{path}:{mark.line + 1}:{mark.column + 1}: {node.tag}: tags mean nothing here"
        raise ConfigError(msg, code="config.yaml")
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode):
                msg = f"{path}:{mark.line + 1}:{mark.column + 1}: a key must be plain text"
                raise ConfigError(msg, code="config.yaml")
            key = str(key_node.value)
            if key in mapping:
                msg = f"{path}:{mark.line + 1}:{mark.column + 1}: {key}: this key occurs twice"
                raise ConfigError(msg, code="config.duplicate-key")
            mapping[key] = _build(loader, value_node, (*location, key), positions, path)
            # A wrong key is shown at the key, a wrong value at the value.
            positions[(*location, key, "<key>")] = Position(mark.line + 1, mark.column + 1)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(loader, item, (*location, index), positions, path)
            for index, item in enumerate(node.value)
        ]
    return loader.construct_object(node, deep=True)
