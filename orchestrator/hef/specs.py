"""What the emulator may ask to be written: a network, its streams, its post-processing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orchestrator.hef.faults import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.hef.model import Shape

#: Family -> field of the NMS op.
FAMILY_FIELDS: Final = {
    "yolov5": "yolo_nms_op",
    "yolox": "yolox_nms_op",
    "ssd": "ssd_nms_op",
    "iou": "iou_op",
    "yolov5_seg": "yolo_seg_op",
    "yolov8": "yolov8_nms_op",
}


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


def consumed_streams(nms: NmsSpec) -> tuple[str, ...]:
    """Return the names of the streams that feed an NMS op, each once, in their order."""
    names = [name for decoder in nms.decoders for name in decoder.streams]
    if nms.proto_layer:
        names.append(nms.proto_layer)
    return tuple(dict.fromkeys(names))


def require_possible(network: NetworkSpec) -> None:
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
        if not 0 < len(name.encode()) <= MAX_NAME:
            _refuse(f"the name {name!r} is empty or longer than {MAX_NAME} bytes")
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
    for name in consumed_streams(nms):
        if name not in outputs:
            _refuse(f"the NMS op takes {name!r}, which is no output")
    if nms.output in outputs or not 0 < len(nms.output.encode()) <= MAX_NAME:
        _refuse(f"the NMS output cannot be called {nms.output!r}")
    if nms.box_decoding_only and nms.family not in ("yolov5", "yolov8"):
        _refuse(f"box decoding without the rest of the NMS is not possible for {nms.family}")
    if nms.family == "yolov5_seg" and not nms.proto_layer:
        _refuse("yolov5_seg needs its proto layer")


def _refuse(reason: str) -> None:
    message = f"cannot write this emulated HEF: {reason}"
    raise ValueError(message)
