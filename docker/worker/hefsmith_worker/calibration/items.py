"""One picture (or array row) of a source: where it is, and how its bytes are read.

Items are small and picklable: worker processes get them and open the files themselves.
"""

from __future__ import annotations

import io
import re
import stat
import threading
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.pictures import SUFFIXES, PictureError

#: No single encoded picture is larger than this; what claims to be is not read.
MAX_FILE_BYTES = 512 * 1024 * 1024

#: Boxes of an item: (y_min, x_min, y_max, x_max, class), in source pixels or, when
#: ``relative``, as fractions of the picture's height and width.
Boxes = Tuple[Tuple[float, float, float, float, int], ...]


_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Item:
    """One candidate.

    ``name`` is what the user sees; ``group`` are the folders that the choice spreads over;
    ``member`` is a name inside an archive; ``span`` is (offset, length) of a tar member;
    ``row`` is the row of an array file; an array file without one is one sample.
    """

    name: str
    path: str
    group: Tuple[str, ...] = ()
    member: Optional[str] = None
    span: Optional[Tuple[int, int]] = None
    row: Optional[int] = None
    label: Optional[str] = None
    boxes: Optional[Boxes] = None
    relative: bool = False


@dataclass
class Listing:
    """All candidates of one source.

    ``prepared`` says that the rows are network inputs already (arrays), not pictures.
    ``classes`` are the names that a data set itself gives to its class numbers.
    ``notes`` are things worth telling.
    """

    items: List[Item]
    prepared: bool = False
    classes: Tuple[str, ...] = ()
    notes: List[Finding] = field(default_factory=list)


def with_plain_text(item: Item) -> Item:
    """Return the item with names that can be written and sent as text.

    File names are bytes on Linux; those that are no UTF-8 come with lone surrogates in them,
    which no JSON file and no terminal takes. The path keeps them, so the file is found.
    """
    texts = (item.name, item.label or "", *item.group)
    if not any(_SURROGATE.search(text) for text in texts):
        return item
    return replace(
        item,
        name=_plain(item.name),
        group=tuple(_plain(part) for part in item.group),
        label=None if item.label is None else _plain(item.label),
    )


def _plain(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def folders_of(name: str) -> Tuple[str, ...]:
    """Return the folders in the relative name of a picture: its group."""
    return tuple(name.split("/")[:-1])


def is_picture_name(name: str) -> bool:
    """Tell by the suffix; macOS' hidden companions (``._x.jpg``) are no pictures."""
    last = name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]
    return not last.startswith("._") and last.lower().endswith(SUFFIXES)


def is_array_name(name: str) -> bool:
    """Tell by the suffix; hidden files are none."""
    last = name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]
    return last.lower().endswith(".npy") and not last.startswith(".")


#: Open archives, one for each thread: a zip file's reader is not made to be shared.
_archives: Dict[Tuple[str, int], zipfile.ZipFile] = {}


def read_bytes(item: Item) -> bytes:
    """Return the encoded picture. Raises :class:`PictureError`."""
    try:
        data = _read(item)
    except PictureError:
        raise
    except PermissionError:
        msg = "no permission to read it (chmod a+r)"
        raise PictureError(msg) from None
    except FileNotFoundError:
        msg = "the file is missing"
        raise PictureError(msg) from None
    except Exception as error:
        # Damaged archives bring errors of zipfile, zlib, lzma and bz2 along.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(reason[:200]) from None
    if not data:
        msg = "the file is empty"
        raise PictureError(msg)
    return data


def _read(item: Item) -> bytes:
    if item.span is not None:
        with Path(item.path).open("rb") as file:
            file.seek(item.span[0])
            data = file.read(item.span[1])
        if len(data) != item.span[1]:
            msg = "the archive ends inside it"
            raise PictureError(msg)
        return data
    if item.member is not None:
        return _read_zip(item.path, item.member)
    path = Path(item.path)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        # Reading a pipe or a device could wait for ever.
        msg = "not a regular file"
        raise PictureError(msg)
    if status.st_size > MAX_FILE_BYTES:
        msg = f"larger than {MAX_FILE_BYTES >> 20} MiB"
        raise PictureError(msg)
    return path.read_bytes()


def _read_zip(path: str, member: str) -> bytes:
    key = (path, threading.get_ident())
    archive = _archives.get(key)
    if archive is None:
        archive = _archives[key] = zipfile.ZipFile(path)
    with archive.open(member) as stream:
        # The header's size was checked when the archive was listed; it is not believed here.
        data = io.BytesIO()
        while data.tell() <= MAX_FILE_BYTES:
            piece = stream.read(1 << 20)
            if not piece:
                return data.getvalue()
            data.write(piece)
    msg = f"unpacks to more than {MAX_FILE_BYTES >> 20} MiB"
    raise PictureError(msg)


def close_archives() -> None:
    """Close what :func:`read_bytes` keeps open in this process."""
    while _archives:
        _archives.popitem()[1].close()


_maps: Dict[str, Any] = {}


def read_row(item: Item) -> Any:
    """Return one row of an array file, as stored."""
    import numpy as np

    array = _maps.get(item.path)
    if array is None:
        array = _maps[item.path] = np.load(item.path, mmap_mode="r", allow_pickle=False)
    return np.asarray(array[item.row])


def read_array(item: Item) -> Any:
    """Return the only array of an item's file, as stored. Raises :class:`PictureError`."""
    import numpy as np

    path = Path(item.path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            msg = "not a regular file"
            raise PictureError(msg)
        array = np.load(item.path, mmap_mode="r", allow_pickle=False)
        if not hasattr(array, "shape") or array.ndim == 0:
            msg = "it holds a single number"
            raise PictureError(msg)
        return np.array(array)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = str(error)
        if "pickle" in reason.lower() or "object" in reason.lower():
            reason = "it holds Python objects, not numbers"
        raise PictureError(reason[:200]) from None


def forget_maps() -> None:
    """Let go of the arrays that :func:`read_row` has mapped in this process."""
    _maps.clear()
