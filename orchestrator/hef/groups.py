"""Network groups: which core op counts, which names they go by, and their inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orchestrator.hef import formats
from orchestrator.hef.contexts import CoreOp, read_core_op
from orchestrator.hef.errors import HefError
from orchestrator.hef.faults import MAX_NAME, CrashError, invalid
from orchestrator.hef.layers import MAX_NETWORK_NAME, Layer
from orchestrator.hef.model import (
    LogitsOp,
    NetworkGroup,
    NetworkView,
    NmsOp,
    NmsShape,
    Stream,
    Tensor,
)
from orchestrator.hef.netflow import NMS_ORDERS, Op, frame_size, read_ops
from orchestrator.hef.wire import too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.hef.metadata import Metadata

_T = TypeVar("_T")
_BUS_ALIGNMENT: Final = 8
_NO_LAYOUT: Final = 0xFFFF_FFFF


#: What of one file is described in full; real files have dozens of layers, HailoRT 8 networks.
_MAX_LAYERS: Final = 4_000
_MAX_NETWORKS: Final = 256
_MAX_VARIANTS: Final = 64


@dataclass(frozen=True)
class _Group:
    """A group on the way: everything HailoRT keeps of it.

    The two tables remember what was made of a layer, which several networks may list.
    """

    name: str
    networks: tuple[str, ...]
    outputs_order: tuple[str, ...]
    core_op: CoreOp
    ops: tuple[Op, ...]
    declared_contexts: int
    declared_name: str
    tensors: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    streams: dict[int, tuple[Stream, ...]] = field(default_factory=dict)

    def tensors_of(self, layers: Sequence[Layer]) -> list[Tensor]:
        """Return the tensors of layers of this group."""
        found: list[Tensor] = []
        for layer in layers:
            if id(layer) not in self.tensors:
                self.tensors[id(layer)] = tuple(_tensors([layer]))
            found += self.tensors[id(layer)]
        return found

    def streams_of(self, layers: Sequence[Layer]) -> tuple[Stream, ...]:
        """Return the streams of layers of this group."""
        found: list[Stream] = []
        for layer in layers:
            if id(layer) not in self.streams:
                self.streams[id(layer)] = _streams([layer])
            found += self.streams[id(layer)]
        return tuple(found)


def read_groups(metadata: Metadata) -> tuple[NetworkGroup, ...]:
    """Read every network group, sorted by name as HailoRT lists them.

    Raises ``HefError`` for what makes HailoRT refuse the whole file. What it refuses only when
    it comes to list a group's inputs or outputs is kept in the group's ``problems``.
    """
    sources = [_Source(group, metadata) for group in metadata.message.groups]
    first: dict[str, _Source] = {}
    for source in sources:
        first.setdefault(source.name, source)
    # HailoRT keeps these two over all groups: a later group can find variants of an earlier one.
    layouts: dict[int, CoreOp] = {}
    ops: dict[str, tuple[Op, ...]] = {}
    groups: dict[str, _Group] = {}
    described = 0
    for source in sources:
        group = _read_group(source, first[source.name], metadata, layouts, ops)
        described += sum(_count(layer) for layer in group.core_op.inputs + group.core_op.outputs)
        if described > _MAX_LAYERS:
            raise too_large(_MAX_LAYERS, "inputs and outputs")
        if group.name in groups:
            message = f"two network groups are called {group.name!r}"
            raise invalid(message, 6, "hef.duplicate-group")
        groups[group.name] = group
    metadata.require_supported()
    return tuple(_finish(groups[name]) for name in sorted(groups, key=str.encode))


def _count(layer: Layer) -> int:
    return 1 + sum(map(_count, layer.members))


class _Source:
    """A network group in the file, and the core op that it names."""

    def __init__(self, group: Any, metadata: Metadata) -> None:
        self.group = group
        self.net_flow = formats.NET_FLOW in metadata.needed
        self.partials: list[tuple[int, Any]]
        if self.net_flow:
            core = next((op.core_op for op in group.ops if op.WhichOneof("op") == "core_op"), None)
            if core is None:
                message = "a network group has no core op: nothing in it runs on the chip"
                raise CrashError(message, code="hef.no-core-op")
            self.core_op = core
            self.partials = [(item.layout.bitmap, item.core_op) for item in core.partials]
        else:
            self.core_op = group
            self.partials = [(item.layout.bitmap, item.group) for item in group.partials]
        named = group.partials[0].group if group.partials else group
        self.name = str(named.metadata.name)


def _read_group(
    source: _Source,
    first: _Source,
    metadata: Metadata,
    layouts: dict[int, CoreOp],
    ops: dict[str, tuple[Op, ...]],
) -> _Group:
    networks = _network_names(source.group, first.core_op, source.name, metadata)
    variants = first.partials if metadata.multi_layout else [(_NO_LAYOUT, first.core_op)]
    if len(variants) > _MAX_VARIANTS:
        raise too_large(_MAX_VARIANTS, "variants of a group")
    for bitmap, message in variants:
        core_op = read_core_op(message, metadata)
        found: tuple[Op, ...] = ()
        if source.net_flow:
            found = read_ops(source.group, core_op, network=f"{source.name}/{source.name}")
        ops.setdefault(core_op.name, found)
        layouts[bitmap] = core_op
    if not layouts:
        made_for = formats.compatible_chips(metadata.hw_arch)[0]
        text = f"group {source.name!r} has no partial core ops, which a file for {made_for} needs"
        raise CrashError(text, code="hef.no-partial-core-ops")
    chosen = layouts[min(layouts)]
    order = _outputs_order(source, first.core_op)
    if source.name not in ops:
        text = f"group {source.name!r} holds a core op of another name"
        raise CrashError(text, code="hef.core-op-name")
    declared = first.partials[0][1] if metadata.multi_layout and first.partials else first.core_op
    return _Group(
        name=source.name,
        networks=networks,
        outputs_order=order,
        core_op=chosen,
        ops=ops[source.name],
        declared_contexts=len(declared.contexts),
        declared_name=str(declared.metadata.name),
    )


def _network_names(group: Any, core_op: Any, name: str, metadata: Metadata) -> tuple[str, ...]:
    names: Sequence[str] = ()
    if formats.MULTI_NETWORK in metadata.optional:
        if group.networks:
            names = core_op.networks
        elif group.partials:
            names = group.partials[0].group.networks
    if len(names) > _MAX_NETWORKS:
        raise too_large(_MAX_NETWORKS, "networks in a group")
    return tuple(f"{name}/{network}" for network in names) or (f"{name}/{name}",)


def _outputs_order(source: _Source, core_op: Any) -> tuple[str, ...]:
    group = source.group
    if core_op.fused.has_fused:
        return tuple(core_op.fused.sorted_outputs)
    if not source.net_flow and group.partials and group.partials[0].group.sorted_outputs:
        return tuple(group.partials[0].group.sorted_outputs)
    if group.sorted_outputs:
        return tuple(group.sorted_outputs)
    # Very old files keep the order in the last context.
    if not core_op.contexts:
        message = "the order of the outputs is nowhere in the file"
        raise CrashError(message, code="hef.no-outputs-order")
    names = tuple(core_op.contexts[-1].metadata.sorted_outputs)
    if not names:
        message = "the order of the outputs is not in the file"
        raise invalid(message, code="hef.no-outputs-order")
    return names


def _finish(group: _Group) -> NetworkGroup:
    metadata = group.core_op.message.metadata
    whole = _view(group, "")
    problems = dict(whole.problems)
    views: tuple[NetworkView, ...] = ()
    fault = _listing_fault(group)
    if fault is None:
        by_name = {network: _view(group, network) for network in dict.fromkeys(group.networks)}
        views = tuple(by_name[network] for network in group.networks)
    else:
        problems["group"] = fault
        whole = NetworkView("", (), (), (), (), {})
    return NetworkGroup(
        name=group.name,
        networks=group.networks,
        contexts=group.core_op.contexts,
        inputs=whole.inputs,
        outputs=whole.outputs,
        streams=whole.input_streams + whole.output_streams,
        nms_ops=tuple(item.op for item in group.ops if isinstance(item.op, NmsOp)),
        logits_ops=tuple(item.op for item in group.ops if isinstance(item.op, LogitsOp)),
        predicted_fps=metadata.bottleneck_fps or None,
        latency=metadata.latency or None,
        operations=metadata.operations or None,
        transposed=metadata.transposed,
        problems=problems,
        views=views,
        declared_contexts=group.declared_contexts,
        last_op=group.ops[-1].op if group.ops else None,
    )


def _listing_fault(group: _Group) -> HefError | None:
    """What HailoRT says when it lists the group at all."""
    if len(group.declared_name.encode()) > MAX_NAME:
        message = f"the group name {group.declared_name!r} is longer than {MAX_NAME} bytes"
        return invalid(message, 8, "hef.name-too-long")
    if group.declared_name != group.name or group.core_op.name != group.name:
        message = f"group {group.name!r} and its core op {group.core_op.name!r} differ in name"
        return invalid(message, 61, "hef.core-op-name")
    for network in group.networks:
        if len(network.encode()) > MAX_NETWORK_NAME:
            message = f"the network name {network!r} is longer than {MAX_NETWORK_NAME} bytes"
            return invalid(message, 8, "hef.name-too-long")
    return None


def _view(group: _Group, network: str) -> NetworkView:
    core_op = group.core_op
    everything = network in ("", f"{core_op.name}/{core_op.name}")

    def chosen(layers: Sequence[Layer]) -> list[Layer]:
        found = [layer for layer in layers if everything or layer.network == network]
        if not found:
            message = f"network {network or group.name!r} has no layers of this direction"
            raise invalid(message, 61, "hef.no-layers")
        return found

    problems: dict[str, HefError] = {}

    def attempt(key: str, make: Callable[[], tuple[_T, ...]]) -> tuple[_T, ...]:
        try:
            return make()
        except HefError as error:
            problems[key] = error
            return ()

    return NetworkView(
        name=network,
        input_streams=attempt("input_streams", lambda: group.streams_of(chosen(core_op.inputs))),
        output_streams=attempt("output_streams", lambda: group.streams_of(chosen(core_op.outputs))),
        inputs=attempt("inputs", lambda: tuple(group.tensors_of(chosen(core_op.inputs)))),
        outputs=attempt("outputs", lambda: _outputs(group, chosen(core_op.outputs))),
        problems=problems,
    )


def _outputs(group: _Group, layers: Sequence[Layer]) -> tuple[Tensor, ...]:
    consumed = frozenset().union(*(op.consumed for op in group.ops))
    tensors: dict[str, Tensor] = {}
    for tensor in group.tensors_of([item for item in layers if item.name not in consumed]):
        tensors.setdefault(tensor.name, tensor)
    found = [*tensors.values(), *(op.output for op in group.ops)]
    places = {name: place for place, name in reversed(tuple(enumerate(group.outputs_order)))}
    if len(found) > 1:
        for tensor in found:
            if tensor.name not in places:
                message = f"output {tensor.name!r} is missing in the order of the outputs"
                raise invalid(message, 8, "hef.outputs-order")
        found.sort(key=lambda tensor: places[tensor.name])
    if not found:
        message = f"group {group.name!r} has no outputs"
        raise invalid(message, 61, "hef.no-layers")
    return tuple(found)


def _tensors(layers: Sequence[Layer]) -> list[Tensor]:
    found: list[Tensor] = []
    for layer in layers:
        if layer.is_mux:
            found += _tensors(layer.members)
        else:
            found.append(_tensor(layer.fused or layer))
    return found


def _tensor(layer: Layer) -> Tensor:
    order = layer.order if layer.is_planar else formats.host_order(layer.order)
    kind = layer.type
    nms = None
    if order in NMS_ORDERS:
        kind = formats.Type.FLOAT32
        if layer.nms is not None:
            boxes = layer.nms.max_boxes * layer.nms.chunks & formats.U32
            total = boxes * layer.nms.classes & formats.U32
            nms = NmsShape(layer.nms.classes, boxes, total)
    return Tensor(
        name=layer.name,
        direction=layer.direction,
        network=layer.network,
        shape=None if nms else layer.shape,
        padded_shape=None if nms else layer.hw_shape,
        nms_shape=nms,
        order=formats.order_text(order),
        type=formats.type_text(kind),
        frame_size=frame_size(order, kind, layer.shape, nms),
        quantization=layer.quantization,
        original_names=layer.original_names,
    )


def _streams(layers: Sequence[Layer]) -> tuple[Stream, ...]:
    found: list[Stream] = []
    for layer in layers:
        # The planes of a picture are streams of their own, the members of a mux share one.
        for part in layer.members if layer.is_planar else (layer,):
            members = tuple(tensor.name for tensor in _tensors(part.members))
            found.append(_stream(part, members))
    return tuple(found)


def _stream(layer: Layer, members: tuple[str, ...]) -> Stream:
    if layer.nms is not None:
        size = layer.nms.frame_size
        nms = NmsShape(
            layer.nms.classes,
            layer.nms.max_boxes,
            layer.nms.max_boxes * layer.nms.classes & formats.U32,
        )
    else:
        plain = formats.shape_size(layer.hw_shape, formats.type_bytes(layer.type))
        size, nms = formats.align(plain, _BUS_ALIGNMENT) & formats.U32, None
    return Stream(
        name=layer.name,
        direction=layer.direction,
        network=layer.network,
        shape=layer.shape,
        hw_shape=layer.hw_shape,
        order=formats.order_text(layer.order),
        type=formats.type_text(layer.type),
        hw_frame_size=size,
        quantization=layer.quantization,
        original_names=layer.original_names,
        nms_shape=nms,
        context=layer.context,
        members=members,
    )
