"""TorchScript: a program in a file. What it would run is read before it is loaded.

Loading one runs code of the file already, so its text is looked through first: nothing may
touch files, not even in the box. Source of the names: the operators that PyTorch prints into
``code/``: ``torch.NAME`` for ATen, ``ops.SPACE.NAME`` for the others.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from hefsmith_worker.contract.names import shown
from hefsmith_worker.protocol import StageError

#: Operators that read or write files, by their name in any space.
_FILES = re.compile(
    r"\b(?:torch|ops\.\w+)\.(_?save|_?load|from_file|open|\w*_file|_debug_\w+|_load_\w+)\s*\("
)
#: Spaces of operators that compute, and do nothing else.
_SPACES = frozenset({"aten", "prim", "prims", "quantized", "torchvision", "inductor"})
_OPERATOR = re.compile(r"\bops\.(\w+)\.(\w+)")
#: Objects of C++ classes: their methods are no operators, and do what they like.
_CUSTOM = re.compile(r"__torch__\.torch\.classes\.(?!quantized\.)[\w.]+")

#: Most bytes of code that are looked through.
CODE_BYTES = 64 << 20


def is_one(path: Path) -> bool:
    """Tell whether a file is TorchScript, by what PyTorch looks for."""
    try:
        with zipfile.ZipFile(str(path)) as archive:
            return any(
                name.endswith("/constants.pkl") or "/code/" in "/" + name
                for name in archive.namelist()
            )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def check(path: Path, allowed: bool) -> None:
    """Raise :class:`StageError` unless a TorchScript file may be loaded here.

    ``allowed``: there is a box around this process, or the user trusts the file.
    """
    if not allowed:
        raise StageError(
            "%s is TorchScript, a program: loading it runs what it says, and only the Docker "
            "engine may do that" % path.name,
            code="export.torchscript-refused",
            fix="Use the Docker engine (--engine docker), or save only the weights: "
            "torch.save(model.state_dict(), ...) and name the file that builds the network: "
            "source: {torch: model.py:build}.",
        )
    found = forbidden(_code(path))
    if found:
        raise StageError(
            "%s is TorchScript that calls %s, which computes nothing and may touch files"
            % (path.name, shown(found)),
            code="export.torchscript-refused",
            fix="Do not use this file; ask its author for the weights only.",
        )


def forbidden(code: str) -> str:
    """Return the first call in TorchScript's code that is no computation, ``""`` for none."""
    for pattern in (_FILES, _CUSTOM):
        match = pattern.search(code)
        if match is not None:
            return match.group(0).rstrip("( ")
    for match in _OPERATOR.finditer(code):
        if match.group(1) not in _SPACES:
            return match.group(0)
    return ""


def _code(path: Path) -> str:
    parts = []
    left = CODE_BYTES
    try:
        with zipfile.ZipFile(str(path)) as archive:
            code = [name for name in archive.namelist() if "/code/" in "/" + name]
            for name in code:
                if name.endswith(".debug_pkl"):
                    continue
                with archive.open(name) as stream:
                    data = stream.read(left + 1)
                left -= len(data)
                if left < 0:
                    break
                parts.append(data.decode("utf-8"))
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError) as error:
        raise StageError(
            "%s is not a TorchScript file that can be read: %s" % (path.name, error),
            code="export.weights-unreadable",
        )
    if left < 0:
        raise StageError(
            "%s has more code than a network needs" % path.name, code="export.torchscript-refused"
        )
    return "\n".join(parts)
