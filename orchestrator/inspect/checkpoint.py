"""What a PyTorch checkpoint tells without being loaded: the names that its pickle refers to.

Nothing of it is run, and neither PyTorch nor Ultralytics is needed.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hefsmith_worker.stages.checkpoint import names_in

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

    Raises ``OSError`` for what is no file: a pipe would be waited for without end.
    """
    open_regular(path).close()
    if _is_torchscript(path):
        return Checkpoint("torchscript")
    names = names_in(path)
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


def _is_torchscript(path: Path) -> bool:
    try:
        with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
