"""Net-flow ops: what HailoRT computes on the host after the chip (NMS, softmax, argmax)."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hef import formats
from orchestrator.hef.faults import MAX_NAME, CrashError, invalid
from orchestrator.hef.formats import U32, Order, Type
from orchestrator.hef.model import (
    BoxDecoder,
    Direction,
    LogitsOp,
    NmsOp,
    NmsShape,
    Quantization,
    Tensor,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.hef.contexts import CoreOp
    from orchestrator.hef.layers import Layer
    from orchestrator.hef.model import Shape

FAMILIES: Final = {
    "yolo_nms_op": "YOLOV5",
    "yolox_nms_op": "YOLOX",
    "ssd_nms_op": "SSD",
    "iou_op": "IOU",
    "yolo_seg_op": "YOLOV5SEG",
    "yolov8_nms_op": "YOLOV8",
}
#: Fields that only one family has, shown as they are.
_EXTRA: Final = (
    "input_division_factor",
    "regression_length",
    "centers_scale_factor",
    "bbox_dimensions_scale_factor",
    "mask_threshold",
)
_ROLES: Final = ("reg", "cls", "obj")
_YOLOV5_VALUES, _RECTANGLE = 5, 4
#: One detection with a mask: box, score, class, and three machine words.
_MASK_DETECTION: Final = 46
NO_QUANTIZATION: Final = Quantization(0.0, 1.0, (0.0, 0.0))


@dataclass(frozen=True)
class Op:
    """A net-flow op and the output that replaces the layers named in ``consumed``."""

    op: NmsOp | LogitsOp
    output: Tensor
    consumed: frozenset[str]


@dataclass(frozen=True)
class _Pads:
    """How pads connect: ``layers`` by the pad of the core op, ``sources`` by the pad they feed."""

    layers: Mapping[int, Layer]
    sources: Mapping[int, int]

    def layer(self, pad: int) -> Layer:
        """Return the layer of a core pad that a decoder names."""
        if pad not in self.layers:
            message = f"a decoder names pad {pad}, which no output layer has"
            raise CrashError(message)
        return self.layers[pad]

    def feeding(self, op: Any, kind: str) -> list[Layer]:
        """Return the layers that feed an op, in the order of its pads."""
        found = []
        for pad in op.input_pads:
            source = self.sources.get(pad.index)
            if source is None:
                message = f"the {kind} op {op.name!r} is not connected to the core op"
                raise invalid(message, code="hef.op-not-connected")
            if source not in self.layers:
                message = f"pad {pad.index} of {op.name!r} is fed by no output of the core op"
                raise invalid(message, code="hef.op-not-connected")
            found.append(self.layers[source])
        return found


def read_ops(group: Any, core_op: CoreOp, *, network: str) -> tuple[Op, ...]:
    """Read the ops of a network group that uses net flow, in file order.

    ``network`` is the name that their outputs belong to. Raises ``HefError`` where HailoRT
    refuses an op.
    """
    layers: dict[int, Layer] = {}
    for layer in core_op.outputs:
        if layer.pad is not None:
            layers.setdefault(layer.pad, layer)
    sources: dict[int, int] = {}
    for edge in group.pad_edges:
        sources.setdefault(edge.dst, edge.src)
    pads = _Pads(layers, sources)
    ops: list[Op] = []
    for op in group.ops:
        kind = op.WhichOneof("op")
        if kind == "core_op":
            continue
        if kind == "nms":
            ops.append(_read_nms(op, pads, network))
        elif kind == "logits":
            ops.append(_read_logits(op, pads, network))
        else:
            message = f"the op {op.name!r} is neither NMS nor softmax nor argmax"
            raise invalid(message, 8)
    return tuple(ops)


def _read_nms(op: Any, pads: _Pads, network: str) -> Op:
    inputs = pads.feeding(op, "NMS")
    kind = op.nms.WhichOneof("family")
    if kind is None:
        message = f"the NMS op {op.name!r} is of a family that HailoRT does not know"
        raise invalid(message, 8)
    family = getattr(op.nms, kind)
    decoders = _read_decoders(kind, family, pads)
    by_name: dict[str, Layer] = {}
    for layer in inputs:
        by_name.setdefault(layer.name, layer)
    _judge(kind, op.nms, family, decoders, by_name)
    output = _output_name(op)
    image = None if kind == "iou_op" else (family.height, family.width)
    described = NmsOp(
        name=op.name,
        kind=kind,
        family=FAMILIES[kind],
        output=output,
        score_threshold=op.nms.score_threshold,
        iou_threshold=op.nms.iou_threshold,
        max_boxes_per_class=op.nms.max_per_class,
        classes=op.nms.classes,
        background_removal=op.nms.background_removal,
        background_index=op.nms.background_index,
        box_decoding_only=op.nms.box_decoding_only,
        image=image,
        decoders=decoders,
        inputs=tuple(by_name),
        extra=_extra(family),
    )
    tensor = _nms_tensor(described, by_name, network)
    return Op(described, tensor, frozenset(by_name))


def _extra(family: Any) -> dict[str, float]:
    known = {name: getattr(family, name) for name in _EXTRA if hasattr(family, name)}
    if hasattr(family, "proto"):
        known |= {"proto_number": family.proto.number, "proto_stride": family.proto.stride}
    return known


def _output_name(op: Any) -> str:
    if not op.output_pads:
        message = f"the op {op.name!r} has no output"
        raise CrashError(message)
    name = str(op.output_pads[0].name)
    if len(name.encode()) > MAX_NAME:
        message = f"the output name {name!r} is longer than {MAX_NAME} bytes"
        raise CrashError(message, code="hef.name-too-long")
    return name


def _read_decoders(kind: str, family: Any, pads: _Pads) -> tuple[BoxDecoder, ...]:
    if kind == "iou_op":
        return ()
    decoders = []
    for box in family.decoders:
        anchors: tuple[tuple[float, float], ...] = ()
        if kind in ("yolo_nms_op", "yolo_seg_op", "ssd_nms_op"):
            if len(box.h) != len(box.w):
                message = f"{len(box.h)} anchor heights do not go with {len(box.w)} widths"
                raise invalid(message) if kind != "ssd_nms_op" else CrashError(message)
            anchors = tuple(zip(box.h, box.w, strict=True))
        if kind in ("yolo_nms_op", "yolo_seg_op"):
            inputs = {"encoded": pads.layer(box.pad).name}
        else:
            inputs = {
                role: pads.layer(getattr(box, role)).name for role in _ROLES if hasattr(box, role)
            }
        decoders.append(BoxDecoder(getattr(box, "stride", 0), anchors, inputs))
    return tuple(decoders)


def _judge(
    kind: str,
    nms: Any,
    family: Any,
    decoders: tuple[BoxDecoder, ...],
    inputs: Mapping[str, Layer],
) -> None:
    """Apply what HailoRT tests when it makes the op (status 2, and 26 for the mask layer)."""
    if kind == "yolo_seg_op" and family.proto.layer not in inputs:
        message = f"the mask layer {family.proto.layer!r} does not feed the NMS op"
        raise invalid(message)
    if nms.box_decoding_only and kind in ("yolox_nms_op", "ssd_nms_op", "yolo_seg_op"):
        message = f"box decoding without the rest of the NMS is not possible for {FAMILIES[kind]}"
        raise invalid(message, 2)
    if kind == "ssd_nms_op":
        _judge_anchors(decoders)
        # pairs are kept by regression layer: a second one for the same layer is not looked at
        decoders = tuple({item.inputs["reg"]: item for item in reversed(decoders)}.values())[::-1]
    if kind in ("yolov8_nms_op", "yolox_nms_op", "ssd_nms_op"):
        for decoder in decoders:
            _judge_decoder(kind, decoder, inputs)


def _judge_anchors(decoders: tuple[BoxDecoder, ...]) -> None:
    anchors: dict[str, tuple[tuple[float, float], ...]] = {}
    pairs: dict[str, str] = {}
    for decoder in decoders:
        reg, cls = decoder.inputs["reg"], decoder.inputs["cls"]
        anchors.setdefault(reg, decoder.anchors)
        anchors.setdefault(cls, decoder.anchors)
        pairs.setdefault(reg, cls)
    for reg, cls in pairs.items():
        flat = [[side for anchor in anchors[name] for side in anchor[::-1]] for name in (reg, cls)]
        # number by number: NaN differs from itself, as it does in HailoRT
        equal = len(flat[0]) == len(flat[1]) and all(
            one == two for one, two in zip(*flat, strict=True)
        )
        if not equal:
            message = f"layers {reg!r} and {cls!r} have different anchors"
            raise invalid(message, 2)


def _judge_decoder(kind: str, decoder: BoxDecoder, inputs: Mapping[str, Layer]) -> None:
    for name in decoder.inputs.values():
        if name not in inputs:
            message = f"the NMS op decodes layer {name!r}, which does not feed it"
            raise invalid(message, 2)
    layers = {role: inputs[name] for role, name in decoder.inputs.items()}
    reg = layers["reg"]
    for role, layer in layers.items():
        if layer.shape[:2] != reg.shape[:2]:
            message = f"layers {reg.name!r} and {layer.name!r} ({role}) have different shapes"
            raise invalid(message, 2)
    if kind == "ssd_nms_op":
        return
    for role, layer in layers.items():
        if (layer.type, layer.transposed, layer.order) != (reg.type, reg.transposed, reg.order):
            message = f"layers {reg.name!r} and {layer.name!r} ({role}) have different formats"
            raise invalid(message, 2)
    if kind == "yolov8_nms_op" and reg.shape[2] % 4:
        message = f"regression layer {reg.name!r} has {reg.shape[2]} features, no multiple of 4"
        raise invalid(message, 2)


def _nms_tensor(op: NmsOp, inputs: Mapping[str, Layer], network: str) -> Tensor:
    total = op.max_boxes_per_class * op.classes & U32
    classes = op.classes - 1 & U32 if op.background_removal else op.classes
    shape: Shape | None = None
    mask = 0
    if op.kind == "yolo_seg_op":
        order, kind = Order.NMS_WITH_BYTE_MASK, Type.UINT8
        mask = _mask_size(op.image)
    elif op.box_decoding_only:
        order, kind = Order.NHWC, Type.FLOAT32
        shape = _decoded_shape(op, inputs)
    else:
        order, kind = Order.NMS_BY_CLASS, Type.FLOAT32
    nms = NmsShape(classes, op.max_boxes_per_class, total, mask)
    return Tensor(
        name=op.output,
        direction=Direction.OUTPUT,
        network=network,
        shape=shape,
        padded_shape=shape,
        nms_shape=nms if order in NMS_ORDERS else None,
        order=formats.order_text(order),
        type=formats.type_text(kind),
        frame_size=frame_size(order, kind, shape or (0, 0, 0), nms),
        quantization=NO_QUANTIZATION,
        original_names=tuple(name for layer in inputs.values() for name in layer.original_names),
    )


NMS_ORDERS: Final = (Order.NMS_WITH_BYTE_MASK, Order.NMS_BY_CLASS, Order.NMS_BY_SCORE)


def _decoded_shape(op: NmsOp, inputs: Mapping[str, Layer]) -> Shape:
    """Shape of decoded boxes without suppression: one row for each possible box."""
    if op.kind == "yolo_nms_op":
        anchors: dict[str, int] = {}
        for decoder in op.decoders:
            anchors.setdefault(decoder.inputs["encoded"], len(decoder.anchors))
        rows = 0
        for name, layer in inputs.items():
            if name not in anchors:
                message = f"layer {name!r} feeds the NMS op, but no decoder uses it"
                raise CrashError(message)
            rows += anchors[name] * layer.shape[0] * layer.shape[1]
        return (1, rows & U32, _YOLOV5_VALUES + op.classes & U32)
    if op.kind == "yolov8_nms_op":
        rows = sum(layer.shape[0] * layer.shape[1] & U32 for layer in inputs.values())
        return (1, (rows & U32) // 2, _RECTANGLE + op.classes & U32)
    return (0, 0, 0)  # IoU: HailoRT leaves the shape empty


def _mask_size(image: tuple[float, float] | None) -> int:
    """Bytes for all masks together: HailoRT computes it with 32-bit floats."""
    assert image is not None
    height, width = map(single, image)
    size = single(single(height * width) * 4)
    if not math.isfinite(size) or abs(size) >= 2.0**63:
        return 0
    return int(size) & U32


def single(value: float) -> float:
    """Return ``value`` rounded to 32 bits, infinite where it does not fit."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def frame_size(order: int, kind: int, shape: Shape, nms: NmsShape | None) -> int:
    """Return the bytes of one frame on the host, in HailoRT's 32-bit arithmetic."""
    size = formats.type_bytes(kind)
    if order in NMS_ORDERS:
        nms = nms or NmsShape(0, 0, 0)
        if order == Order.NMS_WITH_BYTE_MASK:
            boxes = nms.max_bboxes_total * _MASK_DETECTION
            return (2 + boxes + nms.max_accumulated_mask_size) & U32
        if order == Order.NMS_BY_SCORE:
            return (2 + nms.max_bboxes_total * 22) & U32
        per_class = 1 + 5 * nms.max_bboxes_per_class & U32
        return (per_class * nms.number_of_classes & U32) * size & U32
    return formats.shape_size(shape, size, 4 if order == Order.RGB4 else 1)


