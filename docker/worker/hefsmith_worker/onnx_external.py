"""Which files hold the weights of an ONNX file: found without parsing it, by the standard library.

Source of the format: ``onnx.proto``, TensorProto.external_data (pairs of strings, the key
``location`` is a path relative to the model).
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Set, Tuple

#: A location of external data, as protobuf writes it: key, then the length of the name.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")


def external_files(path: Path) -> Tuple[str, ...]:
    """Return the names of the files that hold weights of an ONNX file; parses nothing."""
    if path.stat().st_size == 0:
        return ()
    found: Set[str] = set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _LOCATION.finditer(data):
            raw = data[match.end() : match.end() + match.group(1)[0]]
            try:
                found.add(raw.decode("utf-8"))
            except UnicodeDecodeError:
                continue
    return tuple(sorted(name for name in found if name.isprintable()))
