"""Edge layers: what enters and leaves a context of the chip, judged in HailoRT's order.

The order of the tests matters: a file with two faults must give the status of the first one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hef import formats
from orchestrator.hef.errors import HefInvalidError
from orchestrator.hef.faults import MAX_NAME, CrashError, invalid
from orchestrator.hef.formats import Order, Type
from orchestrator.hef.model import Direction, Quantization
from orchestrator.hef.onchip import NmsInfo, nms_shape, read_nms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.hef.metadata import Metadata
    from orchestrator.hef.model import Shape

MAX_NETWORK_NAME: Final = 256
_PERIPH_MAX: Final = 0x2000
_U8, _U16 = 0xFF, 0xFFFF
_NMS_QPS: Final = 2
#: Characters of a name that is refused for its length.
_SHOWN: Final = 200

INFO, MUX, PLANES = 0, 1, 2
BOUNDARY, INTERMEDIATE, DDR, CACHE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Layer:
    """A boundary layer. ``members`` are the predecessors of a mux or the planes of a picture."""

    name: str
    network: str
    direction: Direction
    context: int
    shape: Shape
    hw_shape: Shape
    order: int
    type: int
    transposed: bool
    quantization: Quantization
    original_names: tuple[str, ...] = ()
    nms: NmsInfo | None = None
    pad: int | None = None
    is_mux: bool = False
    is_planar: bool = False
    members: tuple[Layer, ...] = ()
    fused: Layer | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What the layers of one context share."""

    metadata: Metadata
    core_op: Any
    context: int

    @property
    def transposed(self) -> bool:
        """True for old files whose whole network is transposed."""
        return bool(self.core_op.metadata.transposed)

    def network(self, layer: Any) -> str:
        """Return the name of the layer's network without its group."""
        index = int(layer.network_index) & _U8  # HailoRT keeps eight bits of it
        if formats.MULTI_NETWORK not in self.metadata.optional:
            return str(self.core_op.metadata.name)
        names = self.core_op.networks
        if index >= len(names):
            message = f"a layer belongs to network {index}, but there are only {len(names)}"
            raise invalid(message, 2)
        return str(names[index])


def read_boundary(layer: Any, place: Place) -> Layer:
    """Return a layer that the host sees. Raises ``HefError`` where HailoRT refuses it."""
    direction = Direction.OUTPUT if layer.direction == 1 else Direction.INPUT
    network = place.network(layer)
    if layer.type == INFO:
        result = _read_info(layer.info, place, direction, network, in_mux=False)
    elif layer.type == MUX:
        result = _read_mux(layer.mux, place, direction, network)
    elif layer.type == PLANES:
        result = _read_planes(layer.planes, place, direction, network)
    else:
        message = f"a layer has the unknown type {layer.type}"
        raise invalid(message, 8)
    return replace(result, pad=layer.pad_index) if layer.HasField("pad_index") else result


def _check_names(name: str, network: str) -> None:
    if len(name.encode()) > MAX_NAME:
        shown = name if len(name) < _SHOWN else f"{name[:_SHOWN]}..."
        message = f"the layer name {shown!r} is longer than {MAX_NAME} bytes"
        raise invalid(message, 8, "hef.name-too-long")
    if len(network.encode()) > MAX_NETWORK_NAME:
        message = f"the network name {network!r} is longer than {MAX_NETWORK_NAME} bytes"
        raise invalid(message, 8, "hef.name-too-long")


def _full_network(place: Place, network: str) -> str:
    return f"{place.core_op.metadata.name}/{network}"


def _read_info(
    info: Any, place: Place, direction: Direction, network: str, *, in_mux: bool
) -> Layer:
    _check_names(info.name, network)
    base = _read_base(info.base, place, info.transposed, in_mux=in_mux, name=info.name)
    per_feature = formats.SCALE_PER_FEATURE in place.metadata.needed
    count = _NMS_QPS if base.order == Order.NMS_ON_CHIP else base.shape[2]
    quantization = _read_quantization(
        info, count, output=direction is Direction.OUTPUT, per_feature=per_feature
    )
    _require_buffer(info.base, info.name)
    layer = replace(
        base,
        name=info.name,
        network=_full_network(place, network),
        direction=direction,
        quantization=quantization,
        original_names=tuple(info.original_names),
    )
    fused = place.core_op.fused
    if fused.has_fused and base.nms is not None and base.nms.is_defused:
        return replace(layer, fused=_read_fused(fused.layers, layer, place))
    return layer


