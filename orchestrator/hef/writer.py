"""Write HEF files for the emulator: true in form, and never to be taken for compiled ones."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from hefsmith_worker.contract import chips

from orchestrator.hef import formats
from orchestrator.hef.container import HEADER_SIZES, MAGIC
from orchestrator.hef.formats import align
from orchestrator.hef.schema import message_class
from orchestrator.hef.specs import FAMILY_FIELDS, consumed_streams, require_possible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.hef.specs import NetworkSpec, NmsSpec, StreamSpec

_PAGE: Final = 4096
_RESOURCE_ALIGNMENT: Final = 64
_MAX_REGISTER: Final = 0xFFFF
_FORMAT_NHCW, _FORMAT_NC, _FORMAT_NMS = 1, 2, 6
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 0, 1


def write_emulated_hef(
    network: NetworkSpec,
    *,
    arch: str,
    resources: Mapping[str, bytes],
    emulated_compiler: str = "",
    timestamp: int = 0,
) -> bytes:
    """Return the bytes of an emulated HEF (header version 3) for ``arch`` (``hailo8l``).

    ``resources`` become external resources, read back with :func:`read_resource`.
    ``emulated_compiler`` (``3.33.0``) is which compiler is played; it is kept in the version
    text, which always begins with ``emulated``. The same arguments give the same bytes.
    ``timestamp`` is kept as given; real compilers count milliseconds since 1970. Raises
    ``ValueError`` for a network that no chip could have (no inputs, duplicate names, a decoder
    that names no output, ...).
    """
    import xxhash

    chip = chips.by_name().get(arch.lower())
    if chip is None or not chip.codes:
        known = ", ".join(sorted(one.name for one in chips.CHIPS if one.codes))
        message = f"no such architecture: {arch} (known: {known})"
        raise ValueError(message)
    require_possible(network)
    hef = message_class()()
    hef.header.hw_arch = chip.code
    hef.header.timestamp = timestamp
    played = f" {emulated_compiler}" if emulated_compiler else ""
    hef.header.sdk_version_str = f"{formats.EMULATED}{played} (hefsmith; no chip can run this file)"
    hef.header.version = 1
    _add_extensions(hef, network, resources)
    _Writer(network, multi_layout=chip.multi_layout).write(hef.groups.add())
    payload = _add_resources(hef, resources)
    proto: bytes = hef.SerializeToString(deterministic=True)
    size = HEADER_SIZES[3] + len(proto)
    padding = align(size, _PAGE) - size
    body = proto + bytes(padding) + payload
    header = struct.pack(
        ">IIIQQIQQ8x",
        MAGIC,
        3,
        len(proto),
        xxhash.xxh3_64_intdigest(body),
        padding,
        padding,
        len(payload),
        xxhash.xxh3_64_intdigest(proto),
    )
    return header + body


def _add_resources(hef: Any, resources: Mapping[str, bytes]) -> bytes:
    import xxhash

    payload = bytearray()
    for name in sorted(resources):
        payload += bytes(-len(payload) % _RESOURCE_ALIGNMENT)
        data = resources[name]
        hef.resources.add(
            name=name,
            offset=len(payload),
            size=len(data),
            xxhash=xxhash.xxh3_64_intdigest(data),
        )
        payload += data
    return bytes(payload)


def _add_extensions(hef: Any, network: NetworkSpec, resources: Mapping[str, bytes]) -> None:
    needed = {formats.NET_FLOW, formats.PERIPH_IN_HAILORT}
    if network.contexts > 1:
        needed.add(formats.MULTI_CONTEXT)
    if any(stream.scales for stream in network.outputs):
        needed.add(formats.SCALE_PER_FEATURE)
    if network.nms is not None:
        needed.add(formats.NMS_EXTENSIONS[network.nms.family])
        if network.nms.box_decoding_only:
            needed.add(formats.BOX_DECODING)
    if resources:
        needed.add(formats.EXTERNAL_RESOURCES)
    for number in sorted(needed):
        hef.extensions.add(id=number, name=formats.EXTENSIONS[number][0])
    for number in (formats.MULTI_NETWORK, formats.HW_PADDING):
        hef.optional_extensions.add(id=number, name=formats.extension_name(number))


class _Writer:
    """Fills one network group. Pad numbers: inputs first, then outputs, then those of the op."""

    def __init__(self, network: NetworkSpec, *, multi_layout: bool) -> None:
        self._network = network
        self._multi_layout = multi_layout
        streams = (*network.inputs, *network.outputs)
        self._pads = {stream.name: index for index, stream in enumerate(streams)}

    def write(self, group: Any) -> None:
        network = self._network
        group.sorted_outputs.extend(_output_order(network))
        core = group.ops.add(name=network.name)
        for stream in network.inputs:
            core.input_pads.add(index=self._pads[stream.name], name=stream.name)
        for stream in network.outputs:
            core.output_pads.add(index=self._pads[stream.name], name=stream.name)
        core.core_op.sorted_outputs.extend(group.sorted_outputs)
        if self._multi_layout:
            # 8L and 15M keep the content one level deeper, and the names twice
            partial = group.partials.add()
            partial.layout.bitmap = 1
            self._describe(partial.group)
            inner = core.core_op.partials.add()
            inner.layout.bitmap = 1
            self._describe(inner.core_op)
            self._add_contexts(inner.core_op)
        else:
            self._describe(group)
            self._describe(core.core_op)
            self._add_contexts(core.core_op)
        if network.nms is not None:
            self._add_nms(group, network.nms)

    def _describe(self, target: Any) -> None:
        network = self._network
        target.metadata.name = network.name
        target.metadata.bottleneck_fps = network.predicted_fps
        target.metadata.latency = network.latency
        target.metadata.operations = network.operations
        target.metadata.config_channels = 1
        target.networks.append(network.name)
        if not target.sorted_outputs:
            target.sorted_outputs.extend(stream.name for stream in network.outputs)

    def _add_contexts(self, core_op: Any) -> None:
        network = self._network
        for index in range(network.contexts):
            context = core_op.contexts.add(index=index)
            context.metadata.name = f"context_{index}"
        for stream in network.inputs:
            self._add_layer(core_op.contexts[0], stream, _HOST_TO_DEVICE)
        for stream in network.outputs:
            self._add_layer(core_op.contexts[-1], stream, _DEVICE_TO_HOST)

    def _add_layer(self, context: Any, stream: StreamSpec, direction: int) -> None:
        layer = context.metadata.layers.add(direction=direction)
        layer.pad_index = self._pads[stream.name]
        layer.switch.SetInParent()
        info = layer.info
        info.name = stream.name
        info.original_names.extend(stream.original_names)
        _fill_numeric(info.numeric, stream)
        nms = self._network.nms
        on_chip = nms is not None and nms.family == "iou" and stream.name in nms.decoders[0].streams
        _fill_base(info.base, stream, self._pads[stream.name], nms if on_chip else None)

    def _add_nms(self, group: Any, nms: NmsSpec) -> None:
        op = group.ops.add(name=nms.output)
        first = len(self._pads)
        for index, name in enumerate(consumed_streams(nms), start=first):
            op.input_pads.add(index=index, name=name)
            group.pad_edges.add(src=self._pads[name], dst=index)
        out = op.output_pads.add(index=first + len(consumed_streams(nms)), name=nms.output)
        out.nms.classes = nms.classes
        out.nms.max_boxes = nms.max_boxes_per_class
        target = op.nms
        target.score_threshold = nms.score_threshold
        target.iou_threshold = nms.iou_threshold
        target.max_per_class = nms.max_boxes_per_class
        target.classes = nms.classes
        target.background_removal = nms.background_removal
        target.background_index = nms.background_index
        target.box_decoding_only = nms.box_decoding_only
        family = getattr(target, FAMILY_FIELDS[nms.family])
        family.SetInParent()
        if nms.family != "iou":
            family.height, family.width = nms.image
            self._add_decoders(family, nms)

    def _add_decoders(self, family: Any, nms: NmsSpec) -> None:
        for name, value in nms.extra.items():
            if name == "mask_threshold":
                family.mask_threshold = value
            elif name in ("proto_number", "proto_stride"):
                setattr(family.proto, name.removeprefix("proto_"), int(value))
            else:
                setattr(family, name, int(value))
        if nms.proto_layer:
            family.proto.layer = nms.proto_layer
        for decoder in nms.decoders:
            box = family.decoders.add()
            if nms.family != "ssd":
                box.stride = decoder.stride
            if decoder.anchors:
                kind = float if nms.family == "ssd" else int
                box.h.extend(kind(height) for height, _ in decoder.anchors)
                box.w.extend(kind(width) for _, width in decoder.anchors)
            for role in ("reg", "cls", "obj"):
                if name := getattr(decoder, role):
                    setattr(box, role, self._pads[name])
            if decoder.encoded:
                box.pad = self._pads[decoder.encoded]


def _fill_numeric(numeric: Any, stream: StreamSpec) -> None:
    numeric.zero_point = stream.zero_point
    numeric.scale = stream.scale
    highest = (1 << stream.bits) - 1
    low, high = stream.limits or (
        -stream.zero_point * stream.scale,
        (highest - stream.zero_point) * stream.scale,
    )
    numeric.limit_min, numeric.limit_max = low, high
    numeric.zero_points.extend(stream.zero_points)
    numeric.scales.extend(stream.scales)


def _fill_base(base: Any, stream: StreamSpec, index: int, on_chip_nms: NmsSpec | None) -> None:
    height, width, features = stream.shape
    size = stream.bits // 8
    base.height, base.width, base.features = stream.shape
    # The bus takes rows in steps of eight bytes: HailoRT pads the width, vectors their features.
    vector = stream.order == "NC"
    base.padded_height = height
    base.padded_width = width if vector else align(width, 8 // size)
    base.padded_features = align(features, 8 // size) if vector else features
    base.format = _FORMAT_NC if vector else _FORMAT_NHCW
    base.data_bytes = size
    base.sys_index = index
    row = base.padded_width * base.padded_features * size
    per_row = -(-row // (_MAX_REGISTER & ~7))
    base.bytes_per_buffer = align(-(-row // per_row), 8)
    base.buffers_per_frame = min(height * per_row, _MAX_REGISTER)
    base.buffer_indices.add(index=index)
    if on_chip_nms is not None:
        base.format = _FORMAT_NMS
        info = base.additional.nms
        info.classes = on_chip_nms.classes
        info.max_output = on_chip_nms.max_boxes_per_class
        info.bbox_size = 10
        info.division_factor = 1


def _output_order(network: NetworkSpec) -> list[str]:
    if network.nms is None:
        return [stream.name for stream in network.outputs]
    consumed = set(consumed_streams(network.nms))
    names = [
        network.nms.output if stream.name in consumed else stream.name for stream in network.outputs
    ]
    return list(dict.fromkeys(names))
