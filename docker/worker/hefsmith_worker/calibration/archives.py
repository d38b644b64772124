"""Pictures in zip and tar archives, listed without trusting them.

Nothing is unpacked under the names in the archive: zip members are read in place, members of
plain tar files by their offset, and a compressed tar is first unpacked to one plain tar file
in the scratch folder. Names that climb out are refused all the same, since they tell that
the archive is not what it should be.
"""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List

from hefsmith_worker.calibration.items import (
    MAX_FILE_BYTES,
    Item,
    Listing,
    folders_of,
    is_picture_name,
)
from hefsmith_worker.calibration.model import CalibrationError
from hefsmith_worker.contract import names

#: A member that unpacks to this many times its stored size is a bomb (pictures do not).
MAX_RATIO = 200
#: Small members may compress well (flat drawings); the ratio counts from this size on.
RATIO_FROM_BYTES = 16 * 1024 * 1024
MAX_MEMBERS = 5_000_000
#: A compressed tar may unpack to this many times its size, and to this many bytes.
MAX_TAR_RATIO = 100
MAX_TAR_BYTES = 256 * 1024**3


def list_zip(path: Path) -> Listing:
    """List the pictures of a zip file. Raises :class:`CalibrationError` with the member's name."""
    items: List[Item] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _broken(path, str(error)) from None
    if len(members) > MAX_MEMBERS:
        raise _bomb(path, f"{len(members)} members")
    for member in members:
        name = member.filename
        _refuse_climbing(path, name)
        if member.is_dir() or not is_picture_name(name):
            continue
        if member.flag_bits & 0x1:
            msg = f"{path}: {name} is encrypted"
            raise CalibrationError(msg, "calib.archive.encrypted", "Unpack it yourself.", str(path))
        _refuse_bomb(path, name, member.file_size, member.compress_size)
        items.append(Item(name, str(path), group=folders_of(name.replace("\\", "/")), member=name))
    return Listing(items)


def list_tar(path: Path, scratch: Path) -> Listing:
    """List the pictures of a tar file, plain or compressed."""
    plain = path
    try:
        with tarfile.open(path, "r:"):
            pass
    except tarfile.ReadError:
        plain = _decompress(path, scratch)
    except OSError as error:
        raise _broken(path, str(error)) from None
    items: List[Item] = []
    try:
        with tarfile.open(plain, "r:") as archive:
            for count, member in enumerate(archive):
                if count > MAX_MEMBERS:
                    raise _bomb(path, f"more than {MAX_MEMBERS} members")
                name = member.name[2:] if member.name.startswith("./") else member.name
                _refuse_climbing(path, name)
                # Links are not followed: they can only repeat a picture or leave the archive.
                if not member.isreg() or not is_picture_name(name) or member.issparse():
                    continue
                if member.size > MAX_FILE_BYTES:
                    raise _bomb(path, f"{name} has {member.size} bytes")
                span = (member.offset_data, member.size)
                items.append(
                    Item(name, str(plain), group=folders_of(name.replace("\\", "/")), span=span)
                )
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise _broken(path, str(error)) from None
    return Listing(items)


def _decompress(path: Path, scratch: Path) -> Path:
    """Write the tar inside gzip, bzip2 or xz to a plain file, within bounds."""
    import bz2
    import gzip
    import lzma
    import zlib

    openers: Dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
    with path.open("rb") as file:
        start = file.read(2)
    opener = openers.get(start)
    if opener is None:
        raise _broken(path, "neither a tar file nor one packed with gzip, bzip2 or xz")
    limit = min(MAX_TAR_BYTES, max(RATIO_FROM_BYTES, path.stat().st_size * MAX_TAR_RATIO))
    plain = scratch / (path.name + ".plain.tar")
    written = 0
    try:
        with opener(str(path), "rb") as packed, plain.open("wb") as out:
            while True:
                piece = packed.read(1 << 20)
                if not piece:
                    break
                written += len(piece)
                if written > limit:
                    raise _bomb(path, f"unpacks to more than {limit >> 20} MiB")
                out.write(piece)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _broken(path, str(error)) from None
    return plain


def _refuse_climbing(path: Path, name: str) -> None:
    # Archives of Windows part names by backslashes.
    fault = names.fault(name.replace("\\", "/"))
    if fault is not None:
        msg = f"{path}: the member {names.shown(name)} {fault}: no file can have that name"
        raise CalibrationError(
            msg, "calib.archive.path", "Do not use this archive; pack the pictures anew.", str(path)
        )


def _refuse_bomb(path: Path, name: str, size: int, stored: int) -> None:
    if size > MAX_FILE_BYTES:
        raise _bomb(path, f"{name} unpacks to {size} bytes")
    if size > RATIO_FROM_BYTES and size > stored * MAX_RATIO:
        raise _bomb(path, f"{name} unpacks to {size // max(1, stored)} times its stored size")


def _bomb(path: Path, what: str) -> CalibrationError:
    return CalibrationError(
        f"{path}: looks like a decompression bomb: {what}",
        "calib.archive.bomb",
        "Unpack the pictures that you trust into a folder and name that as the source.",
        str(path),
    )


def _broken(path: Path, why: str) -> CalibrationError:
    return CalibrationError(
        f"{path}: cannot be read as an archive: {why}",
        "calib.archive",
        "Copy the file again; check it with `unzip -t` or `tar tf`.",
        str(path),
    )
