"""Is a file of a store what its name says? Each is opened by what would read it, and no further.

A HEF, an ONNX file and a HAR are parsed, arrays are as long as their headers say and hold no
objects, documents have the keys and types that later stages read, and name files that are there.
"""

from __future__ import annotations

import ast
import io
import os
import zipfile
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints, is_typeddict

from hefsmith_worker.contract import documents, layout, names

from orchestrator.errors import HefsmithError, shorten
from orchestrator.reading import RECORD_LIMIT, TEXT_LIMIT, need, open_regular, read_json, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import IO

    from orchestrator.pipeline.cache import CacheEntry

#: Bytes of the header of an array: real ones have 128.
_HEADER = 1 << 16
_MEMBERS = 1000


class OtherContentError(ValueError):
    """A file is not what its name says; the text tells which, and why."""


def check_content(entry: CacheEntry, folder: Path) -> None:
    """Look into every file of an entry that lies in ``folder`` under its own name.

    Raises :class:`OtherContentError`.
    """
    paths = {file.path for file in entry.files}
    for file in entry.files:
        try:
            for pattern, look in _LOOKS:
                if fnmatchcase(file.path, pattern):
                    look(folder / file.path, file.path, paths)
                    break
        except HefsmithError as error:
            raise _other(file.path, error.message) from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, OverflowError) as error:
            raise _other(file.path, str(error) or type(error).__name__) from error
        except (zipfile.BadZipFile, NotImplementedError, RecursionError, MemoryError) as error:
            raise _other(file.path, str(error) or type(error).__name__) from error


def _other(path: str, why: str) -> OtherContentError:
    return OtherContentError(f"{shorten(path, 120)} is not what its name says: {shorten(why)}")


# --- networks ------------------------------------------------------------------------------------


def _look_at_hef(path: Path, name: str, _: Iterable[str]) -> None:
    from orchestrator.hef import read_hef

    found = read_hef(path)
    called = name.endswith(".emulated.hef")
    need(found.emulated == called, "an emulated HEF and a real one are named the other way round")


def _look_at_onnx(path: Path, name: str, paths: Iterable[str]) -> None:
    from orchestrator.inspect.onnx_file import read_onnx

    model = read_onnx(path)
    need(bool(model.nodes or model.outputs), "a network without operators")
    there = {"", *(value.name for value in model.inputs), *model.weights}
    for node in model.nodes:
        # A graph inside of an operator may name what is outside; those are not looked into.
        missing = [one for one in node.inputs if one not in there]
        need(not missing, f"{node.op} reads {missing[:1]}, which nothing gives")
        there.update(node.outputs)
    lost = [value.name for value in model.outputs if value.name not in there]
    need(not lost, f"nothing gives the output {lost[:1]}")
    outside = sum(weight.size for weight in model.weights.values() if weight.external)
    if outside:
        beside = sum(
            path.with_name(PurePosixPath(one).name).stat().st_size
            for one in paths
            if one.startswith(f"{name}.")
        )
        need(outside <= beside, f"{outside} bytes of weights lie elsewhere, {beside} came")


def _look_at_har(path: Path, _: str, __: Iterable[str]) -> None:
    from orchestrator.inspect.har import read_har

    found = read_har(path)
    need(bool(found.layers), "a HAR without layers")


def _look_at_tflite(path: Path, _: str, __: Iterable[str]) -> None:
    with open_regular(path) as stream:
        need(stream.read(8)[4:] == b"TFL3", "no TFLite file")


# --- arrays and pictures -------------------------------------------------------------------------


def _look_at_array(path: Path, _: str, __: Iterable[str]) -> None:
    with open_regular(path) as stream:
        _check_array(stream, os.fstat(stream.fileno()).st_size)


def _check_array(stream: IO[bytes], size: int) -> None:
    """Read the header of an array alone; numpy's own format, whose header is a Python literal."""
    from math import prod

    magic = stream.read(8)
    need(magic[:6] == b"\x93NUMPY" and magic[6:7] in b"\1\2\3", "no array of numpy")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    need(length <= _HEADER, "a header that is too long")
    header = ast.literal_eval(stream.read(length).decode("utf-8").strip())
    need(isinstance(header, dict) and set(header) == {"descr", "fortran_order", "shape"}, "header")
    kind, shape = header["descr"], header["shape"]
    need(isinstance(kind, str) and kind[1:2] in "?biufcU" and kind[2:].isdigit(), "its type")
    need(isinstance(shape, tuple) and len(shape) <= 32, "its shape")
    need(all(type(one) is int and one >= 0 for one in shape), "its shape")
    wide = int(kind[2:]) * (4 if kind[1] == "U" else 1)
    need(8 + width + length + prod(shape) * wide == size, "it has another length than it says")


