"""What code a file of TensorFlow or Keras carries: looked for before any library loads it.

Keras rebuilds a network from a JSON that names modules, classes and functions; its own guard
(``safe_mode``) leaves .h5 files out, and has let functions through that fetch or write files. A
SavedModel is a graph of operators, and some of those write files or call Python.
"""

from __future__ import annotations

import json
import mmap
import zipfile
import zlib
from pathlib import Path
from typing import Any, Iterator

#: Classes of Keras that are code: a Python function as marshalled bytes.
CODE = frozenset({"Lambda", "__lambda__"})

#: Packages whose names a network's JSON may use, and parts of them that it may not: functions
#: there fetch, unpack, load and write files.
PACKAGES = frozenset({"keras", "tf_keras", "tensorflow", "builtins"})
TOOLS = frozenset({"utils", "saving", "export", "io", "config", "backend_config", "file_utils"})

#: Operators that read or write files, or call Python (``tensorflow/core/ops``).
OPERATORS = (
    "WriteFile", "ReadFile", "PyFunc", "PyFuncStateless", "EagerPyFunc", "ImmutableConst",
    "PrintV2", "CreateSummaryFileWriter", "CreateSummaryDbWriter", "WholeFileReader",
    "WholeFileReaderV2",
)  # fmt: skip

#: Most bytes of a network's JSON.
JSON_BYTES = 64 << 20


def code_in_keras(path: Path) -> str:
    """Return the first thing in a Keras file that is code or leads to some, ``""`` for none.

    Raises ``OSError``, ``ValueError`` or ``KeyError`` for a file that is no Keras file.
    """
    text = _config(path)
    if text is None:
        return ""
    try:
        document = json.loads(text)
        if isinstance(document, dict):
            # What training needs is not loaded.
            document.pop("compile_config", None)
        return next(_code(document), "")
    except RecursionError:
        return "a configuration that is nested deeper than any network"


def _config(path: Path) -> Any:
    if zipfile.is_zipfile(str(path)):
        try:
            with zipfile.ZipFile(str(path)) as archive, archive.open("config.json") as stream:
                data = stream.read(JSON_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise ValueError(str(error))
        if len(data) > JSON_BYTES:
            msg = "its configuration is larger than any network's"
            raise ValueError(msg)
        return data
    import h5py

    with h5py.File(str(path), "r") as file:
        return file.attrs.get("model_config")


def _code(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _code(one)
    if not isinstance(value, dict):
        return
    name, module = value.get("class_name"), value.get("module")
    if name in CODE:
        yield "a Lambda layer"
    if isinstance(module, str) and module:
        parts = module.split(".")
        if parts[0] not in PACKAGES or TOOLS & set(parts):
            yield "%s of the module %s" % (value.get("config") or name, module)
    # Functions of TensorFlow by name, as Keras 2 writes what is no layer.
    function = value.get("function")
    if isinstance(function, str) and function.split(".")[0] in ("io", "raw_ops", "numpy_function"):
        yield "the function %s" % function
    for one in value.values():
        yield from _code(one)


def code_in_saved_model(folder: Path) -> str:
    """Return the first operator of a SavedModel that is no computation, ``""`` for none."""
    path = folder / "saved_model.pb"
    if path.stat().st_size == 0:
        return ""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for name in OPERATORS:
            # NodeDef.op is field 2: a text of that length.
            if data.find(b"\x12" + bytes([len(name)]) + name.encode("ascii")) >= 0:
                return name
    return ""
