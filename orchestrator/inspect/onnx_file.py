"""Look into an ONNX file without the onnx package: only the parts that a report needs.

Weights are never loaded: their sizes come from their shapes, so a model of a gigabyte is read
in moments. Field numbers are those of the public ``onnx.proto``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orchestrator.hef.errors import (
    HefError,
    HefTooLargeError,
    HefUnreadableError,
    ModelFileError,
)
from orchestrator.hef.sniff import recognise
from orchestrator.hef.source import open_source
from orchestrator.hef.wire import (
    BYTES,
    FIXED32,
    VARINT,
    MalformedError,
    read_length,
    read_tag,
    read_varint,
    skip_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.hef.source import Source
    from orchestrator.hef.wire import Bytes

Dim = int | str | None
_MAX_NODES: Final = 200_000
_MAX_TENSORS: Final = 200_000
#: Constants up to this size are kept: they hold target shapes, axes and scales.
_SMALL: Final = 512
_INT64, _INT32, _FLOAT = 7, 6, 1
_SIZES: Final = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
TYPE_NAMES: Final = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}


@dataclass(frozen=True)
class Value:
    """An input, an output or a known intermediate; a side is a number, a name, or unknown."""

    name: str
    type: str
    shape: tuple[Dim, ...] | None


@dataclass(frozen=True)
class Weight:
    """A constant; ``external`` ones lie in another file, only small ones have ``values``."""

    shape: tuple[int, ...]
    size: int
    external: bool
    values: tuple[float, ...] | None

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Node:
    """One operator. ``ints`` and ``floats`` hold attributes that are numbers or lists of them."""

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ints: dict[str, tuple[int, ...]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    constant: Weight | None = None


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file, as far as it was read."""

    name: str
    size: int
    ir_version: int
    producer: str
    opsets: dict[str, int]
    graph_name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    known: dict[str, Value]
    weights: dict[str, Weight]
    nodes: tuple[Node, ...]

    @property
    def opset(self) -> int | None:
        """Version of the standard operators."""
        return self.opsets.get("")


def read_onnx(path: Path) -> OnnxModel:
    """Read an ONNX file. Raises a ``HefError`` with an ``onnx.`` code for anything else."""
    with open_source(path) as source:
        if not source.size:
            message = f"{source.name} is empty"
            raise ModelFileError(message, code="onnx.not-onnx")
        try:
            return _Reader(source.window(source.size), source).read()
        except (HefTooLargeError, HefUnreadableError):
            raise
        except HefError as error:
            raise _no_model(source, error) from error


def _no_model(source: Source, error: HefError) -> ModelFileError:
    """Say what a file is that is called like a model and is none, where its beginning tells."""
    kind, hint = recognise(source.read(0, min(source.size, 512)), source.size)
    message = f"{source.name} is not an ONNX model: {error.message}"
    if kind == "an ONNX model":
        hint = None
        if "announced" in error.message:
            what = error.what if isinstance(error, MalformedError) else error.message
            message = f"{source.name} ends too early: a cut download or copy ({what})"
    elif kind is not None:
        message = f"{source.name} is {kind}, not an ONNX model"
    return ModelFileError(message, code="onnx.not-onnx", offset=error.offset, hint=hint)


