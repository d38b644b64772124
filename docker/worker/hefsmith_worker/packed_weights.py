"""Files that hold a network's weights in another way than a checkpoint: archives, parts, programs.

By their names and first bytes alone, nothing is loaded. What loads checkpoints would call each of
them damaged, or weights.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import List, NamedTuple, Optional

#: What networks and weights are called at their end.
NETWORKS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".tflite", ".keras", ".pth.tar")
#: One part of several, as large networks are saved: ``model-00001-of-00002.safetensors``.
_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.[a-z]+)$")
_LIST = re.compile(r"^(?P<stem>.+?)(?P<ending>\.safetensors|\.bin)\.index\.json$")
#: By which an archive of ``torch.export`` is known, now and before PyTorch 2.8.
_PROGRAM = ("/archive_format", "serialized_exported_program.json")
_MOST_NAMES = 20_000


class Packed(NamedTuple):
    """What a file is in a few words, that it is so as a clause, and what to do."""

    what: str
    message: str
    fix: str


def packed(path: Path) -> Optional[Packed]:
    """Return what a file is where it holds weights and is no checkpoint, ``None`` for others."""
    part = _PART.match(path.name.lower()) or _LIST.match(path.name.lower())
    if part is not None:
        return _of_parts(path, "number" in part.groupdict())
    names = _names(path)
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return None
    if path.suffix.lower() == ".pt2" or any(name.endswith(_PROGRAM) for name in names):
        msg = "%s is a program of torch.export, and neither weights nor ONNX" % path.name
        fix = (
            "Write it as ONNX, in the Python that made it: "
            "torch.onnx.export(torch.export.load(%r), f=%r, dynamo=True)"
            % (path.name, path.stem + ".onnx")
        )
        return Packed("a program of torch.export", msg, fix)
    inside = [name for name in names if name.lower().endswith(NETWORKS)]
    if not inside:
        return None
    msg = "%s is a zip archive that holds %s" % (path.name, inside[0])
    fix = "Unpack it, and name the file that was in it."
    return Packed("a zip archive that holds %s" % inside[0], msg, fix)


def is_part(path: Path) -> bool:
    """Tell whether a file is a later part of several: the first of them stands for all."""
    part = _PART.match(path.name.lower())
    return part is not None and int(part.group("number")) != 1


def is_checkpoint(path: Path) -> bool:
    """Tell whether a file of any name is what ``torch.save`` writes."""
    names = _names(path)
    if names:
        return any(name.endswith("/data.pkl") for name in names)
    if not path.is_file():
        return False
    try:
        with open(str(path), "rb") as stream:
            # The magic number of checkpoints before PyTorch 1.6, pickled.
            return stream.read(14)[2:] == b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
    except OSError:
        return False


def _names(path: Path) -> List[str]:
    # A pipe would be waited for.
    if not path.is_file():
        return []
    try:
        with zipfile.ZipFile(str(path)) as archive:
            return archive.namelist()[:_MOST_NAMES]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return []


def _of_parts(path: Path, one: bool) -> Packed:
    match = _PART.match(path.name) or _LIST.match(path.name)
    ending = match.group("ending") if match else path.suffix
    stem = match.group("stem") if match else path.stem
    what = "one part of a network's weights" if one else "a list of parts of a network's weights"
    msg = "%s is one part of a network's weights" % path.name
    if not one:
        msg = "%s is a list of parts of a network's weights" % path.name
    fix = "Put the parts together: one state_dict of all, with torch.save."
    if ending == ".safetensors":
        fix = (
            'Put the parts together, in their folder: python -c "from glob import glob; '
            "from safetensors.torch import load_file as l, save_file; "
            "save_file({k: v for f in glob('%s-*-of-*%s') for k, v in l(f).items()}, "
            "'%s-whole%s')\"" % (stem, ending, stem, ending)
        )
    return Packed(what, msg, fix)
