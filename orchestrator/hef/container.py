"""The outside of a HEF: header, sections, lengths, checksums. Big-endian, versions 0 to 3."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from orchestrator.hef.errors import (
    HefCorruptError,
    HefError,
    HefTruncatedError,
    HefVersionError,
    NotAHefError,
)
from orchestrator.hef.model import Check, Header
from orchestrator.hef.sniff import recognise

if TYPE_CHECKING:
    from orchestrator.hef.source import Source

MAGIC: Final = 0x01484546
COMMON_SIZE: Final = 12
HEADER_SIZES: Final = {0: 32, 1: 28, 2: 44, 3: 56}
_LAYOUTS: Final = {0: ">4x16s", 1: ">IQ4x", 2: ">QQ16x", 3: ">QQIQQ8x"}
#: Far above any HEF: sizes beyond it are noise.
_POSSIBLE: Final = 1 << 50
_U64: Final = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class Container:
    """What :func:`read_container` found: ``fatal`` says that nothing after it can be read."""

    size: int
    header: Header | None
    checks: tuple[Check, ...]
    problems: tuple[HefError, ...]
    vendor_status: int
    fatal: bool

    @property
    def proto_span(self) -> tuple[int, int]:
        """Where the metadata begins and ends, as the header says."""
        assert self.header is not None
        return self.header.size, self.header.size + self.header.proto_size

    @property
    def proto_complete(self) -> bool:
        """True when the file is long enough to hold the metadata."""
        return self.header is not None and self.proto_span[1] <= self.size

    @property
    def payload_offset(self) -> int:
        """Where weights and external resources begin (after the padding)."""
        assert self.header is not None
        return self.proto_span[1] + (self.header.padding_size or 0)


def read_container(source: Source, *, verify: bool) -> Container:
    """Read the header, compare lengths and, with ``verify``, every checksum.

    Problems are collected, not raised. ``vendor_status`` is what HailoRT's own checks of this
    part return: 0, 14, 91 or 92.
    """
    start = source.read(0, COMMON_SIZE)
    if len(start) < COMMON_SIZE:
        return _not_a_header(source, start)
    magic, version, proto_size = struct.unpack(">III", start)
    size = HEADER_SIZES.get(version)
    header = Header(version, size or COMMON_SIZE, proto_size)
    if size is None:
        return _unknown_version(source, header, is_hef=magic == MAGIC)
    rest = source.read(COMMON_SIZE, size - COMMON_SIZE)
    if len(rest) < size - COMMON_SIZE:
        return _short_header(source, header, is_hef=magic == MAGIC)
    header = _fill(header, rest)
    return _check(source, header, verify=verify, magic=magic, start=start)


def _fill(header: Header, rest: bytes) -> Header:
    values = struct.unpack(_LAYOUTS[header.version], rest)
    if header.version == 0:
        return replace(header, md5=values[0])
    if header.version == 1:
        return replace(header, crc32=values[0], ccws_size=values[1])
    if header.version == 2:
        return replace(header, xxh3_64=values[0], ccws_size=values[1])
    xxh3, ccws, padding, additional, proto = values
    return replace(
        header,
        xxh3_64=xxh3,
        ccws_size=ccws,
        padding_size=padding,
        additional_info_size=additional,
        proto_xxh3_64=proto,
    )


def _check(source: Source, header: Header, *, verify: bool, magic: int, start: bytes) -> Container:
    problems: list[HefError] = []
    checks = [_length_check(source, header)]
    # HailoRT looks at the magic only where it also checks the length
    wrong_magic = magic != MAGIC and not header.proto_xxh3_64
    if wrong_magic:
        problems.append(_no_hef(source, start, 92))
        if not checks[0].ok:
            return Container(source.size, header, (), tuple(problems), 92, fatal=True)
        # the length fits: a HEF with a damaged start, of which the rest can be shown
    elif magic != MAGIC:
        message = f"the file begins with {magic:08x}, a HEF begins with {MAGIC:08x}"
        problems.append(HefCorruptError(message, code="hef.magic", offset=0, status=0))
    complete = header.size + header.proto_size <= source.size
    # Sizes near 2**64 can wrap round to the right sum and still promise more than there is.
    if not checks[0].ok or not complete:
        problems.append(_length_problem(source, header))
    if verify:
        checks += _sums(source, header)
        problems += [_sum_problem(check) for check in checks[1:] if not check.ok]
    payload = (header.ccws_size or 0) - (header.padding_size or 0)
    if payload < 0:
        message = (
            f"the padding ({header.padding_size} bytes) is larger than the section "
            f"that holds it ({header.ccws_size} bytes)"
        )
        problems.append(HefCorruptError(message, code="hef.padding", offset=32, status=0))
    status = 92 if wrong_magic else _vendor_status(header, checks, complete=complete)
    return Container(source.size, header, tuple(checks), tuple(problems), status, fatal=False)


def _vendor_status(header: Header, checks: list[Check], *, complete: bool) -> int:
    passed = {check.name: check.ok is not False for check in checks}
    if header.proto_xxh3_64:
        # only the metadata is looked at, and a read past the end is a file error
        if not complete:
            return 14
        return 0 if passed.get("proto_xxh3_64", True) else 91
    return 0 if all(passed.values()) else 91


def _length_check(source: Source, header: Header) -> Check:
    found = source.size - header.size
    expected = header.stated & _U64  # HailoRT adds in 64 bits, so a size near 2**64 wraps round
    return Check(
        "length",
        found == expected,
        f"{expected} bytes after the header",
        f"{found} bytes after the header",
        header.size,
        vendor=not header.proto_xxh3_64,
    )


def _length_problem(source: Source, header: Header) -> HefError:
    stated = header.size + header.stated
    missing = stated - source.size
    lenient = bool(header.proto_xxh3_64)
    if missing > _POSSIBLE:
        return HefTruncatedError(
            f"the header says {stated} bytes, which no file has; this one has {source.size}",
            missing=missing,
            hint="The header was damaged; a tool that took the file for text does that.",
            offset=COMMON_SIZE,
            status=0 if lenient else 91,
        )
    if missing > 0:
        in_proto = header.size + header.proto_size > source.size
        what = "the metadata" if in_proto else "the weights" if header.ccws_size else "the file"
        return HefTruncatedError(
            f"{missing} of {stated} bytes are missing: "
            f"the file ends at byte {source.size}, in {what}",
            missing=missing,
            hint="Copy or download the file again; the transfer stopped early.",
            offset=source.size,
            status=14 if lenient and in_proto else 0 if lenient else 91,
        )
    return HefCorruptError(
        f"{-missing} bytes too many: the header says {stated}, the file has {source.size}",
        code="hef.length",
        hint="Something was appended to the file, or its header was damaged.",
        offset=stated,
        status=0 if lenient else 91,
    )


class _Sum(Protocol):
    """The face of a hash of :mod:`hashlib`."""

    def update(self, piece: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, piece: memoryview) -> None:
        self._value = zlib.crc32(piece, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def xxh3() -> _Sum:
    """Return a new XXH3 of 64 bits."""
    import xxhash

    return xxhash.xxh3_64()


def _sums(source: Source, header: Header) -> list[Check]:
    """Compute every checksum of the header in one pass over the file."""
    name, expected, state = _whole_sum(header)
    proto_end = min(header.size + header.proto_size, source.size)
    # An absent proto hash is zero; then HailoRT checks the whole file instead.
    proto = xxh3() if header.proto_xxh3_64 else None
    for piece in source.pieces(header.size, proto_end):
        state.update(piece)
        if proto is not None:
            proto.update(piece)
    for piece in source.pieces(proto_end, source.size):
        state.update(piece)
    checks = []
    if proto is not None:
        wanted = f"{header.proto_xxh3_64:016x}"
        checks.append(
            Check(
                "proto_xxh3_64", proto.hexdigest() == wanted, wanted, proto.hexdigest(), header.size
            )
        )
    whole = Check(
        name,
        state.hexdigest() == expected,
        expected,
        state.hexdigest(),
        header.size,
        vendor=proto is None,
    )
    return [*checks, whole]


def _whole_sum(header: Header) -> tuple[str, str, _Sum]:
    if header.version == 0:
        return "md5", (header.md5 or b"").hex(), hashlib.md5(usedforsecurity=False)
    if header.version == 1:
        return "crc32", f"{header.crc32:08x}", _Crc32()
    return "xxh3_64", f"{header.xxh3_64:016x}", xxh3()


_SUM_NAMES: Final = {
    "md5": "MD5 of the file",
    "crc32": "CRC32 of the file",
    "xxh3_64": "XXH3 of the whole file",
    "proto_xxh3_64": "XXH3 of the metadata",
}


def _sum_problem(check: Check) -> HefError:
    return HefCorruptError(
        f"the {_SUM_NAMES[check.name]} (from byte {check.offset}) does not match: "
        f"the header says {check.expected}, the bytes give {check.found}",
        code=f"hef.{check.name.replace('_', '-')}",
        hint="The file was damaged; copy or download it again.",
        offset=check.offset,
        status=91 if check.vendor else 0,
    )


def _no_hef(source: Source, start: bytes, status: int) -> NotAHefError:
    kind, hint = recognise(source.read(0, 512), source.size)
    shown = start[:4].hex(" ")
    message = kind or f"{source.name} is not a HEF: it begins with {shown or 'nothing'}"
    if kind:
        message = f"{source.name} is {kind}, not a HEF"
    return NotAHefError(message, hint=hint, status=status, offset=0)


def _not_a_header(source: Source, start: bytes) -> Container:
    magic = struct.pack(">I", MAGIC)
    error: HefError
    if start and magic.startswith(start[:4]):
        error = HefTruncatedError(
            f"{source.name} has only {source.size} byte{'s'[: source.size != 1]}; the header "
            "alone takes at least "
            f"{min(HEADER_SIZES.values())}",
            hint="Copy or download the file again; the transfer stopped early.",
            status=14,
            offset=source.size,
        )
    else:
        error = _no_hef(source, start, 14)
    return Container(source.size, None, (), (error,), 14, fatal=True)


def _short_header(source: Source, header: Header, *, is_hef: bool) -> Container:
    error: HefError
    if is_hef:
        error = HefTruncatedError(
            f"the file ends at byte {source.size}, inside the header, which takes "
            f"{header.size} bytes in version {header.version}",
            missing=header.size - source.size,
            hint="Copy or download the file again; the transfer stopped early.",
            status=14,
            offset=source.size,
        )
    else:
        error = _no_hef(source, source.read(0, 4), 14)
    return Container(source.size, header, (), (error,), 14, fatal=True)


def _unknown_version(source: Source, header: Header, *, is_hef: bool) -> Container:
    error: HefError
    if is_hef:
        error = HefVersionError(
            f"header version {header.version} is not known; versions 0 to 3 are",
            code="hef.header-version",
            hint="A newer compiler may have made it: update hefsmith and HailoRT.",
            offset=4,
        )
    else:
        error = _no_hef(source, source.read(0, 4), 92)
    return Container(source.size, header if is_hef else None, (), (error,), 92, fatal=True)
