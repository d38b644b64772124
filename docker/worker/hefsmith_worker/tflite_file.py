"""TFLite files: what a network takes, gives, and is made of, read without TensorFlow.

A ``.tflite`` is a FlatBuffer: little-endian tables whose fields are found through a table of
offsets. Only the few fields that are needed are read, each within the file's bounds.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple, Union

from hefsmith_worker.regular import open_regular

#: The file identifier, behind the first offset.
IDENTIFIER = b"TFL3"

#: ``TensorType`` of the schema, by number.
TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64",
    "int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4",
)  # fmt: skip

#: Types that hold quantised values when a scale goes with them.
QUANTISED_TYPES = frozenset(("int8", "uint8", "int16", "int4"))

#: More tensors, sides and bytes of a name than any network has. A list costs its file nothing:
#: each of its entries may be the same table, which is as large as the file.
MOST = 1 << 16
MOST_SIDES = 64
MOST_ENDS = 256
LONGEST_NAME = 1024

Buffer = Union[bytes, mmap.mmap]


class TfliteError(ValueError):
    """A file is no TFLite network, or a damaged one."""


class _Damaged(Exception):
    """Something points out of the file."""


@dataclass(frozen=True)
class Tensor:
    """One tensor: ``shape`` as in the file (NHWC), ``-1`` where it is left open."""

    name: str
    shape: Tuple[int, ...]
    type: str
    quantised: bool


@dataclass(frozen=True)
class TfliteNetwork:
    """The first subgraph of a file: its inputs and outputs, and all of its tensors."""

    inputs: Tuple[Tensor, ...]
    outputs: Tuple[Tensor, ...]
    tensors: Tuple[Tensor, ...]

    @property
    def quantised(self) -> Tuple[str, ...]:
        """Names of the quantised tensors."""
        return tuple(tensor.name for tensor in self.tensors if tensor.quantised)


def read_network(path: Path) -> TfliteNetwork:
    """Read a file's inputs, outputs and types. Raises :class:`TfliteError` and ``OSError``."""
    with open_regular(path) as stream:
        if len(stream.read(8)) < 8:
            raise TfliteError("%s is too short to be a TFLite file" % path.name)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _read(data, path.name)
            except (_Damaged, struct.error, IndexError, UnicodeDecodeError) as error:
                raise TfliteError("%s is damaged: %s" % (path.name, error))


def plain_name(name: str) -> str:
    """Return an input's name without what the converters add: ``serving_default_x:0`` is x."""
    short = name.rsplit(":", 1)[0] if name.rsplit(":", 1)[-1].isdigit() else name
    return short[len("serving_default_") :] if short.startswith("serving_default_") else short


def _read(data: Buffer, name: str) -> TfliteNetwork:
    if data[4:8] != IDENTIFIER:
        raise TfliteError("%s is not a TFLite file (no %s in it)" % (name, IDENTIFIER.decode()))
    model = _Table(data, _u32(data, 0))
    graphs = model.tables(2)
    if not graphs:
        raise TfliteError("%s has no network in it" % name)
    graph = graphs[0]
    tensors = [_tensor(table) for table in graph.tables(0)]
    if not graph.length(3):
        raise TfliteError("%s has no operations in it" % name)
    chosen = []
    for field in (1, 2):
        numbers = graph.numbers(field, MOST_ENDS)
        if not numbers or any(not 0 <= number < len(tensors) for number in numbers):
            raise TfliteError("%s names no inputs or outputs" % name)
        chosen.append(tuple(tensors[number] for number in numbers))
    return TfliteNetwork(chosen[0], chosen[1], tuple(tensors))


def _tensor(table: "_Table") -> Tensor:
    number = table.byte(1)
    kind = TYPES[number] if number < len(TYPES) else "type %d" % number
    shape = table.numbers(7, MOST_SIDES) or table.numbers(0, MOST_SIDES)
    quantisation = table.table(4)
    scaled = quantisation is not None and quantisation.length(2) > 0
    return Tensor(table.text(3), tuple(shape), kind, scaled and kind in QUANTISED_TYPES)


class _Table:
    """One FlatBuffer table; a field that is absent reads as its default."""

    def __init__(self, data: Buffer, at: int) -> None:
        if not 0 < at <= len(data) - 4:
            msg = "a table lies outside of the file"
            raise _Damaged(msg)
        self._data = data
        self._at = at
        self._fields = at - _i32(data, at)
        if not 0 <= self._fields <= len(data) - 4:
            msg = "a table's fields lie outside of the file"
            raise _Damaged(msg)
        self._size = _u16(data, self._fields)

    def _offset(self, field: int) -> int:
        """Return where a field is, 0 when it is absent."""
        place = 4 + 2 * field
        if place + 2 > self._size:
            return 0
        offset = _u16(self._data, self._fields + place)
        return self._at + offset if offset else 0

    def byte(self, field: int) -> int:
        """Return an unsigned byte."""
        at = self._offset(field)
        return self._data[at] if at else 0

    def table(self, field: int) -> "Optional[_Table]":
        """Return a table, ``None`` when it is absent."""
        at = self._offset(field)
        return _Table(self._data, at + _u32(self._data, at)) if at else None

    def _vector(self, field: int, width: int, most: int) -> Tuple[int, int]:
        """Return the first element's place and the length of a vector of so wide elements."""
        at = self._offset(field)
        if not at:
            return 0, 0
        start = at + _u32(self._data, at)
        length = _u32(self._data, start)
        if start + 4 + length * width > len(self._data):
            msg = "a list is longer than the file"
            raise _Damaged(msg)
        if length > most:
            msg = "a list has %d entries, more than any network's" % length
            raise _Damaged(msg)
        return start + 4, length

    def length(self, field: int) -> int:
        """Return the length of a vector of words."""
        return self._vector(field, 4, len(self._data))[1]

    def tables(self, field: int) -> "List[_Table]":
        """Return a vector of tables."""
        start, length = self._vector(field, 4, MOST)
        places = [start + 4 * index for index in range(length)]
        return [_Table(self._data, place + _u32(self._data, place)) for place in places]

    def numbers(self, field: int, most: int) -> List[int]:
        """Return a vector of at most so many 32-bit integers."""
        start, length = self._vector(field, 4, most)
        return [_i32(self._data, start + 4 * index) for index in range(length)]

    def text(self, field: int) -> str:
        """Return a string."""
        start, length = self._vector(field, 1, LONGEST_NAME)
        return bytes(self._data[start : start + length]).decode("utf-8")


def _u32(data: Buffer, at: int) -> int:
    number: int = struct.unpack_from("<I", data, at)[0]
    return number


def _i32(data: Buffer, at: int) -> int:
    number: int = struct.unpack_from("<i", data, at)[0]
    return number


def _u16(data: Buffer, at: int) -> int:
    number: int = struct.unpack_from("<H", data, at)[0]
    return number
