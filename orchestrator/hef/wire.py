"""Walk protobuf bytes without trusting them, before the protobuf library sees any.

Two things are done here that the library cannot do: bytes that we never need (``mapping``,
configuration steps) are taken out instead of being copied into memory, and the number of
messages is limited, because two bytes of an empty submessage cost fifty bytes once decoded.
What is left is small (kilobytes for real files) and goes to the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from orchestrator.hef.errors import HefCorruptError, HefTooLargeError
from orchestrator.hef.schema import SPANS_FIELD, fields

if TYPE_CHECKING:
    from collections.abc import Callable

VARINT, FIXED64, BYTES, GROUP_START, GROUP_END, FIXED32 = range(6)

#: Depth of nested messages at which HailoRT's parser gives up.
MAX_DEPTH: Final = 100
#: Limits far above any real HEF (the largest seen has some thousand messages).
MAX_FIELDS: Final = 300_000
MAX_MESSAGES: Final = 100_000
MAX_PACKED_BYTES: Final = 1 << 20
MAX_METADATA_BYTES: Final = 4 << 20
#: Groups up to this size are walked in memory; those of new files have some hundred kilobytes,
#: those of version 0 hold the weights.
_COPY_BELOW: Final = 64 << 20

#: Messages on the way to configuration steps; everything else is copied as it is.
_ROUTE: Final = frozenset(
    {"Hef", "Group", "CoreOp", "PartialGroup", "PartialCoreOp", "Op", "Context", "Preliminary"}
)
#: Where operations are: message and field number.
_OPERATIONS: Final = {"Context": 2, "Preliminary": 1}


class Bytes(Protocol):
    """What is walked: ``bytes``, or the window of a file; slices of both are ``bytes``."""

    def __getitem__(self, index: int, /) -> int:
        """Return one byte."""
        ...


class MalformedError(HefCorruptError):
    """Bytes that are no protobuf; ``position`` counts from the start of what was walked."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(
            f"the metadata is not valid protobuf: {what} at byte {position}",
            code="hef.proto",
            offset=position,
        )
        self.position = position
        self.what = what


