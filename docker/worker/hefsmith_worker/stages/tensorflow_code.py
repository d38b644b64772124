"""What code a file of TensorFlow or Keras carries: looked for before any library loads it.

Keras rebuilds a network from a JSON that names modules, classes and functions; its own guard
(``safe_mode``) leaves .h5 files out, and has let functions through that fetch or write files. A
SavedModel is a graph of operators, and some of those write files or call Python.
"""

from __future__ import annotations

import json
import mmap
import re
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Tuple

#: Classes of Keras that are code: a Python function as marshalled bytes.
CODE = frozenset({"Lambda", "__lambda__"})

#: Packages whose names a network's JSON may use, and parts of them that it may not: functions
#: there fetch, unpack, load and write files. Of TensorFlow itself only its Keras.
PACKAGES = frozenset({"keras", "tf_keras", "tensorflow", "builtins"})
TOOLS = frozenset({"utils", "saving", "export", "io", "config", "backend_config", "file_utils"})

#: Operators that read or write files, talk to others, or call Python (``tensorflow/core/ops``):
#: families of them, since each has its versions. What every SavedModel has (SaveV2, RestoreV2,
#: MergeV2Checkpoints, ShardedFilename) is not among them.
_OPERATORS = re.compile(
    rb"(?<![A-Za-z0-9_])("
    rb"(?:Read|Write)File|(?:Eager)?PyFunc(?:Stateless)?|ImmutableConst|PrintV2?|MatchingFiles"
    rb"|CreateSummary(?:File|Db)Writer|ImportEvent|InitializeTableFromTextFile(?:V2)?"
    rb"|(?:WholeFile|TextLine|TFRecord|FixedLengthRecord|LMDB|BigQuery|ExperimentalLMDB)"
    rb"(?:Reader|Dataset)(?:V[23])?"
    rb"|Debug(?:Identity|NanCount|NumericSummary)(?:V[23])?"
    rb"|(?:Experimental)?(?:Cache|Snapshot|Save|Load|CSV|Sql|LMDB|AssertNext|DataService)"
    rb"Dataset(?:V[2345])?|(?:Experimental)?DatasetToTFRecord|SaveSlices|Save|Restore|RestoreSlice"
    rb"|RemoteCall|RpcClient|RpcCall|RpcServer|TryRpc|Rpc|RegisterDataset(?:V2)?"
    rb")(?![A-Za-z0-9_])"
)
#: ``NodeDef.op``: field 2, a text; its number and its length may be written longer than needed.
_OP_FIELD = re.compile(rb"(?:\x12|\x92\x80{0,8}\x00)(?:[\x01-\x7f]|[\x80-\xff]{1,9}[\x00-\x7f])\Z")

#: Most bytes of the weights in a Keras file, and most entries of an HDF5 file.
WEIGHTS_BYTES = 16 << 30
ENTRIES = 1_000_000

#: Most bytes of a network's JSON.
JSON_BYTES = 64 << 20


def code_in_keras(path: Path) -> str:
    """Return the first thing in a Keras file that is code or leads to some, ``""`` for none.

    Raises ``OSError``, ``ValueError`` or ``KeyError`` for a file that is not a Keras file.
    """
    import h5py

    packed, plain = zipfile.is_zipfile(str(path)), h5py.is_hdf5(str(path))
    if packed and plain:
        # Which of the two Keras reads goes by the file's name, and by Keras's version.
        return "two networks: it is an HDF5 file and a zip archive at once"
    if packed:
        text, led = _packed_config(path)
    else:
        with h5py.File(str(path), "r") as file:
            text, led = file.attrs.get("model_config"), _leads_out(file)
    if led or text is None:
        return led
    try:
        document = json.loads(text)
        if isinstance(document, dict):
            # What training needs is not loaded.
            document.pop("compile_config", None)
        return next(_code(document), "")
    except RecursionError:
        return "a configuration that is nested deeper than any network"


def _packed_config(path: Path) -> Tuple[Any, str]:
    """Return the configuration in a ``.keras`` archive, and what in its weights leads out of it."""
    try:
        with zipfile.ZipFile(str(path)) as archive:
            twice = [name for name, times in Counter(archive.namelist()).items() if times > 1]
            if twice:
                return None, "two files of one name: %s" % twice[0]
            with archive.open("config.json") as stream:
                data = stream.read(JSON_BYTES + 1)
            if len(data) > JSON_BYTES:
                msg = "its configuration is larger than any network's"
                raise ValueError(msg)
            inner = [one for one in archive.infolist() if one.filename.endswith((".h5", ".hdf5"))]
            return data, next(filter(None, (_leads_out_of(archive, one) for one in inner)), "")
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise ValueError(str(error))


def _leads_out_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Tell what in an archive's HDF5 file leads out of it; a file without a name holds it."""
    import h5py

    if member.file_size > WEIGHTS_BYTES:
        return "weights of %d bytes" % member.file_size
    with tempfile.TemporaryFile() as copy:
        with archive.open(member) as stream:
            shutil.copyfileobj(stream, copy, 1 << 20)
        if copy.tell() == 0:
            return ""
        with h5py.File(copy, "r") as file:
            return _leads_out(file)


def _leads_out(file: Any) -> str:
    """Return the first entry of an HDF5 file whose content lies in another file, ``""`` for none.

    Links are looked at, not followed; nothing is read but names and where data lie.
    """
    import h5py

    waiting = [file]
    seen = set()
    while waiting:
        group = waiting.pop()
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                return "a link into another file: %s" % name
            if isinstance(group.get(name, getlink=True), h5py.SoftLink):
                continue
            found = group[name]
            if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
                return "an array that lies in another file: %s" % name
            place = h5py.h5o.get_info(found.id).addr
            if isinstance(found, h5py.Group) and place not in seen:
                waiting.append(found)
            seen.add(place)
            if len(seen) > ENTRIES:
                return "more entries than any network has"
    return ""


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
        outside = parts[0] not in PACKAGES or (parts[0] == "tensorflow" and "keras" not in parts)
        if outside or TOOLS & set(parts):
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
        for found in _OPERATORS.finditer(data):
            if _OP_FIELD.search(data[max(0, found.start() - 19) : found.start()]):
                return found.group(1).decode("ascii")
    return ""
