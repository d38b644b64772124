"""Reading what somebody else wrote: regular files only, up to a size, JSON up to a depth.

What is refused is an ``OSError`` or a ``ValueError``, as an unreadable or a damaged file is,
so that whoever reads a file already has the words for it.
"""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any

from hefsmith_worker import regular
from hefsmith_worker.regular import open_regular, parse_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "need",
    "open_regular",
    "page_buffer",
    "parse_json",
    "plain_values",
    "read_json",
    "read_regular",
    "read_text",
]

#: Bytes of a file that people write: recipes, settings, labels, lists, NMS configurations.
TEXT_LIMIT = 16 << 20

#: Bytes of a model script; the longest of the Model Zoo has some 10 KB.
SCRIPT_LIMIT = 256 << 10

#: Bytes of a log.
LOG_LIMIT = 1 << 30

#: Bytes of a file that programs write: manifests, reports, indexes of golden samples.
RECORD_LIMIT = 256 << 20


def read_regular(path: Path, *, limit: int = TEXT_LIMIT) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes, or raise ``OSError``."""
    return regular.read_regular(path, limit)


def read_text(path: Path, *, limit: int = TEXT_LIMIT) -> str:
    """Return the UTF-8 text of a regular file; ``UnicodeDecodeError`` for anything else."""
    return read_regular(path, limit=limit).decode("utf-8")


def read_json(path: Path, *, limit: int = RECORD_LIMIT) -> Any:
    """Return the JSON value of a regular file; ``OSError`` and ``ValueError`` as above."""
    return parse_json(read_regular(path, limit=limit))


def need(right: bool, otherwise: str) -> None:
    """Raise ``ValueError`` with these words unless something is right."""
    if not right:
        raise ValueError(otherwise)


def plain_values(value: object) -> Any:
    """Return a value as it would be read back from JSON; what JSON has no form for as its text."""
    return json.loads(json.dumps(value, default=str))


def page_buffer(size: int) -> memoryview:
    """Return ``size`` writable bytes that begin where a page of memory does.

    A file is read into these: some processors (AMD with ``fsrm``) copy up to five times slower to
    some addresses, such as an allocated ``bytearray`` may begin at.
    """
    return memoryview(mmap.mmap(-1, size))
