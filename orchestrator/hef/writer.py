"""Write HEF files for the emulator: true in form, and never to be taken for compiled ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.hef.model import Shape


@dataclass(frozen=True)
class StreamSpec:
    """One input or output of the chip to write.

    ``name`` is the full HN name (``yolov8n/conv41``), ``shape`` is (height, width, features).
    ``order`` is ``"NHWC"`` (4-D tensors) or ``"NC"`` (vectors: height and width are 1).
    ``bits`` is 8 or 16. ``limits`` defaults to the range that the other two allow.
    ``zero_points``/``scales`` have one entry per feature, or are empty.
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
    """One detection head. Names are those of output streams; which are needed hangs on the family.

    yolov8: ``reg``, ``cls``; yolox: ``reg``, ``cls``, ``obj``; ssd: ``reg``, ``cls``;
    yolov5 and yolov5_seg: ``encoded``. ``anchors`` are (height, width).
    """

    stride: int = 0
    anchors: tuple[tuple[float, float], ...] = ()
    reg: str = ""
    cls: str = ""
    obj: str = ""
    encoded: str = ""


@dataclass(frozen=True)
class NmsSpec:
    """Host-side NMS to write. ``family``: yolov5, yolov8, yolox, ssd, iou or yolov5_seg.

    ``output`` is the full name of the result (``yolov8n/yolov8_nms_postprocess``). ``image``
    is (height, width) in pixels. ``extra`` has the family's own numbers under the names of
    ``NmsOp.extra``; ``proto_layer`` names the mask stream of yolov5_seg. For ``iou``, ``cls``
    of the single decoder names the stream that carries decoded boxes.
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

    ``outputs`` are listed in the order in which a program shall meet them. ``contexts`` is
    how many loads of the chip to declare (at least 1). ``predicted_fps`` and ``operations``
    (per frame) are what an estimate says.
    """

    name: str
    inputs: tuple[StreamSpec, ...]
    outputs: tuple[StreamSpec, ...]
    nms: NmsSpec | None = None
    contexts: int = 1
    predicted_fps: float = 0.0
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
    ``timestamp`` is seconds since 1970. Raises ``ValueError`` for a network that no chip
    could have (no inputs, duplicate names, a decoder that names no output, ...).
    """
    raise NotImplementedError