def _read_logits(op: Any, pads: _Pads, network: str) -> Op:
    if len(op.input_pads) != 1 or len(op.output_pads) != 1:
        message = f"the op {op.name!r} has not exactly one input and one output"
        raise invalid(message)
    (layer,) = pads.feeding(op, "logits")
    if op.logits.type not in (0, 1):
        message = f"the op {op.name!r} is neither argmax nor softmax"
        raise invalid(message, 8)
    is_argmax = op.logits.type == 0
    pad = op.output_pads[0]
    order, kind = pad.order, pad.type
    if is_argmax:
        shape: Shape = (layer.shape[0], layer.shape[1], 1)
        kind = kind or layer.type
        order = order or _argmax_order(layer.order)
    else:
        shape = layer.shape
        by_score = order in (Order.NMS_WITH_BYTE_MASK, Order.NMS_BY_SCORE)
        kind = kind or (Type.UINT8 if by_score else Type.FLOAT32)
        order = order or formats.host_order(layer.order)
    name = _output_name(op)
    is_nms = order in NMS_ORDERS
    tensor = Tensor(
        name=name,
        direction=Direction.OUTPUT,
        network=network,
        shape=None if is_nms else shape,
        padded_shape=None if is_nms else shape,
        nms_shape=NmsShape(0, 0, 0) if is_nms else None,
        order=formats.order_text(order),
        type=formats.type_text(kind),
        frame_size=frame_size(order, kind, shape, None),
        quantization=layer.quantization,
        original_names=layer.original_names,
    )
    what = "argmax" if is_argmax else "softmax"
    return Op(LogitsOp(op.name, what, layer.name, name), tensor, frozenset({layer.name}))


def _argmax_order(order: int) -> int:
    if order in (Order.NHCW, Order.NHWC, Order.F8CR):
        return Order.NHW
    return Order.NC if order == Order.NC else Order.AUTO
