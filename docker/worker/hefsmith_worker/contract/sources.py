"""Kinds of network that a recipe can start from: one row of :data:`SOURCES` each.

Recipe, ``hef init``, the build's request, the worker's export and the choice of packages read the
rows. How a framework's networks are read is :mod:`hefsmith_worker.stages.readers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

#: Frameworks that bring their own packages; a source without one is ONNX already.
TORCH, TENSORFLOW = "torch", "tensorflow"


@dataclass(frozen=True)
class SourceKind:
    """One kind: ``name`` is its field in the recipe's section ``source``.

    ``framework`` reads it. ``endings`` are those of its files, and ``magic`` what those of
    ``shared_endings``, which other programs use as well, begin with; ``inside`` is the file by
    which a folder is one. ``by_ending`` says that its framework goes by the ending; ``advice`` is
    for who gave something else. ``rank`` orders what is found
    (the least is the most likely to be meant), ``None``: never looked for by its name.
    """

    name: str
    title: str
    framework: str = ""
    endings: Tuple[str, ...] = ()
    shared_endings: Tuple[str, ...] = ()
    magic: bytes = b""
    inside: Optional[str] = None
    by_ending: bool = False
    advice: str = ""
    rank: Optional[int] = None

    def takes(self, suffix: str) -> bool:
        """Tell whether a file of that ending (in lower case, with its dot) may be one."""
        return suffix in self.endings or suffix in self.shared_endings


#: The first that is set is a recipe's kind.
SOURCES = (
    SourceKind("torch", "PyTorch", TORCH),
    SourceKind("onnx", "ONNX", endings=(".onnx",), rank=1),
    SourceKind("zoo", "Model Zoo"),
    SourceKind("tflite", "TFLite", TENSORFLOW, endings=(".tflite",), rank=3),
    SourceKind(
        "keras",
        "Keras",
        TENSORFLOW,
        endings=(".keras",),
        shared_endings=(".h5", ".hdf5"),
        magic=b"\x89HDF",
        by_ending=True,
        advice="Keras tells its formats apart by the suffix of the name.",
        rank=4,
    ),
    SourceKind(
        "saved_model",
        "SavedModel",
        TENSORFLOW,
        inside="saved_model.pb",
        advice="Write one with model.export(folder) or tf.saved_model.save(model, folder).",
        rank=5,
    ),
)

BY_NAME = {kind.name: kind for kind in SOURCES}