def _look_at_arrays(path: Path, _: str, __: Iterable[str]) -> None:
    with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        need(len(members) <= _MEMBERS, "more arrays than anybody writes")
        for member in members:
            with archive.open(member) as part:
                _check_array(io.BytesIO(part.read(_HEADER + 12)), member.file_size)


def _look_at_picture(path: Path, _: str, __: Iterable[str]) -> None:
    with open_regular(path) as stream:
        need(stream.read(3) in (b"\xff\xd8\xff", b"\x89PN"), "no picture")


def _look_at_script(path: Path, _: str, __: Iterable[str]) -> None:
    need("\0" not in read_text(path, limit=TEXT_LIMIT), "no text")


# --- documents -----------------------------------------------------------------------------------


def fits(value: object, wanted: Any) -> bool:
    """Tell whether a JSON value has a type of ``contract.documents``; further keys are no fault."""
    if wanted is Any:
        return True
    if is_typeddict(wanted):
        hints = get_type_hints(wanted)
        return isinstance(value, dict) and all(
            name in value and fits(value[name], hint) for name, hint in hints.items()
        )
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is list:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if origin is not None and isinstance(origin, type) and issubclass(dict, origin):
        return isinstance(value, dict) and all(fits(one, inner[1]) for one in value.values())
    if inner:  # Optional
        return any(fits(value, one) for one in inner)
    if wanted is float:
        return type(value) in (int, float)
    return value is None if wanted is type(None) else type(value) is wanted


def _of(wanted: Any) -> Callable[[Path, str, Iterable[str]], None]:
    def look(path: Path, name: str, paths: Iterable[str]) -> None:
        document = read_json(path, limit=RECORD_LIMIT)
        need(fits(document, wanted), "a key is missing, or has a value of another type")
        _check_files(document, PurePosixPath(name).parent, paths)

    return look


def _check_files(document: Mapping[str, Any], folder: PurePosixPath, paths: Iterable[str]) -> None:
    """Whatever a document names as its file is judged as any name is, and has to be there."""
    for one in document.get("inputs") or ():
        named = one.get("file") if isinstance(one, dict) else None
        if named is None:
            continue
        need(isinstance(named, str) and names.fault(named) is None, "a name that is no plain path")
        need((folder / named).as_posix() in paths, f"it names {shorten(named, 80)}, no file of it")


def _look_at_golden(path: Path, name: str, paths: Iterable[str]) -> None:
    from orchestrator.report.golden import load_golden

    found = load_golden(path.parent)
    folder = PurePosixPath(name).parent
    named = [*(one.file for one in found.inputs), *(f for s in found.steps.values() for f in s)]
    for one in named:
        need(names.fault(one) is None, "a name that is no plain path")
        need((folder / one).as_posix() in paths, f"it names {shorten(one, 80)}, no file of it")


def _look_at_json(path: Path, _: str, __: Iterable[str]) -> None:
    need(isinstance(read_json(path, limit=RECORD_LIMIT), dict), "no document")


#: What looks into which files; the first pattern that fits.
_LOOKS: tuple[tuple[str, Callable[[Path, str, Iterable[str]], None]], ...] = (
    ("*.hef", _look_at_hef),
    ("*.onnx", _look_at_onnx),
    ("*.har", _look_at_har),
    ("*.tflite", _look_at_tflite),
    ("*.npy", _look_at_array),
    ("*.npz", _look_at_arrays),
    ("*.jpg", _look_at_picture),
    ("*.png", _look_at_picture),
    ("*.alls", _look_at_script),
    (layout.PARSED, _of(documents.Parsed)),
    (layout.GOLDEN_DRAFT, _of(documents.Draft)),
    (layout.TFLITE_MAP, _of(documents.TfliteMap)),
    (layout.CALIBRATION_INDEX, _of(documents.CalibrationIndex)),
    (layout.HEAD, _of(documents.HeadDocument)),
    (layout.GOLDEN_INDEX, _look_at_golden),
    ("*.json", _look_at_json),
)
