"""What a network's file is before it is a recipe's source: told without loading or running it."""

from __future__ import annotations

import shlex
import zipfile
import zlib
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from hefsmith_worker.packed_weights import is_checkpoint, packed

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.reading import open_regular, parse_json

if TYPE_CHECKING:
    from pathlib import Path

CHECKPOINTS = (".pt", ".pth", ".ckpt")
SUFFIXES = (*CHECKPOINTS, ".safetensors", ".tflite")
#: Of a SavedModel's folder, and of Keras (the older two in HDF5).
SAVED_MODEL = "saved_model.pb"
KERAS = (".keras", ".h5", ".hdf5")
#: Files that have a reader of their own, which says what they are instead.
_OTHERS = (".hef", ".onnx", ".har")
_HDF5 = b"\x89HDF\r\n\x1a\n"

#: Bytes of a Keras file's JSON, and types of a safetensors file that are shown.
_LARGEST_JSON = 64 << 20
MOST_TYPES = 12


@dataclass(frozen=True)
class SourceFile:
    """A file that a build can start from: its kind, facts as people read them, what to do."""

    kind: str
    facts: tuple[tuple[str, str], ...]
    command: str


def ending_of(path: Path) -> str:
    """Return what a file's name ends in; ``net.pth.tar``, which is no archive, ends in ``.pth``."""
    name = path.name.lower()
    return path.with_name(name.removesuffix(".tar")).suffix if name != ".tar" else ""


def is_source(path: Path) -> bool:
    """Tell whether :func:`describe_source` is for a file or folder, by its name, or else by its
    first bytes."""
    if path.is_dir():
        return (path / SAVED_MODEL).is_file()
    if not path.is_file() or path.suffix.lower() in _OTHERS:
        return False
    return ending_of(path) in (*SUFFIXES, *KERAS) or is_checkpoint(path) or packed(path) is not None


def describe_source(path: Path) -> SourceFile:
    """Describe a checkpoint, a safetensors, a TFLite or a Keras file, or a SavedModel's folder.

    Raises :class:`ArtifactError` for a damaged file.
    """
    refuse_packed(path)
    try:
        if path.is_dir():
            return _saved_model(path)
        if path.suffix.lower() in KERAS:
            return _keras(path)
        if path.suffix.lower() == ".tflite":
            return _tflite(path)
        if path.suffix.lower() == ".safetensors":
            return _safetensors(path)
        return _checkpoint(path)
    except OSError as error:
        msg = f"{escape_control(str(path))}: cannot be read: {error.strerror or error}"
        raise ArtifactError(msg, code="file.unreadable") from error


def refuse_packed(path: Path) -> None:
    """Raise :class:`ArtifactError` for weights that are packed, or no weights but a program."""
    found = packed(path)
    if found is not None:
        fix = escape_control(found.fix)
        raise ArtifactError(escape_control(found.message), hint=fix, code="file.packed")


def _checkpoint(path: Path) -> SourceFile:
    from orchestrator.inspect.checkpoint import read_checkpoint

    with open_regular(path) as stream:
        start = stream.read(2)
    # A zip archive (torch 1.6 and later) or a pickle.
    if start not in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        msg = f"{escape_control(path.name)} is not a PyTorch checkpoint"
        raise ArtifactError(msg, code="file.kind")
    if start == b"PK" and not zipfile.is_zipfile(path):
        msg = f"{escape_control(path.name)} ends too early: a cut download or copy"
        raise ArtifactError(msg, code="file.damaged")
    found = read_checkpoint(path)
    command = f"hef init --weights {shlex.quote(str(path))}"
    if found.kind == "ultralytics":
        task = (("network", f"Ultralytics, {found.task}"),)
        return SourceFile("PyTorch checkpoint of Ultralytics", task, command)
    if found.kind == "torchscript":
        return SourceFile("TorchScript network", (("network", "whole, code and weights"),), command)
    if found.kind == "network":
        classes = ", ".join(found.classes) or "torch.nn only"
        facts = (("network", "whole, pickled"), ("classes", classes))
        return SourceFile("PyTorch checkpoint of a network", facts, command)
    return SourceFile(
        "PyTorch checkpoint of weights",
        (("network", "not in it: its code must lie in the folder where hef init runs"),),
        command,
    )


