"""Contexts of a core op: configuration, boundary layers, and the layers between contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hef.faults import CrashError, invalid
from orchestrator.hef.layers import (
    BOUNDARY,
    CACHE,
    DDR,
    INFO,
    INTERMEDIATE,
    Place,
    check_indices,
    check_registers,
    data_type,
    device_order,
    read_boundary,
)
from orchestrator.hef.model import Context, Direction
from orchestrator.hef.wire import too_large

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.hef.layers import Layer
    from orchestrator.hef.metadata import Metadata

_U8, _U16 = 0xFF, 0xFFFF
#: Boundary layers of one core op that we are ready to describe; real files have dozens.
_MAX_BOUNDARY: Final = 2_000


@dataclass(frozen=True)
class CoreOp:
    """One variant of a network group, read: its layers in the order in which HailoRT lists them."""

    message: Any
    contexts: tuple[Context, ...]
    inputs: tuple[Layer, ...]
    outputs: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """Name that the core op has for itself."""
        return str(self.message.metadata.name)


def read_core_op(message: Any, metadata: Metadata) -> CoreOp:
    """Read every context of a core op. Raises ``HefError`` where HailoRT refuses it."""
    _judge_operations(message.preliminary.spans, metadata)
    contexts: list[Context] = []
    inputs: list[Layer] = []
    outputs: list[Layer] = []
    if len(message.contexts) > _U16:
        raise too_large(_U16, "contexts")
    for index, context in enumerate(message.contexts):
        actions = _judge_operations(context.spans, metadata)
        boundary, counts = _read_layers(context, Place(metadata, message, index))
        inputs += [layer for layer in boundary if layer.direction is Direction.INPUT]
        outputs += [layer for layer in boundary if layer.direction is Direction.OUTPUT]
        if len(inputs) + len(outputs) > _MAX_BOUNDARY:
            raise too_large(_MAX_BOUNDARY, "inputs and outputs")
        contexts.append(Context(index, actions, *counts))
    _require_unique(inputs, outputs)
    _check_config_channels(message.metadata)
    if not contexts:
        name = message.metadata.name
        text = f"the core op {name!r} has no contexts: there is nothing to load into the chip"
        raise CrashError(text, code="hef.no-contexts")
    return CoreOp(message, tuple(contexts), tuple(inputs), tuple(outputs))


def _judge_operations(numbers: Iterable[int], metadata: Metadata) -> int:
    actions = 0
    for number in numbers:
        operation = metadata.operations[number]
        actions += operation.actions
        if operation.fault is not None:
            status, reason = operation.fault
            raise invalid(reason, status, "hef.action")
    return actions


def _read_layers(context: Any, place: Place) -> tuple[list[Layer], tuple[int, int, int, int]]:
    boundary: list[Layer] = []
    counts = [0, 0, 0, 0]
    pairs: tuple[list[Any], list[Any]] = ([], [])
    for layer in context.metadata.layers:
        connection = layer.switch.connection
        if connection not in (BOUNDARY, INTERMEDIATE, DDR, CACHE):
            message = f"a layer has the unknown connection type {connection}"
            raise invalid(message)
        counts[connection] += 1
        if connection == BOUNDARY:
            boundary.append(read_boundary(layer, place))
            continue
        _check_inner(layer, place)
        if connection == DDR:
            pairs[layer.direction == 1].append(layer)
    _check_ddr_pairs(*pairs, context=place.context)
    return boundary, (counts[0], counts[1], counts[2], counts[3])


def _check_inner(layer: Any, place: Place) -> None:
    """Judge a layer between contexts, to the chip's memory, or to a cache."""
    info, switch = layer.info, layer.switch
    if layer.type != INFO:
        message = f"layer {info.name!r} between contexts is not a plain layer"
        raise invalid(message)
    place.network(layer)
    base, name = info.base, info.name
    check_registers(base, name)
    check_indices(base, name)
    if switch.connection == DDR:
        if len(switch.connected) != 1:
            message = f"layer {name!r} has {len(switch.connected)} connected contexts, not one"
            raise invalid(message)
        _check_connected(switch.connected[0], name)
        if switch.connected[0].index != place.context:
            message = f"layer {name!r} goes through memory to another context"
            raise invalid(message)
    device_order(base, name)
    data_type(base, name)
    if switch.connection == DDR and switch.buffers > _U16:
        message = f"layer {name!r} keeps {switch.buffers} rows, the largest possible is {_U16}"
        raise invalid(message)
    if switch.connection == INTERMEDIATE:
        if not switch.connected:
            message = f"layer {name!r} leads to no context"
            raise invalid(message)
        _check_connected(switch.connected[0], name)
    if switch.connection == CACHE and switch.cache_id < 0:
        message = f"layer {name!r} has the cache number {switch.cache_id}"
        raise invalid(message)


def _check_connected(connected: Any, name: str) -> None:
    for what, value, largest in (
        ("sys_index", connected.sys_index, _U8),
        ("engine", connected.engine, _U8),
        ("context", connected.index, _U16),
    ):
        if value > largest:
            message = f"layer {name!r}: connected {what} is {value}, at most {largest} is possible"
            raise invalid(message)


def _check_ddr_pairs(inputs: list[Any], outputs: list[Any], *, context: int) -> None:
    if len(inputs) != len(outputs):
        message = (
            f"context {context} writes {len(outputs)} layers to memory and reads {len(inputs)}"
        )
        raise invalid(message)
    by_stream: dict[int, list[Any]] = {}
    for layer in inputs:
        by_stream.setdefault(layer.info.base.sys_index, []).append(layer.info.base)
    for layer in outputs:
        wanted = layer.switch.connected[0].sys_index
        found = by_stream.get(wanted, [])
        base = layer.info.base
        if len(found) != 1:
            message = f"memory layer {layer.info.name!r} has {len(found)} readers instead of one"
            raise invalid(message)
        if (found[0].bytes_per_buffer, found[0].buffers_per_frame) != (
            base.bytes_per_buffer,
            base.buffers_per_frame,
        ):
            message = f"both sides of memory layer {layer.info.name!r} differ in size"
            raise invalid(message)


def _require_unique(inputs: list[Layer], outputs: list[Layer]) -> None:
    seen: set[str] = set()
    for layer in (*inputs, *outputs):
        if layer.name in seen:
            message = f"the layer name {layer.name!r} appears more than once"
            raise invalid(message, code="hef.duplicate-layer")
        seen.add(layer.name)


def _check_config_channels(metadata: Any) -> None:
    count = metadata.config_channels
    if count > _U8:
        message = f"{count} configuration channels; {_U8} are possible"
        raise invalid(message)
    seen: set[int] = set()
    for channel in metadata.config_channel:
        if channel.index < max(count, 1) and channel.index not in seen:
            seen.add(channel.index)
            if channel.engine > _U8:
                message = f"configuration channel {channel.index} uses engine {channel.engine}"
                raise invalid(message)
