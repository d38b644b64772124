"""Names that stand in files of others: judged here, once, before one of them becomes a path.

An ONNX file, an archive, a store, a device or a job says what a file is called. Such a name may
only lead downwards from the folder that it is meant for, on every system that we run on: what
is written here is read elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Optional, Tuple

#: Most characters of a name, bytes of one of its parts, and parts.
LENGTH = 1000
PART_BYTES = 255
DEPTH = 64

#: Control characters, line ends of Unicode, what turns the direction of writing, lone surrogates.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

#: What Windows takes for a device, whatever its ending and in any case.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])$", re.I)


class NameRefused(ValueError):
    """A name that may not become a path; the message says why and shows it, escaped."""


def fault(name: object) -> Optional[str]:
    """Return what is wrong with a name, ``None`` when it may become a path below a folder.

    Parts are told apart by ``/``. A leading ``./`` and a trailing ``/``, as archives have them,
    are no fault.
    """
    if not isinstance(name, str):
        return "is no text"
    if len(name) > LENGTH:
        return "is too long"
    if _ODD.search(name):
        return "holds a control character"
    if name.startswith("/"):
        return "is absolute"
    if "\\" in name:
        return "holds a backslash"
    parts = _split(name)
    if not parts:
        return "is empty"
    if len(parts) > DEPTH:
        return "has too many parts"
    if ":" in parts[0]:
        return "names a drive or a stream"
    for part in parts:
        if part == "..":
            return "leads upwards"
        if len(part.encode("utf-8")) > PART_BYTES:
            return "is too long"
        if _DEVICE.match(part.partition(".")[0].rstrip(" ")):
            return "names a device of Windows"
    return None


#: Most characters of a class's name.
LABEL_LENGTH = 500


def label_fault(label: str) -> Optional[str]:
    """Return what is wrong with the name of a class, ``None`` for one line of text.

    It goes into lists of a name a line, which programs in many languages read: what any of them
    takes for the end of a line would give every later class the number of its neighbour.
    """
    if not label.strip():
        return "is empty"
    if len(label) > LABEL_LENGTH:
        return "is too long"
    if _ODD.search(label.replace("\t", " ")):
        return "holds a control character, or an end of a line"
    return None


def _split(name: str) -> Tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))


def parts(name: object) -> Tuple[str, ...]:
    """Return the parts of a judged name. Raises :class:`NameRefused`."""
    found = fault(name)
    if found is not None:
        raise NameRefused("%s %s" % (shown(name), found))
    return _split(str(name))


def below(folder: Path, name: object) -> Path:
    """Return the path of a judged name below ``folder``; no link on the way leads out of it.

    The file need not be there. Raises :class:`NameRefused`.
    """
    path = folder.joinpath(*parts(name))
    if not inside(path, folder):
        raise NameRefused("%s is a link that leads out of %s" % (shown(name), folder.name))
    return path


def inside(path: Path, folder: Path) -> bool:
    """Tell whether a path lies in ``folder`` once every link is followed."""
    root, real = os.path.realpath(str(folder)), os.path.realpath(str(path))
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def shown(name: object) -> str:
    """Return a name as a message may show it: in quotes, escaped, cut."""
    text = ascii(name if isinstance(name, (str, bytes)) else type(name).__name__)
    return text if len(text) <= 120 else text[:117] + "..."


def tame(name: str) -> str:
    """Return a single part like ``name`` that has no fault; the name itself if it has none."""
    if fault(name) is None and "/" not in name:
        return name
    plain = re.sub(r"[^\w.+ -]", "_", name.encode("utf-8", "replace").decode("utf-8"))[-100:]
    return plain if plain.strip(". ") and fault(plain) is None else "file_" + plain.lstrip(". ")
