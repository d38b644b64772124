"""What a file really is whose name says another kind: a pointer of Git LFS, a web page, a HEF."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.hef.sniff import recognise
from orchestrator.inspect.source_files import CHECKPOINTS, KERAS, ending_of
from orchestrator.reading import open_regular

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = b"\x01HEF"
_HEF: Final = "a HEF"

#: What a name promises, and what such a file is at its beginning, where it is only damaged.
_PROMISED: Final = {
    ".onnx": ("an ONNX model", ("an ONNX model",)),
    ".har": ("a HAR", ("a tar archive", "a gzip archive")),
    ".tflite": ("a TFLite file", ("a TensorFlow Lite model",)),
    ".safetensors": ("a safetensors file", ()),
    **dict.fromkeys(CHECKPOINTS, ("a PyTorch checkpoint", ("a zip archive", "a Python pickle"))),
    **dict.fromkeys(KERAS, ("a Keras file", ("a zip archive", "an HDF5 file"))),
}


def mistaken(path: Path, error: ArtifactError) -> ArtifactError:
    """Return what to say of a file that could not be read: ``error`` where no more is known."""
    wanted, own = _PROMISED.get(ending_of(path), ("", ()))
    kind, hint = what_it_is(path) if wanted else (None, None)
    if kind is None or kind.startswith(own):
        return error
    if kind == _HEF:
        hint = "Give it a name that ends in .hef."
    elif hint is not None and hint.startswith("compile it first"):
        hint = None  # said of what is named like a HEF
    message = f"{escape_control(path.name)} is {kind}, not {wanted}"
    return ArtifactError(message, hint=hint, code=error.code)


def refuse_damaged(path: Path) -> None:
    """Raise :class:`ArtifactError` for a checkpoint that is cut, empty, or something else."""
    from orchestrator.inspect.source_files import describe_source

    try:
        describe_source(path)
    except ArtifactError as error:
        raise mistaken(path, error) from error


def what_it_is(path: Path) -> tuple[str | None, str | None]:
    """Return what a file is by its first bytes, and what to do where a HEF was wanted."""
    try:
        with open_regular(path) as stream:
            start, size = stream.read(512), os.fstat(stream.fileno()).st_size
    except OSError:
        return None, None
    return (_HEF, None) if start.startswith(_MAGIC) else recognise(start, size)
