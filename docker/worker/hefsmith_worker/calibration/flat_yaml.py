"""Reads the small part of YAML that YOLO data files use; a suite need not have PyYAML."""

from __future__ import annotations

from typing import Any, Dict, List, Optional


def read_flat_yaml(text: str) -> Dict[str, object]:
    """Return top-level keys with scalars, lists and one-level mappings of strings.

    Understands ``key: value``, ``key: [a, b]``, ``key: {0: a, 1: b}``, and indented ``- a`` or
    ``0: a`` lines below ``key:``. Other nesting (such as a download script) is skipped.
    Raises :class:`ValueError` for a line that is neither.
    """
    document: Dict[str, object] = {}
    key: Optional[str] = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = _without_comment(raw).rstrip()
        if not line.strip() or line.strip() in ("---", "..."):
            continue
        stripped = line.strip()
        if line[0] in " \t-":
            if key is None:
                msg = f"line {number}: unexpected indentation"
                raise ValueError(msg)
            _add(document, key, stripped)
            continue
        name, colon, value = stripped.partition(":")
        if not colon:
            msg = f"line {number}: expected `key: value`"
            raise ValueError(msg)
        key = _scalar(name)
        document[key] = _value(value.strip())
    return document


def _add(document: Dict[str, object], key: str, line: str) -> None:
    """Add one indented line to the list or mapping that ``key`` opened."""
    current = document.get(key)
    if line.startswith("- ") or line == "-":
        if current in (None, ""):
            current = document[key] = []
        if isinstance(current, list):
            current.append(_scalar(line[1:].strip()))
        return
    name, colon, value = line.partition(":")
    if colon:
        if current in (None, ""):
            current = document[key] = {}
        if isinstance(current, dict):
            current[_scalar(name)] = _scalar(value.strip())


def _value(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return [_scalar(part) for part in _split(text[1:-1])]
    if text.startswith("{") and text.endswith("}"):
        pairs = [part.partition(":") for part in _split(text[1:-1])]
        return {_scalar(name): _scalar(value) for name, _, value in pairs}
    return _scalar(text)


def _split(text: str) -> List[str]:
    """Split at commas outside of quotes."""
    parts, quote, current = [], "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == ",":
            parts.append(current)
            current = ""
            continue
        current += char
    parts.append(current)
    return [part for part in parts if part.strip()]


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _without_comment(line: str) -> str:
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (index == 0 or line[index - 1] in " \t"):
            return line[:index]
    return line
