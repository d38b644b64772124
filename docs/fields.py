"""Make reference pages from the code: keys of ``model.yaml`` and ``hef.yaml``, presets, findings.

``docs/reference.py`` adds them to the site.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parent.parent
Row = tuple[str, str, str]


def keys(name: str) -> list[Row]:
    """Return (key, what it takes, default) for all keys of a file, as the program checks them."""
    from orchestrator.project.schemas import schema_of

    schema = schema_of(name)
    return list(_below(schema, schema.get("$defs", {}), ""))


def _below(node: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[Row]:
    needed = set(node.get("required", ()))
    for key, value in node.get("properties", {}).items():
        here = f"{path}{key}"
        default = "**needed**" if key in needed else _default(value)
        yield f"`{here}`", _takes(value, known), default
        for name, inner in _sections(value, known):
            yield from _below(inner, known, f"{here}.{name}")


def _default(value: Mapping[str, Any]) -> str:
    if isinstance(value.get("default"), dict | list | None):
        return ""
    return f"`{_plain(value['default'])}`"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sections(
    value: Mapping[str, Any], known: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the section that a key may hold: itself, or one for each name that is put there."""
    found = []
    for one in _alternatives(value):
        named = one.get("additionalProperties")
        inside = _alternatives(named) if isinstance(named, dict) else []
        for name, inner in [("", one), *(("NAME.", each) for each in inside)]:
            section = known.get(str(inner.get("$ref", "")).rpartition("/")[2], inner)
            if "properties" in section:
                found.append((name, section))
    return found[:1]


def _alternatives(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    several = value.get("anyOf") or value.get("oneOf") or value.get("allOf")
    return [inner for one in several for inner in _alternatives(one)] if several else [value]


def _takes(value: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    said = [_kind(one, known) for one in _alternatives(value)]
    return " or ".join(dict.fromkeys(word for word in said if word))


def _kind(one: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "$ref" in one:
        section = known.get(str(one["$ref"]).rpartition("/")[2], {})
        return "a section" if "properties" in section else _takes(section, known)
    if "enum" in one:
        return ", ".join(f"`{_plain(choice)}`" for choice in one["enum"])
    if "const" in one:
        return f"`{one['const']}`"
    kind = one.get("type")
    if kind == "array":
        items = one.get("items") or {}
        inner = _takes(items, known) if isinstance(items, dict) else ""
        return f"list of {inner}" if inner else "list"
    limits = [
        f"{word} {one[key]}"
        for key, word in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
        if key in one
    ]
    names = {"string": "text", "object": "a section", "null": "", "boolean": "true, false"}
    return " ".join([names.get(str(kind), str(kind or "any value")), *limits]).strip()


def presets() -> list[tuple[str, ...]]:
    """Return (preset, size, resize, colour, mean, std, what it is)."""
    from hefsmith_worker.contract.presets import PRESETS

    def text(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, tuple):
            return ", ".join(f"{one:g}" for one in value)
        return str(value)

    return [
        (f"`{name}`", *map(text, (one.size, one.resize, one.color, one.mean, one.std)), one.about)
        for name, one in PRESETS.items()
    ]


def findings() -> list[tuple[str, str, str, str]]:
    """Return (code, severity, message, cure) of what stages and checks find, by code."""
    if str(REPOSITORY) not in sys.path:
        sys.path.insert(0, str(REPOSITORY))
    from tests.words.source import CODE

    files = [path for room in CODE for path in sorted((REPOSITORY / room).rglob("*.py"))]
    rows = {row for path in files for row in _findings_in(ast.parse(path.read_text("utf-8")))}
    return sorted(rows)


def _findings_in(tree: ast.Module) -> Iterator[tuple[str, str, str, str]]:
    from tests.words.source import template

    def said(node: ast.expr | None) -> str:
        if node is None:
            return ""
        if isinstance(node, ast.Name):  # WARNING, ERROR
            return node.id.lower() if node.id.isupper() else ""
        return (template(node) or "").replace("\n", " ")

    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        if name not in ("finding", "Finding") or len(node.args) < 2:
            continue
        code, severity = said(node.args[0]), said(node.args[1])
        if not code or "%" in code or " " in code:
            continue
        message = said(node.args[2]) if len(node.args) > 2 else ""
        fix = next((one.value for one in node.keywords if one.arg == "fix"), None)
        yield f"`{code}`", severity, _open(message), _open(said(fix))


def _open(text: str) -> str:
    """Return a template with the places of its values as an ellipsis."""
    import re

    return re.sub(r"%\d", "…", text)
