"""The vendor's download as a stream of bytes, checked before anything is done with it.

Users have ``*_docker.zip`` (a ``.tar.gz`` and a shell script), the ``.tar.gz`` itself, or a
tar. None of it is ever unpacked beside itself: members are read straight through, one block
at a time.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hefsmith_worker.regular import open_regular

from orchestrator.errors import ArtifactError, ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

BLOCK = 1 << 20

#: A file in a zip that is smaller is no image, whatever it is called.
SMALLEST = 1 << 12

#: One part of several that some tools cut a large file into.
_PART = re.compile(r"\.(\d{3}|z\d\d|part\d*|aa)$", re.IGNORECASE)

Packing = Literal["gzip", "bzip2", "xz", "none"]

#: How much larger an image is on the engine than what is given to it, generously: 8.5 GB of
#: zip became 34.7 GB on disk (hailo.md 2.1). The data root needs that much free space.
GROWTH: dict[Packing, float] = {"gzip": 4.0, "bzip2": 4.5, "xz": 5.0, "none": 1.3}

_MAGIC: tuple[tuple[bytes, Packing], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.xz", ".tar.bz2")


class BrokenArchiveError(ArtifactError):
    """A downloaded file is not whole, or not what it should be."""

    default_code = "toolchain.archive"


@dataclass(frozen=True)
class Archive:
    """What will be given to the engine: the file, or one member of a zip.

    ``size`` is the bytes that the engine gets, ``needed`` the bytes that the image may take on
    its disk (an estimate on the safe side).
    """

    path: Path
    member: str | None
    packing: Packing
    size: int

    @property
    def needed(self) -> int:
        """Bytes of free space that loading may need."""
        return int(self.size * GROWTH[self.packing])

    @property
    def label(self) -> str:
        """What to call it on the screen."""
        name = f"{self.path.name}:{self.member}" if self.member else self.path.name
        return escape_control(name)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it for reading from the start; a damaged zip raises while it is read."""
        if self.member is None:
            with self.path.open("rb") as stream:
                yield stream
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
            yield stream


def look_at(path: Path) -> Archive:
    """Return what ``path`` holds, from its bytes; its name is never trusted.

    :raises BrokenArchiveError: it is damaged or no image archive.
    :raises ConfigError: it cannot be read.
    """
    try:
        with open_regular(path) as stream:
            head = stream.read(512)
        size = path.stat().st_size
    except OSError as error:
        msg = f"{escape_control(str(path))}: {error.strerror or error}"
        raise ConfigError(
            msg, hint="Give the file that you downloaded.", code="toolchain.file"
        ) from error
    if head.startswith(b"PK\x03\x04"):
        return _look_into_zip(path)
    if head.startswith((b"PK\x05\x06", b"PK\x07\x08")):
        raise _broken(path, "it is an empty or split zip file")
    archive = Archive(path, None, _packing(head), size)
    _check_tar(archive, head)
    return archive


def _look_into_zip(path: Path) -> Archive:
    try:
        with zipfile.ZipFile(path) as archive:
            files = [one for one in archive.infolist() if not one.is_dir()]
            names = ", ".join(escape_control(one.filename) for one in files[:6]) or "nothing"
            named = [one for one in files if one.filename.lower().endswith(_SUFFIXES)]
            # Renamed files have any name; the image is by far the largest, and is looked at below.
            members = named or [one for one in files if one.file_size > SMALLEST]
            largest = max(members or files, key=lambda one: one.file_size, default=None)
            if largest is not None and largest.filename.lower().endswith(".zip"):
                raise _broken(
                    path,
                    f"there is another zip inside ({escape_control(largest.filename)})",
                    "Unpack the outer one, and import the inner one.",
                )
            if not members or largest is None:
                raise _broken(path, f"the zip holds no image archive (it holds: {names})")
            if len(named) > 1:
                several = ", ".join(escape_control(one.filename) for one in named[:6])
                raise _broken(
                    path,
                    f"the zip holds several image archives ({several})",
                    "Unpack it, and import each by itself.",
                )
            if largest.flag_bits & 1:
                raise _broken(
                    path, "the zip is protected by a password", "Unpack it by hand first."
                )
            with archive.open(largest) as stream:
                head = stream.read(512)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, zlib.error) as error:
        raise _broken(path, f"the zip cannot be read ({error})") from error
    except (EOFError, OSError, ValueError) as error:
        raise _broken(path, f"the zip breaks off ({error})") from error
    found = Archive(path, largest.filename, _packing(head), largest.file_size)
    _check_tar(found, head)
    return found


def _packing(head: bytes) -> Packing:
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "none")


def _check_tar(archive: Archive, head: bytes) -> None:
    """Raise unless the bytes look like a tar, packed or not."""
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise _broken(
            archive.path,
            "it is packed with zstd, which the engine cannot read",
            "Unpack it first: zstd -d FILE.tar.zst",
        )
    if head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        raise _broken(archive.path, "it is a web page or a pointer, not the download itself")
    if archive.packing == "gzip":
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 512)
        except zlib.error as error:
            raise _broken(archive.path, f"its first bytes cannot be unpacked ({error})") from error
    elif archive.packing != "none":
        return
    # 257: "ustar"; older tars have a checksum in octal at 148 instead.
    is_tar = head[257:262] == b"ustar" or (len(head) >= 156 and _old_tar(head))
    if len(head) >= 262 and not is_tar:
        raise _broken(archive.path, "it is no image archive (no tar inside)")
    if len(head) < 262 and archive.packing == "none":
        raise _broken(archive.path, "it is too short to be an image archive")


def _old_tar(head: bytes) -> bool:
    try:
        told = int(head[148:156].rstrip(b"\0 ") or b"x", 8)
    except ValueError:
        return False
    return told == sum(head[:148]) + 8 * 0x20 + sum(head[156:512])


def verify(archive: Archive, report: Callable[[int], None]) -> None:
    """Read a zip's member once and compare its CRC; ``report`` gets the bytes read so far.

    Other files carry no checksum in front; the engine finds damage while it loads them.
    """
    if archive.member is None:
        return
    done = 0
    for block in blocks(archive):
        done += len(block)
        report(done)


def blocks(archive: Archive) -> Iterator[bytes]:
    """Yield the bytes for the engine, about a megabyte at a time.

    :raises BrokenArchiveError: the zip is damaged there, or its CRC is wrong at the end.
    """
    done = 0
    try:
        with archive.open() as stream:
            while block := stream.read(BLOCK):
                done += len(block)
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _broken(archive.path, f"it is damaged after {done} bytes ({error})") from error
    except OSError as error:
        raise _broken(archive.path, f"it cannot be read after {done} bytes ({error})") from error
    if done != archive.size:
        raise _broken(archive.path, f"it has {done} bytes where {archive.size} were promised")


def _broken(path: Path, why: str, hint: str | None = None) -> BrokenArchiveError:
    if hint is None and _PART.search(path.name):
        hint = (
            "By its name it is one part of several: put them together first\n"
            "(cat NAME.001 NAME.002 > NAME, or the tool that cut it), and import the whole."
        )
    return BrokenArchiveError(
        f"{escape_control(path.name)}: {why}",
        hint=hint or "Compare its size and checksum with the download page, and download it again.",
    )