def _safetensors(path: Path) -> SourceFile:
    from hefsmith_worker.safetensors_header import read_header

    try:
        entries = read_header(path).entries.values()
    except ValueError as error:
        msg = f"{escape_control(path.name)} is not a safetensors file, or a damaged one: {error}"
        raise ArtifactError(msg, code="file.kind") from error
    types = sorted({entry.dtype for entry in entries})
    named = ", ".join(types[:MOST_TYPES]) + (", ..." if len(types) > MOST_TYPES else "")
    facts = (
        ("tensors", f"{len(entries)} ({named})"),
        ("parameters", f"{sum(prod(entry.shape) for entry in entries):,}"),
        ("network", "not in it: its code must lie in the folder where hef init runs"),
    )
    command = f"hef init --weights {shlex.quote(str(path))}"
    return SourceFile("safetensors", facts, command)


def _keras(path: Path) -> SourceFile:
    command = f"hef init --keras {shlex.quote(str(path))}"
    with open_regular(path) as stream:
        start = stream.read(8)
    if start == _HDF5:
        return SourceFile("Keras network (HDF5)", (("network", "whole; Keras reads it"),), command)
    try:
        with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
            config = _member(archive, "config.json")
            version = _member(archive, "metadata.json").get("keras_version")
    except (
        zipfile.BadZipFile, zlib.error, LookupError, TypeError, ValueError, RuntimeError,
    ) as error:  # fmt: skip
        msg = f"{escape_control(path.name)} is not a Keras file, or a damaged one"
        raise ArtifactError(msg, code="file.kind") from error
    facts = [("network", f"whole, {config.get('class_name')}, Keras {version}")]
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and layer.get("class_name") == "InputLayer":
            own = layer.get("config")
            shape = own.get("batch_shape") if isinstance(own, dict) else None
            if isinstance(own, dict) and isinstance(shape, list):
                sides = "x".join("?" if side is None else str(side) for side in shape)
                facts.append(("input", f"{own.get('name')}  {sides}"))
    return SourceFile("Keras network", tuple(facts), command)


def _member(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    with archive.open(name) as stream:
        document = parse_json(stream.read(_LARGEST_JSON))
    if not isinstance(document, dict):
        msg = f"{name} is not an object"
        raise TypeError(msg)
    return document


def _saved_model(path: Path) -> SourceFile:
    with open_regular(path / SAVED_MODEL) as stream:
        empty = not stream.read(1)
    if empty:
        msg = f"{escape_control(path.name)}/{SAVED_MODEL} is empty: a cut download or copy"
        raise ArtifactError(msg, code="file.damaged")
    facts = (("network", "whole, a folder; TensorFlow reads it"),)
    return SourceFile("SavedModel", facts, f"hef init --saved-model {shlex.quote(str(path))}")


def _tflite(path: Path) -> SourceFile:
    from hefsmith_worker.tflite_file import Tensor, TfliteError, read_network

    def text(tensor: Tensor) -> str:
        sides = "x".join("?" if side < 0 else str(side) for side in tensor.shape)
        return f"{tensor.name}  {tensor.type} {sides}"

    try:
        network = read_network(path)
    except (TfliteError, ValueError) as error:
        raise ArtifactError(escape_control(str(error)), code="file.kind") from error
    facts = [("input", text(one)) for one in network.inputs]
    facts += [("output", text(one)) for one in network.outputs]
    if network.quantised:
        facts.append(("quantised", "yes: Hailo's compiler takes float networks only"))
    return SourceFile("TFLite network", tuple(facts), f"hef init --tflite {shlex.quote(str(path))}")
