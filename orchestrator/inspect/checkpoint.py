"""What a PyTorch checkpoint tells without being loaded: the names that its pickle refers to.

Nothing of it is run, and neither PyTorch nor Ultralytics is needed.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hefsmith_worker.stages.checkpoint import names_in

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.reading import open_regular

if TYPE_CHECKING:
    from pathlib import Path

#: Tasks by the class of an Ultralytics network (``ultralytics.nn.tasks``).
ULTRALYTICS_TASKS = {
    "DetectionModel": "detection",
    "YOLOEModel": "detection",
    "WorldModel": "detection",
    "SegmentationModel": "segmentation",
    "PoseModel": "pose",
    "OBBModel": "obb",
    "ClassificationModel": "classification",
}

#: Sides of the square pictures that Ultralytics trains on unless told otherwise.
ULTRALYTICS_SIDE = {"classification": 224}
ULTRALYTICS_DEFAULT_SIDE = 640

#: Modules that start programs or reach the system, and functions that run code. A pickle of
#: methods has getattr in it, one of paths pathlib: these are ordinary.
_ACTING = frozenset(
    ("os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib", "runpy", "pty",
     "ctypes", "webbrowser", "code", "asyncio", "multiprocessing", "urllib", "http", "pip",
     # as they were called in Python 2, and are written for it
     "commands", "popen2", "urllib2", "httplib")
)  # fmt: skip
_ACTING_BUILTINS = frozenset(
    ("eval", "exec", "execfile", "compile", "open", "__import__", "input", "breakpoint")
)
#: Bytes of an old checkpoint in which its names stand, before its weights.
_OLD_BYTES = 16 << 20

Kind = Literal["ultralytics", "torchscript", "network", "weights"]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: what it holds, and for Ultralytics what the network does.

    ``network`` is a pickled network of classes that ``classes`` names.
    """

    kind: Kind
    task: str | None = None
    classes: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what a checkpoint holds; a file of an unknown form counts as weights.

    Raises ``OSError`` for what is no file: a pipe would be waited for without end, and
    :class:`~orchestrator.errors.ArtifactError` for one that runs a program when it is loaded.
    """
    open_regular(path).close()
    if _is_torchscript(path):
        return Checkpoint("torchscript")
    names = names_in(path)
    _check_harmless(path, names or _old_names(path))
    for module, name in sorted(names):
        if module.startswith("ultralytics.") and name in ULTRALYTICS_TASKS:
            return Checkpoint("ultralytics", ULTRALYTICS_TASKS[name])
    classes = sorted(
        f"{module}.{name}"
        for module, name in names
        if module.partition(".")[0] not in ("torch", "collections", "__builtin__", "numpy")
    )
    layers = any(module.startswith("torch.nn.modules") for module, _ in names)
    return Checkpoint("network" if layers else "weights", classes=tuple(classes))


def _check_harmless(path: Path, names: set[tuple[str, str]]) -> None:
    """Refuse a pickle that calls what no network is made of: it is an attack, not weights."""
    acts = sorted(
        f"{module}.{name}"
        for module, name in names
        if module.partition(".")[0] in _ACTING
        or (module in ("builtins", "__builtin__") and name in _ACTING_BUILTINS)
    )
    if acts:
        msg = (
            f"{escape_control(path.name)} calls {escape_control(acts[0])} when it is loaded, "
            "which neither a network nor weights do (nothing of it was run)"
        )
        hint = "Do not load it, with no other program either, and doubt where it comes from."
        raise ArtifactError(msg, hint=hint, code="file.code")


def _old_names(path: Path) -> set[tuple[str, str]]:
    """Return the names in a checkpoint of before PyTorch 1.6, pickles one behind the other."""
    found: set[tuple[str, str]] = set()
    with open_regular(path) as stream, suppress(ValueError, IndexError, OverflowError, EOFError):
        data = io.BytesIO(stream.read(_OLD_BYTES))
        # A magic number, a version, the system, what was saved, keys; behind that are bytes.
        for _ in range(5):
            texts: list[str] = []
            for code, argument, _place in pickletools.genops(data):
                if code.name in ("GLOBAL", "INST"):
                    module, _, name = str(argument).partition(" ")
                    found.add((module, name))
                elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                    found.add((texts[-2], texts[-1]))
                elif "UNICODE" in code.name:
                    texts.append(str(argument))
    return found


def _is_torchscript(path: Path) -> bool:
    try:
        with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