def _read_mux(mux: Any, place: Place, direction: Direction, network: str) -> Layer:
    _check_names(mux.name, network)
    base = _read_base(mux.base, place, transposed=False, in_mux=True, name=mux.name)
    _require_buffer(mux.base, mux.name)
    if mux.data.count > len(mux.predecessors):
        message = f"mux {mux.name!r} has {len(mux.predecessors)} of its {mux.data.count} layers"
        raise CrashError(message)
    members = []
    for edge in mux.predecessors[: mux.data.count]:
        kind = edge.WhichOneof("edge")
        if kind == "info":
            members.append(_read_info(edge.info, place, direction, network, in_mux=True))
        elif kind == "mux":
            members.append(_read_mux(edge.mux, place, direction, network))
        else:
            message = f"mux {mux.name!r} holds something that is not a layer"
            raise invalid(message, 8)
    return replace(
        base,
        name=mux.name,
        network=_full_network(place, network),
        direction=direction,
        original_names=tuple(mux.original_names),
        is_mux=True,
        members=tuple(members),
    )


def _read_planes(planes: Any, place: Place, direction: Direction, network: str) -> Layer:
    order = formats.PLANE_ORDERS.get(planes.format)
    if order is None:
        message = f"planes {planes.name!r} have the unknown format {planes.format}"
        raise invalid(message)
    _check_names(planes.name, network)
    if len(planes.planes) > _U8:
        message = f"{len(planes.planes)} planes in {planes.name!r}"
        raise CrashError(message)
    members = []
    for edge in planes.planes:
        if edge.WhichOneof("edge") != "info":
            message = f"planes {planes.name!r} hold something that is not a plain layer"
            raise invalid(message, 8)
        members.append(_read_info(edge.info, place, direction, network, in_mux=False))
    if not members:
        message = f"planes {planes.name!r} are empty"
        raise CrashError(message)
    if any(member.type != members[0].type for member in members):
        message = f"the planes of {planes.name!r} have different types"
        raise invalid(message)
    shape = (planes.height, planes.width, planes.features)
    return Layer(
        name=planes.name,
        network=_full_network(place, network),
        direction=direction,
        context=place.context,
        shape=shape,
        hw_shape=shape,
        order=order,
        type=members[0].type,
        transposed=False,
        quantization=Quantization(0.0, 0.0, (0.0, 0.0)),
        original_names=tuple(name for member in members for name in member.original_names),
        is_planar=True,
        members=tuple(members),
    )


def _read_base(base: Any, place: Place, transposed: bool, *, in_mux: bool, name: str) -> Layer:
    order, shape, swapped, kind = _read_format(base, place, transposed, name)
    padded = (base.padded_height, base.padded_width, base.padded_features)
    hw_shape = padded
    if not in_mux and _pads_in_hardware(base, order, place):
        # the core adds the padding itself, so the plain shape crosses the bus
        hw_shape = (base.height, base.width, base.features)
        check_registers(base, name)
        if base.width * base.data_bytes > _U16:
            message = f"layer {name!r} is {base.width} wide, too much for the padding unit"
            raise invalid(message)
    else:
        check_registers(base, name)
    check_indices(base, name)
    nms = None
    if order is Order.NMS_ON_CHIP:
        nms = read_nms(base.additional.nms, place.metadata)
    return Layer(
        name="",
        network="",
        direction=Direction.INPUT,
        context=place.context,
        shape=shape,
        hw_shape=hw_shape,
        order=order,
        type=kind,
        transposed=swapped,
        quantization=Quantization(0.0, 0.0, (0.0, 0.0)),
        nms=nms,
    )


def _read_format(
    base: Any, place: Place, transposed: bool, name: str
) -> tuple[Order, Shape, bool, Type]:
    order = device_order(base, name)
    shape: Shape = (base.height, base.width, base.features)
    if order is Order.NMS_ON_CHIP:
        shape = nms_shape(base.additional.nms)
    swapped = (place.transposed or transposed) and order is not Order.NC
    if swapped:
        shape = (shape[1], shape[0], shape[2])
    if base.host_argmax:
        message = f"layer {name!r} asks for an argmax on the host, as files before 4.14 did"
        raise HefInvalidError(
            message, status=92, code="hef.host-argmax", hint="Compile the model again."
        )
    return order, shape, swapped, data_type(base, name)


