"""Write HEF files for the emulator: true in form, and never to be taken for compiled ones."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hef import formats
from orchestrator.hef.container import HEADER_SIZES, MAGIC
from orchestrator.hef.formats import align
from orchestrator.hef.schema import message_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.hef.model import Shape

#: How the compiler version of an emulated file begins; no real one does.
EMULATED_PREFIX: Final = "emulated"
_PAGE: Final = 4096
_RESOURCE_ALIGNMENT: Final = 64
_MAX_NAME: Final = 127
_MAX_REGISTER: Final = 0xFFFF
_FORMAT_NHCW, _FORMAT_NC, _FORMAT_NMS = 1, 2, 6
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 0, 1


@dataclass(frozen=True)
class StreamSpec:
    """One input or output of the chip to write.

    ``name`` is the full HN name (``yolov8n/conv41``), ``shape`` is (height, width, features).
    ``order`` is ``"NHWC"`` (4-D tensors) or ``"NC"`` (vectors: height and width are 1).
    ``bits`` is 8 or 16. ``limits`` defaults to the range that scale and zero point allow.
    ``zero_points``/``scales`` have one entry per feature (outputs only), or are empty.
    """

    name: str
    shape: Shape
    scale: float
    zero_point: float
    bits: int = 8
    order: str = "NHWC"
    limits: tuple[float, float] | None = None
    zero_points: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    original_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecoderSpec:
    """One detection head. Names are those of output streams; the family says which are needed.

    yolov8: ``reg``, ``cls``; yolox: ``reg``, ``cls``, ``obj``; ssd: ``reg``, ``cls``;
    yolov5 and yolov5_seg: ``encoded``; iou: ``cls``. ``anchors`` are (height, width).
    """

    stride: int = 0
    anchors: tuple[tuple[float, float], ...] = ()
    reg: str = ""
    cls: str = ""
    obj: str = ""
    encoded: str = ""

    @property
    def streams(self) -> tuple[str, ...]:
        """The names that are set."""
        return tuple(name for name in (self.encoded, self.reg, self.cls, self.obj) if name)


@dataclass(frozen=True)
class NmsSpec:
    """Host-side NMS to write. ``family``: yolov5, yolov8, yolox, ssd, iou or yolov5_seg.

    ``output`` is the full name of the result (``yolov8n/yolov8_nms_postprocess``). ``image``
    is (height, width) in pixels. ``extra`` has the family's own numbers under the names of
    ``NmsOp.extra``; ``proto_layer`` names the mask stream of yolov5_seg. For ``iou``, ``cls``
    of the single decoder names the stream that carries boxes decoded on the chip.
    """

    family: str
    output: str
    score_threshold: float
    iou_threshold: float
    max_boxes_per_class: int
    classes: int
    image: tuple[float, float]
    decoders: tuple[DecoderSpec, ...]
    background_removal: bool = False
    background_index: int = 0
    box_decoding_only: bool = False
    proto_layer: str = ""
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkSpec:
    """One model to write: ``name`` is the network's (``yolov8n``).

    ``outputs`` are listed in the order in which a program shall meet them; the result of
    ``nms`` takes the place of the first stream that it consumes. ``contexts`` is how many
    loads of the chip to declare (at least 1). ``predicted_fps``, ``latency`` (milliseconds)
    and ``operations`` (per frame) are what an estimate says; 0 means that there is none.
    """

    name: str
    inputs: tuple[StreamSpec, ...]
    outputs: tuple[StreamSpec, ...]
    nms: NmsSpec | None = None
    contexts: int = 1
    predicted_fps: float = 0.0
    latency: float = 0.0
    operations: int = 0


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

    number = formats.ARCH_TO_WRITE.get(arch.lower())
    if number is None:
        known = ", ".join(sorted(formats.ARCH_TO_WRITE))
        message = f"no such architecture: {arch} (known: {known})"
        raise ValueError(message)
    _require_possible(network)
    hef = message_class()()
    hef.header.hw_arch = number
    hef.header.timestamp = timestamp
    played = f" {emulated_compiler}" if emulated_compiler else ""
    hef.header.sdk_version_str = f"{EMULATED_PREFIX}{played} (hefsmith; no chip can run this file)"
    hef.header.version = 1
    _add_extensions(hef, network, resources)
    _Writer(network, multi_layout=number in formats.MULTI_LAYOUT).write(hef.groups.add())
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
        for index, name in enumerate(_consumed(nms), start=first):
            op.input_pads.add(index=index, name=name)
            group.pad_edges.add(src=self._pads[name], dst=index)
        out = op.output_pads.add(index=first + len(_consumed(nms)), name=nms.output)
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


#: Family -> field of the NMS op.
FAMILY_FIELDS: Final = {
    "yolov5": "yolo_nms_op",
    "yolox": "yolox_nms_op",
    "ssd": "ssd_nms_op",
    "iou": "iou_op",
    "yolov5_seg": "yolo_seg_op",
    "yolov8": "yolov8_nms_op",
}


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


def _consumed(nms: NmsSpec) -> tuple[str, ...]:
    names = [name for decoder in nms.decoders for name in decoder.streams]
    if nms.proto_layer:
        names.append(nms.proto_layer)
    return tuple(dict.fromkeys(names))


def _output_order(network: NetworkSpec) -> list[str]:
    if network.nms is None:
        return [stream.name for stream in network.outputs]
    consumed = set(_consumed(network.nms))
    names = [
        network.nms.output if stream.name in consumed else stream.name for stream in network.outputs
    ]
    return list(dict.fromkeys(names))


def _require_possible(network: NetworkSpec) -> None:
    """Raise ``ValueError`` with the first reason why HailoRT would refuse such a network."""
    streams = (*network.inputs, *network.outputs)
    names = [stream.name for stream in streams]
    if not network.inputs or not network.outputs:
        _refuse("a network needs at least one input and one output")
    if len(set(names)) != len(names):
        _refuse("two streams have the same name")
    if network.contexts < 1:
        _refuse("a network needs at least one context")
    if len(streams) > 255:
        _refuse(f"{len(streams)} streams; the chip has 255 at most")
    for name in (network.name, *names):
        if not 0 < len(name.encode()) <= _MAX_NAME:
            _refuse(f"the name {name!r} is empty or longer than {_MAX_NAME} bytes")
    for stream in streams:
        _require_possible_stream(stream, output=stream in network.outputs)
    if network.nms is not None:
        _require_possible_nms(network.nms, [stream.name for stream in network.outputs])


def _require_possible_stream(stream: StreamSpec, *, output: bool) -> None:
    name = stream.name
    if stream.bits not in (8, 16):
        _refuse(f"{name}: {stream.bits} bits; 8 or 16 are possible")
    if stream.order not in ("NHWC", "NC"):
        _refuse(f"{name}: order {stream.order}; NHWC or NC are possible")
    if any(not 0 < side <= 0xFFFF_FFFF for side in stream.shape):
        _refuse(f"{name}: shape {stream.shape}")
    if stream.order == "NC" and stream.shape[:2] != (1, 1):
        _refuse(f"{name}: a vector has height and width 1, not {stream.shape}")
    for values in (stream.zero_points, stream.scales):
        if values and (not output or len(values) != stream.shape[2]):
            _refuse(f"{name}: {len(values)} values per feature for {stream.shape[2]} features")


def _require_possible_nms(nms: NmsSpec, outputs: Sequence[str]) -> None:
    if nms.family not in FAMILY_FIELDS:
        _refuse(f"NMS family {nms.family}; known: {', '.join(sorted(FAMILY_FIELDS))}")
    if not nms.decoders:
        _refuse("an NMS op needs at least one decoder")
    for name in _consumed(nms):
        if name not in outputs:
            _refuse(f"the NMS op takes {name!r}, which is no output")
    if nms.output in outputs or not 0 < len(nms.output.encode()) <= _MAX_NAME:
        _refuse(f"the NMS output cannot be called {nms.output!r}")
    if nms.box_decoding_only and nms.family not in ("yolov5", "yolov8"):
        _refuse(f"box decoding alone is not possible for {nms.family}")
    if nms.family == "yolov5_seg" and not nms.proto_layer:
        _refuse("yolov5_seg needs its proto layer")


def _refuse(reason: str) -> None:
    message = f"cannot write this emulated HEF: {reason}"
    raise ValueError(message)