class _Reader:
    def __init__(self, data: Bytes, source: Source) -> None:
        self._data = data
        self._source = source
        self._nodes: list[Node] = []
        self._weights: dict[str, Weight] = {}
        self._values: dict[int, dict[str, Value]] = {11: {}, 12: {}, 13: {}}
        self._graph_name = ""

    def read(self) -> OnnxModel:
        numbers: dict[int, int] = {}
        texts: dict[int, str] = {}
        opsets: dict[str, int] = {}
        graphs = 0
        for number, wire, start, end in self._fields(0, self._source.size):
            if number == 1 and wire == VARINT:
                numbers[1] = start
            elif number in (2, 3) and wire == BYTES:
                texts[number] = self._text(start, end)
            elif number == 8 and wire == BYTES:
                domain, version = self._opset(start, end)
                opsets["" if domain == "ai.onnx" else domain] = version
            elif number == 7 and wire == BYTES:
                self._graph(start, end)
                graphs += 1
        if not graphs or not numbers:
            message = "it has no graph"
            raise ModelFileError(message)
        inputs = [v for k, v in self._values[11].items() if k not in self._weights]
        return OnnxModel(
            name=self._source.name,
            size=self._source.size,
            ir_version=numbers[1],
            producer=" ".join(texts.values()),
            opsets=opsets,
            graph_name=self._graph_name,
            inputs=tuple(inputs),
            outputs=tuple(self._values[12].values()),
            known=self._values[13] | self._values[11] | self._values[12],
            weights=self._weights,
            nodes=tuple(self._nodes),
        )

    def _fields(self, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield number, wire type, and the value (numbers) or its start and end (bytes)."""
        data = self._data
        while position < end:
            number, wire, position = read_tag(data, position, end)
            if wire == VARINT:
                value, position = read_varint(data, position, end)
                yield number, wire, value, 0
            elif wire == BYTES:
                start, position = read_length(data, position, end)
                yield number, wire, start, position
            else:
                start = position
                position = skip_value(data, number, wire, position, end)
                yield number, wire, start, position

    def _bytes(self, start: int, end: int) -> bytes:
        return bytes(self._data[start:end])  # type: ignore[index]

    def _text(self, start: int, end: int) -> str:
        return self._bytes(start, min(end, start + 4096)).decode("utf-8", "replace")

    def _opset(self, start: int, end: int) -> tuple[str, int]:
        domain, version = "", 0
        for number, wire, value, stop in self._fields(start, end):
            if number == 1 and wire == BYTES:
                domain = self._text(value, stop)
            elif number == 2 and wire == VARINT:
                version = value
        return domain, version

    def _graph(self, start: int, end: int) -> None:
        for number, wire, value, stop in self._fields(start, end):
            if wire != BYTES:
                continue
            if number == 1:
                if len(self._nodes) >= _MAX_NODES:
                    raise _too_many(_MAX_NODES, "nodes")
                self._nodes.append(self._node(value, stop))
            elif number == 2:
                self._graph_name = self._text(value, stop)
            elif number == 5:
                if len(self._weights) >= _MAX_TENSORS:
                    raise _too_many(_MAX_TENSORS, "weights")
                name, weight = self._tensor(value, stop)
                self._weights[name] = weight
            elif number in self._values:
                described = self._value(value, stop)
                if len(self._values[number]) >= _MAX_TENSORS:
                    raise _too_many(_MAX_TENSORS, "values")
                self._values[number][described.name] = described

    def _node(self, start: int, end: int) -> Node:
        inputs: list[str] = []
        outputs: list[str] = []
        texts = {3: "", 4: "", 7: ""}
        ints: dict[str, tuple[int, ...]] = {}
        words: dict[str, str] = {}
        constant: Weight | None = None
        for number, wire, value, stop in self._fields(start, end):
            if wire != BYTES:
                continue
            if number in (1, 2):
                (inputs if number == 1 else outputs).append(self._text(value, stop))
            elif number in texts:
                texts[number] = self._text(value, stop)
            elif number == 5:
                attribute = self._attribute(value, stop)
                ints[attribute.name] = attribute.ints
                words[attribute.name] = attribute.text
                constant = attribute.tensor or constant
        return Node(
            texts[4],
            texts[3],
            texts[7],
            tuple(inputs),
            tuple(outputs),
            {name: values for name, values in ints.items() if values},
            {name: text for name, text in words.items() if text},
            constant,
        )

    def _attribute(self, start: int, end: int) -> _Attribute:
        name, text = "", ""
        ints: list[int] = []
        tensor: Weight | None = None
        for number, wire, value, stop in self._fields(start, end):
            if number == 1 and wire == BYTES:
                name = self._text(value, stop)
            elif number in (3, 8) and wire == VARINT:
                ints.append(_signed(value))
            elif number == 8 and wire == BYTES and stop - value <= _SMALL:
                ints += map(_signed, self._packed(value, stop))
            elif number == 4 and wire == BYTES:
                text = self._text(value, stop)
            elif number == 5 and wire == BYTES:
                tensor = self._tensor(value, stop)[1]
        return _Attribute(name, tuple(ints[:_SMALL]), text, tensor)

    def _packed(self, start: int, end: int) -> list[int]:
        values, position = [], start
        while position < end:
            value, position = read_varint(self._data, position, end)
            values.append(value)
        return values

    def _tensor(self, start: int, end: int) -> tuple[str, Weight]:
        name, kind, external, raw = "", 0, False, (0, 0)
        dims: list[int] = []
        listed: list[float] = []
        for number, wire, value, stop in self._fields(start, end):
            if number == 1:
                dims += [value] if wire == VARINT else self._packed(value, min(stop, value + 640))
            elif number == 2 and wire == VARINT:
                kind = value
            elif number == 8 and wire == BYTES:
                name = self._text(value, stop)
            elif number == 9 and wire == BYTES:
                raw = (value, stop)
            elif number == 14 and wire == VARINT:
                external = value == 1
            elif number in (4, 5, 7):
                listed += self._listed(number, wire, value, stop) if len(listed) < _SMALL else []
        shape = tuple(_signed(side) for side in dims)
        weight = Weight(shape, 0, external, None)
        size = weight.count * _SIZES.get(kind, 1)
        values = tuple(listed) or self._raw(kind, *raw)
        return name, Weight(shape, size, external, values if weight.count <= 64 else None)

    def _listed(self, number: int, wire: int, start: int, end: int) -> list[float]:
        if wire == VARINT:
            return [_signed(start)]
        body = self._bytes(start, min(end, start + _SMALL))
        if number == 4 or wire == FIXED32:
            return [item for (item,) in struct.iter_unpack("<f", body[: len(body) // 4 * 4])]
        if end - start > _SMALL:
            return []
        return [float(_signed(item)) for item in self._packed(start, end)]

    def _raw(self, kind: int, start: int, end: int) -> tuple[float, ...] | None:
        code = {_INT64: "<q", _INT32: "<i", _FLOAT: "<f"}.get(kind)
        if code is None or not 0 < end - start <= _SMALL:
            return None
        body = self._bytes(start, end)
        step = struct.calcsize(code)
        return tuple(
            float(item) for (item,) in struct.iter_unpack(code, body[: len(body) // step * step])
        )

    def _value(self, start: int, end: int) -> Value:
        name, kind, shape = "", 0, None
        for number, wire, value, stop in self._fields(start, end):
            if number == 1 and wire == BYTES:
                name = self._text(value, stop)
            elif number == 2 and wire == BYTES:
                for inner, inner_wire, begin, finish in self._fields(value, stop):
                    if inner == 1 and inner_wire == BYTES:
                        kind, shape = self._tensor_type(begin, finish)
        return Value(name, TYPE_NAMES.get(kind, f"type {kind}"), shape)

    def _tensor_type(self, start: int, end: int) -> tuple[int, tuple[Dim, ...] | None]:
        kind, shape = 0, None
        for number, wire, value, stop in self._fields(start, end):
            if number == 1 and wire == VARINT:
                kind = value
            elif number == 2 and wire == BYTES:
                shape = tuple(
                    self._dim(begin, finish)
                    for inner, inner_wire, begin, finish in self._fields(value, stop)
                    if inner == 1 and inner_wire == BYTES
                )
        return kind, shape

    def _dim(self, start: int, end: int) -> Dim:
        found: Dim = None
        for number, wire, value, stop in self._fields(start, end):
            if number == 1 and wire == VARINT:
                found = _signed(value)
            elif number == 2 and wire == BYTES:
                found = self._text(value, stop) or None
        return found


@dataclass(frozen=True)
class _Attribute:
    name: str
    ints: tuple[int, ...]
    text: str
    tensor: Weight | None


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _too_many(limit: int, what: str) -> HefTooLargeError:
    return HefTooLargeError(
        f"the model has more than {limit} {what}; it is not read further", code="onnx.too-large"
    )