def device_order(base: Any, name: str) -> Order:
    """Return the order of data on the chip; status 8 for unknown ones."""
    order = formats.DEVICE_ORDERS.get(base.format)
    if order is None:
        message = f"layer {name!r} has the unknown data format {base.format}"
        raise invalid(message, 8, "hef.format")
    return order


def data_type(base: Any, name: str) -> Type:
    """Return the type by the size of one number; status 2 for other sizes than 1 and 2."""
    if base.data_bytes not in (1, 2):
        message = f"layer {name!r} has numbers of {base.data_bytes} bytes; 1 and 2 are possible"
        raise invalid(message, 2, "hef.data-bytes")
    return Type.UINT8 if base.data_bytes == 1 else Type.UINT16


def _pads_in_hardware(base: Any, order: Order, place: Place) -> bool:
    if order is not Order.NHCW or formats.HW_PADDING in place.metadata.optional:
        return False
    limit = min(_PERIPH_MAX, base.max_shmifo or _PERIPH_MAX)
    row = base.width * base.features & formats.U32
    return bool(
        base.buffers_per_frame & _U16 == base.height
        and row % 8 == 0
        and (row * base.data_bytes & formats.U32) <= limit - 1
    )


def check_registers(base: Any, name: str) -> None:
    """Refuse transfer sizes that do not fit into 16 bits (26)."""
    for what in ("bytes_per_buffer", "buffers_per_frame"):
        if (value := getattr(base, what)) > _U16:
            message = f"layer {name!r}: {what} is {value}, the largest possible is {_U16}"
            raise invalid(message)


def check_indices(base: Any, name: str) -> None:
    """Refuse stream and engine numbers that do not fit into 8 bits (26)."""
    for what in ("sys_index", "engine"):
        if (value := getattr(base, what)) > _U8:
            message = f"layer {name!r}: {what} is {value}, the largest possible is {_U8}"
            raise invalid(message)


def _require_buffer(base: Any, name: str) -> None:
    if not base.buffer_indices:
        message = f"layer {name!r} has no buffer index"
        raise CrashError(message)


def _read_fused(layers: Sequence[Any], defused: Layer, place: Place) -> Layer:
    assert defused.nms is not None
    wanted = defused.nms.original_name
    fused = next((item for item in layers if item.layer.name == wanted), None)
    if fused is None:
        message = f"layer {defused.name!r} is a part of {wanted!r}, which is not in the file"
        raise invalid(message, 61)
    base, name = fused.layer.base, fused.layer.name
    order = device_order(base, name)
    kind = data_type(base, name)
    nms = read_nms(fused.nms, place.metadata)
    _check_names(name, "")
    _require_buffer(base, name)
    shape = nms_shape(fused.nms)
    return replace(
        defused,
        name=name,
        shape=shape,
        hw_shape=(0, 0, 0),
        order=order,
        type=kind,
        transposed=False,
        nms=nms,
        original_names=tuple(fused.layer.original_names) or defused.original_names,
    )


def _read_quantization(info: Any, count: int, *, output: bool, per_feature: bool) -> Quantization:
    numeric = info.numeric
    zero_points, scales = tuple(numeric.zero_points), tuple(numeric.scales)
    limits = (numeric.limit_min, numeric.limit_max)
    if not per_feature:
        return Quantization(numeric.zero_point, numeric.scale, limits)
    if any(values and len(values) != count for values in (zero_points, scales)) and (
        output or min(len(values) for values in (zero_points, scales) if values) < count
    ):
        message = (
            f"layer {info.name!r} has {len(zero_points)} zero points and {len(scales)} scales "
            f"for {count} features"
        )
        raise invalid(message, code="hef.quantization")
    zero_points, scales = zero_points[:count], scales[:count]
    if not output and (_differ(zero_points) or _differ(scales)):
        message = f"input {info.name!r} has different scales for its features"
        raise invalid(message, code="hef.quantization")
    return Quantization(
        zero_points[0] if zero_points else numeric.zero_point,
        scales[0] if scales else numeric.scale,
        limits,
        zero_points if len(zero_points) > 1 else (),
        scales if len(scales) > 1 else (),
    )


def _differ(values: tuple[float, ...]) -> bool:
    # HailoRT compares the bits of 32-bit numbers, so that NaN equals itself
    return len({_bits(value) for value in set(values)}) > 1 if values else False


def _bits(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))