def read_varint(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number at ``position`` and the position after it."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        if byte < 0x80:
            return (value | byte << shift) & 0xFFFF_FFFF_FFFF_FFFF, position
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift >= 70:
            raise MalformedError(position, "a number longer than ten bytes")
    raise MalformedError(position, "a number that does not end")


def read_tag(data: Bytes, position: int, end: int) -> tuple[int, int, int]:
    """Return field number, wire type, and the position after the tag."""
    start = position
    tag, position = read_varint(data, position, end)
    if position - start > 5 or tag > 0xFFFF_FFFF or tag < 8:
        raise MalformedError(start, "an impossible field number")
    return tag >> 3, tag & 7, position


def read_length(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Return start and end of a length-delimited value."""
    size, position = read_varint(data, position, end)
    if size > end - position:
        raise MalformedError(position, f"{size} bytes are announced, {end - position} are left")
    return position, position + size


def skip_value(data: Bytes, number: int, wire: int, position: int, end: int, depth: int = 0) -> int:
    """Return the position after a value whose tag was just read."""
    if wire == VARINT:
        return read_varint(data, position, end)[1]
    if wire == BYTES:
        return read_length(data, position, end)[1]
    if wire in (FIXED64, FIXED32):
        position += 8 if wire == FIXED64 else 4
        if position > end:
            raise MalformedError(end, "a number that does not end")
        return position
    if wire == GROUP_START:
        return _skip_group(data, number, position, end, depth + 1)
    raise MalformedError(position, f"wire type {wire}")


def _skip_group(data: Bytes, number: int, position: int, end: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise MalformedError(position, "nesting that is too deep")
    while True:
        inner, wire, position = read_tag(data, position, end)
        if wire == GROUP_END:
            if inner != number:
                raise MalformedError(position, "a group that ends wrongly")
            return position
        position = skip_value(data, inner, wire, position, end, depth)


class Reducer:
    """Makes the small protobuf that :mod:`orchestrator.hef.schema` describes out of a HEF's own.

    ``operation`` is called with the buffer, start and end of every configuration operation, in
    file order; the number of the call is put in its place in the reduced message.
    """

    def __init__(self, operation: Callable[[Bytes, int, int], None]) -> None:
        self._operation = operation
        self._operations = 0
        self._fields = 0
        self._messages = 0
        self._packed = 0
        self._kept = 0

    def reduce(self, data: Bytes, start: int, end: int) -> bytes:
        """Return the reduced protobuf of bytes ``start`` to ``end``.

        Raises ``HefCorruptError`` for bytes that are no protobuf and ``HefTooLargeError`` for
        more metadata than any real file has.
        """
        return self._reduce("Hef", data, start, end, 0)

    def _reduce(self, kind: str, data: Bytes, start: int, end: int, depth: int) -> bytes:
        self._enter(start, depth)
        known = fields(kind)
        pieces: list[bytes] = []
        operations: list[bytes] = []
        position = start
        while position < end:
            self._count(position)
            began = position
            number, wire, position = read_tag(data, position, end)
            spec = known.get(number)
            if wire != BYTES:
                position = skip_value(data, number, wire, position, end, depth)
                if spec is not None and not spec.is_message and number != SPANS_FIELD:
                    pieces.append(self._keep(data, began, position))
                continue
            inner, position = read_length(data, position, end)
            if number == _OPERATIONS.get(kind):
                self._operation(data, inner, position)
                operations.append(varint(self._operations))
                self._operations += 1
            elif spec is None or number == SPANS_FIELD:
                continue
            elif spec.type in _ROUTE:
                body = self._descend(spec.type, data, inner, position, depth + 1)
                pieces += (varint(number << 3 | BYTES), varint(len(body)), body)
            else:
                if spec.is_message:
                    self._check(spec.type, data, inner, position, depth + 1)
                pieces.append(self._keep(data, began, position))
        if operations:
            packed = b"".join(operations)
            pieces += (varint(SPANS_FIELD << 3 | BYTES), varint(len(packed)), packed)
        return b"".join(pieces)

    def _descend(self, kind: str, data: Bytes, start: int, end: int, depth: int) -> bytes:
        if isinstance(data, bytes) or end - start > _COPY_BELOW:
            return self._reduce(kind, data, start, end, depth)
        # Plain bytes are walked many times as fast as the window of a file.
        copy = bytes(data[start:end])  # type: ignore[index]
        try:
            return self._reduce(kind, copy, 0, len(copy), depth)
        except MalformedError as error:
            raise MalformedError(error.position + start, error.what) from None

    def _check(self, kind: str, data: Bytes, start: int, end: int, depth: int) -> None:
        """Walk a message that will be copied as it is: count, and look for bad bytes."""
        self._enter(start, depth)
        known = fields(kind)
        position = start
        while position < end:
            self._count(position)
            tag = data[position]
            if 8 <= tag < 0x80:  # one byte, as nearly all are
                number, wire, position = tag >> 3, tag & 7, position + 1
            else:
                number, wire, position = read_tag(data, position, end)
            spec = known.get(number)
            if wire == VARINT and position < end and data[position] < 0x80:
                position += 1
            elif wire != BYTES:
                position = skip_value(data, number, wire, position, end, depth)
            else:
                inner, position = read_length(data, position, end)
                if spec is None:
                    continue
                if spec.is_message:
                    self._check(spec.type, data, inner, position, depth + 1)
                elif spec.repeated and not spec.is_text:
                    self._pack(position - inner)
                continue
            if spec is not None and spec.repeated:
                self._pack(8)

    def _enter(self, position: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise MalformedError(position, "nesting that is too deep")
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            raise too_large(MAX_MESSAGES, "messages")

    def _count(self, position: int) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise too_large(MAX_FIELDS, f"fields before byte {position}")

    def _pack(self, size: int) -> None:
        self._packed += size
        if self._packed > MAX_PACKED_BYTES:
            raise too_large(MAX_PACKED_BYTES, "bytes of number lists")

    def _keep(self, data: Bytes, start: int, end: int) -> bytes:
        self._kept += end - start
        if self._kept > MAX_METADATA_BYTES:
            raise too_large(MAX_METADATA_BYTES, "bytes of names and numbers")
        return bytes(data[start:end])  # type: ignore[index]


def varint(value: int) -> bytes:
    """Return ``value`` as a protobuf number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def too_large(limit: int, what: str) -> HefTooLargeError:
    """Return the error for metadata that goes over one of our limits."""
    return HefTooLargeError(
        f"the metadata holds more than {limit} {what}; no real HEF does, so it is not read further",
        hint="If this file does come from Hailo's compiler, report it.",
    )
