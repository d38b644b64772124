"""Pictures in folders, by glob, and by list file."""

from __future__ import annotations

import csv
import glob as globbing
import os
import posixpath
import re
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Set, Tuple

from hefsmith_worker.calibration.items import (
    Item,
    Listing,
    folders_of,
    is_array_name,
    is_picture_name,
)
from hefsmith_worker.calibration.model import CalibrationError
from hefsmith_worker.contract.findings import WARNING, Finding
from hefsmith_worker.regular import read_regular

Mounts = Sequence[Tuple[str, str]]

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def list_folder(folder: Path, wanted: Callable[[str], bool] = is_picture_name) -> Listing:
    """List pictures below a folder, all levels, sorted; links are followed, loops are not.

    ``wanted`` tells by their names which files are looked for, where it is not pictures.
    """
    items = [
        Item(relative, str(folder / relative), group=folders_of(relative),
             label=_class_of(relative))
        for relative in sorted(_walk(folder, wanted))
    ]  # fmt: skip
    return Listing(items)


def _class_of(relative: str) -> Optional[str]:
    """The folder right above a picture is its class, as in torchvision's ImageFolder."""
    parts = relative.split("/")
    return parts[-2] if len(parts) > 1 else None


def _walk(folder: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield picture paths relative to ``folder``, with forward slashes.

    A folder that is reached a second time through a link (a loop, or two links to one place)
    is left out, told by its device and inode. Links are entered last, so that a picture keeps
    its real name when both ways lead to it.
    """
    seen: Set[Tuple[int, int]] = set()
    real: List[Tuple[Path, str]] = [(folder, "")]
    links: List[Tuple[Path, str]] = []
    while real or links:
        place, prefix = real.pop() if real else links.pop(0)
        entries = _entries(place, seen, needed=place == folder)
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if _is_folder(entry):
                queue = links if entry.is_symlink() else real
                queue.append((Path(entry.path), f"{prefix}{entry.name}/"))
            elif wanted(entry.name):
                yield prefix + entry.name


def _entries(place: Path, seen: Set[Tuple[int, int]], *, needed: bool) -> List[os.DirEntry[str]]:
    """Return what lies in a folder, nothing when it was visited before."""
    try:
        status = place.stat()
        key = (status.st_dev, status.st_ino)
        if key in seen and status.st_ino:
            return []
        seen.add(key)
        with os.scandir(place) as entries:
            return list(entries)
    except PermissionError:
        msg = f"{place}: no permission to look into this folder"
        raise CalibrationError(msg, "calib.permission", f"chmod a+rx {place}", str(place)) from None
    except OSError as error:
        # A link to itself, or a folder that vanished: nothing to list there.
        if needed:
            msg = f"{place}: {error.strerror or error}"
            raise CalibrationError(msg, "calib.source", None, str(place)) from None
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def list_glob(pattern: str) -> Listing:
    """List files that match a pattern (``**`` crosses folders); each needs a picture's suffix."""
    found = sorted(globbing.glob(pattern, recursive=True))
    pictures = [path for path in found if is_picture_name(path) and Path(path).is_file()]
    if not pictures:
        msg = f"{pattern}: no picture matches this pattern"
        raise CalibrationError(
            msg, "calib.empty", "Check the pattern; ** crosses folders.", pattern
        )
    base = os.path.commonpath([str(Path(path).parent) for path in pictures])
    items = []
    for path in pictures:
        relative = os.path.relpath(path, base).replace(os.sep, "/")
        items.append(Item(relative, path, group=folders_of(relative), label=_class_of(relative)))
    return Listing(items)


#: Bytes of a list of pictures: some million lines.
LIST_LIMIT = 256 << 20


def list_file(path: Path, mounts: Mounts = ()) -> Listing:
    """Read a text file with one picture per line: ``path``, or path and label.

    The label follows a tab, a comma, or (when the path has none) a space. Relative paths
    start at the list file's folder. Empty lines and lines that start with ``#`` are skipped.
    """
    try:
        text = read_regular(path, LIST_LIMIT).decode("utf-8-sig")
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise CalibrationError(msg, "calib.list", None, str(path)) from None
    except UnicodeDecodeError:
        msg = f"{path}: not a text file in UTF-8"
        raise CalibrationError(
            msg, "calib.list", "A list has one picture path per line.", str(path)
        ) from None
    items = []
    missing = []
    for number, line in enumerate(text.splitlines(), 1):
        entry, label = _split_line(line)
        if not entry or (number == 1 and not _is_sample(entry) and label is not None):
            continue  # empty, a comment, or a header such as "path,label"
        target = resolve(entry, path.parent, mounts)
        if not target.exists():
            missing.append(f"line {number}: {entry}")
        items.append(Item(entry, str(target), group=tuple(Path(entry).parts[:-1]), label=label))
    listing = Listing(items)
    if missing and len(missing) == len(items):
        msg = f"{path}: none of its {len(items)} files exist; {missing[0]}"
        raise CalibrationError(
            msg, "calib.list", "Relative paths start at the folder of the list.", str(path)
        )
    if missing:
        listing.notes.append(
            Finding(
                "calib.list.missing",
                WARNING,
                f"{path.name}: {len(missing)} of {len(items)} files are missing; {missing[0]}",
                "Correct the list, or copy the files.",
            )
        )
    return listing


def _is_sample(name: str) -> bool:
    return is_picture_name(name) or is_array_name(name)


def _split_line(line: str) -> Tuple[str, Optional[str]]:
    line = line.strip()
    if not line or line.startswith("#"):
        return "", None
    if _is_sample(line):
        return line, None
    if "\t" in line:
        entry, _, label = line.partition("\t")
    elif "," in line:
        fields = next(csv.reader([line]))
        entry, label = fields[0], fields[1] if len(fields) > 1 else ""
    else:
        entry, _, label = line.rpartition(" ")
        entry = entry or label
    return entry.strip(), label.strip() or None


def resolve(entry: str, base: Path, mounts: Mounts) -> Path:
    """Return the path of an entry of a file in ``base``.

    ``mounts`` maps folders of the host to where they are here. With the folder of the file among
    them, entries that lead out of it (``../pictures/a.jpg``) are followed on the host's side,
    where that folder may be known as ``.`` and the others by their way from there.
    """
    plain = entry.replace("\\", "/")
    there = plain if is_absolute(plain) else posixpath.join(_on_host(base, mounts), plain)
    there = posixpath.normpath(there)
    for outside, inside in sorted(mounts, key=lambda pair: -len(pair[0])):
        root = posixpath.normpath(outside.replace("\\", "/"))
        if there == root or there.startswith(root + "/"):
            return Path(inside + there[len(root) :])
    path = Path(plain)
    return path if path.is_absolute() else base / path


def is_absolute(path: str) -> bool:
    """Tell whether a path says all of where it leads, on this system or on Windows."""
    return _ABSOLUTE.match(path.replace("\\", "/")) is not None


def _on_host(folder: Path, mounts: Mounts) -> str:
    """Return what a folder here is called on the host, nothing when that is not known."""
    for outside, inside in mounts:
        place = Path(inside)
        if folder == place or place in folder.parents:
            return posixpath.join(outside.replace("\\", "/"), folder.relative_to(place).as_posix())
    return ""
