"""Builds HEF files of every kind for the tests: any header version, any metadata."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, Any

import xxhash

from orchestrator.hef.schema import message_class
from orchestrator.hef.wire import varint

if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"\x01HEF"


def pack(
    proto: bytes,
    version: int = 2,
    ccws: bytes = b"",
    *,
    padding: int = 0,
    additional: bytes = b"",
    proto_hash: bool = True,
) -> bytes:
    """Put metadata into a file with a header of the given version and right checksums."""
    if version == 0:
        return _header(0, proto) + bytes(4) + hashlib.md5(proto).digest() + proto
    if version == 1:
        body = proto + ccws
        return _header(1, proto) + struct.pack(">IQI", zlib.crc32(body), len(ccws), 0) + body
    if version == 2:
        body = proto + ccws
        sums = struct.pack(">QQQQ", xxhash.xxh3_64_intdigest(body), len(ccws), 0, 0)
        return _header(2, proto) + sums + body
    body = proto + bytes(padding) + ccws + additional
    hashed = xxhash.xxh3_64_intdigest(proto) if proto_hash else 0
    rest = struct.pack(
        ">QQIQQQ",
        xxhash.xxh3_64_intdigest(body),
        padding + len(ccws),
        padding,
        len(additional),
        hashed,
        0,
    )
    return _header(3, proto) + rest + body


def _header(version: int, proto: bytes) -> bytes:
    return MAGIC + struct.pack(">II", version, len(proto))


def field(number: int, value: bytes | int) -> bytes:
    """Encode one protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def hef_message(
    *, arch: int = 1, extensions: Iterable[int] = (26,), optional: Iterable[int] = (11,)
) -> Any:
    """Return the start of a file: header and extensions, no network group."""
    hef = message_class()()
    hef.header.hw_arch = arch
    hef.header.version = 1
    hef.header.sdk_version_str = "3.31.0"
    for number in extensions:
        hef.extensions.add(id=number, name=f"ext{number}")
    for number in optional:
        hef.optional_extensions.add(id=number, name=f"opt{number}")
    return hef


def add_layer(
    context: Any,
    name: str,
    shape: tuple[int, int, int],
    *,
    output: bool = False,
    order: int = 1,
    data_bytes: int = 1,
    pad: int | None = None,
) -> Any:
    """Add a plain boundary layer; returns the edge layer, to be changed further."""
    layer = context.metadata.layers.add(direction=int(output))
    layer.switch.SetInParent()
    if pad is not None:
        layer.pad_index = pad
    fill_info(layer.info, name, shape, order=order, data_bytes=data_bytes)
    return layer


def fill_info(
    info: Any, name: str, shape: tuple[int, int, int], *, order: int = 1, data_bytes: int = 1
) -> None:
    info.name = name
    base = info.base
    base.height, base.width, base.features = shape
    base.padded_height, base.padded_width, base.padded_features = shape
    base.format, base.data_bytes = order, data_bytes
    base.buffer_indices.add()
    info.numeric.scale = 0.5
    info.original_names.append(f"orig/{name}")


def legacy(name: str = "net", **more: Any) -> tuple[Any, Any]:
    """A file without net flow: one group, one context with an input and an output."""
    hef = hef_message(**more)
    group = hef.groups.add()
    group.metadata.name = name
    context = group.contexts.add()
    add_layer(context, f"{name}/in", (8, 8, 3))
    add_layer(context, f"{name}/out", (4, 4, 8), output=True)
    group.sorted_outputs.append(f"{name}/out")
    return hef, group


def net_flow(*outputs: tuple[str, tuple[int, int, int]], **more: Any) -> tuple[Any, Any, Any]:
    """A file with net flow: outputs get pads 1, 2, ...; returns file, group and core op."""
    hef = hef_message(extensions=(13, 26), **more)
    group = hef.groups.add()
    group.metadata.name = "net"
    core = group.ops.add().core_op
    core.metadata.name = "net"
    context = core.contexts.add()
    add_layer(context, "net/in", (8, 8, 3), pad=0)
    for pad, (name, shape) in enumerate(outputs, start=1):
        add_layer(context, name, shape, output=True, pad=pad)
    group.sorted_outputs.extend(name for name, _ in outputs)
    return hef, group, core


def add_nms(group: Any, family: str, pads: Iterable[int], *, output: str = "net/nms") -> Any:
    """Add an NMS op fed by the given core pads; returns its NMS message."""
    op = group.ops.add(name="post")
    for place, pad in enumerate(pads):
        op.input_pads.add(index=100 + place)
        group.pad_edges.add(src=pad, dst=100 + place)
    op.output_pads.add(index=200, name=output)
    op.nms.score_threshold, op.nms.iou_threshold = 0.2, 0.7
    op.nms.max_per_class, op.nms.classes = 10, 5
    getattr(op.nms, family).SetInParent()
    group.sorted_outputs.insert(0, output)
    return op.nms


def operation(*actions: bytes, trigger: bytes | None = None) -> bytes:
    """One operation; each action is an encoded oneof member."""
    start = field(1, field(3, b"") if trigger is None else trigger)
    return start + b"".join(field(2, field(1, 7) + action) for action in actions)


def with_operation(message: Any, body: bytes) -> bytes:
    """Return a legacy file's metadata whose first context begins with an operation."""
    group = message.groups[0]
    context = group.contexts[0].SerializeToString()
    del group.contexts[:]
    rest = group.SerializeToString()
    del message.groups[:]
    changed = field(3, field(2, body) + context)
    return message.SerializeToString() + field(2, rest + changed)
