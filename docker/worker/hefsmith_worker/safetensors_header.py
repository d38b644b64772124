"""The header of a safetensors file: names, types and sides, judged before anything counts on them.

Source of the format: eight bytes of length, a JSON object of that length, then the numbers. Each
entry has ``dtype``, ``shape`` and ``data_offsets``; ``__metadata__`` holds texts by texts.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from hefsmith_worker.regular import open_regular

#: A header is never larger (its own specification).
LARGEST_HEADER = 100_000_000
#: More sides than an array of any library has, and more than any one of them has.
MOST_SIDES = 64
LARGEST_SIDE = 1 << 48


@dataclass(frozen=True)
class Entry:
    """One tensor: its type as the file calls it, its sides, and where its numbers begin and end."""

    dtype: str
    shape: Tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """All tensors by name, in the order of their numbers, and the texts beside them."""

    entries: Mapping[str, Entry]
    texts: Mapping[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Return the header of a file. Raises ``ValueError`` for another one, and ``OSError``."""
    with open_regular(path) as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        content = stream.read(length) if 0 < length <= LARGEST_HEADER else b""
    if not content or len(content) < length:
        msg = "its header is longer than the file"
        raise ValueError(msg)
    try:
        document = json.loads(content, object_pairs_hook=_once)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error
    if not isinstance(document, dict):
        msg = "its header is not an object"
        raise ValueError(msg)  # noqa: TRY004 - a damaged file, not a wrong call
    texts = document.pop("__metadata__", None) or {}
    if not isinstance(texts, dict):
        texts = {}
    entries = {name: _entry(value) for name, value in document.items()}
    placed = sorted(entries.items(), key=lambda item: item[1].begin)
    facts = {key: value for key, value in texts.items() if isinstance(value, str)}
    return Header(dict(placed), facts)


def _once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a name occurs in it twice"
        raise ValueError(msg)
    return found


def _entry(value: Any) -> Entry:
    fields = value if isinstance(value, dict) else {}
    dtype = fields.get("dtype")
    if not isinstance(dtype, str) or len(dtype) > 16 or not dtype.replace("_", "").isalnum():
        msg = "a tensor has no type"
        raise ValueError(msg)
    shape = _numbers(fields.get("shape"), LARGEST_SIDE)
    if shape is None or len(shape) > MOST_SIDES:
        msg = "a tensor has impossible dimensions"
        raise ValueError(msg)
    place = _numbers(fields.get("data_offsets"), 1 << 62)
    if place is None or len(place) != 2 or place[0] > place[1]:
        msg = "the data of a tensor lies outside of the file"
        raise ValueError(msg)
    return Entry(dtype, shape, place[0], place[1])


def _numbers(value: object, most: int) -> Optional[Tuple[int, ...]]:
    """Return a list of whole numbers from 0 to ``most``, ``None`` for anything else."""
    if isinstance(value, list) and all(type(one) is int and 0 <= one <= most for one in value):
        return tuple(value)
    return None
