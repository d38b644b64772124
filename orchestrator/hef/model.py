"""What a HEF says, as frozen values. Shapes are (height, width, features), sizes are bytes.

Field numbers and rules come from the public HailoRT sources; see ``schema.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.hef.errors import HefError

Shape = tuple[int, int, int]


class Direction(Enum):
    """Which way the data goes, seen from the host."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True)
class Quantization:
    """How a real number is stored: ``real = (stored - zero_point) * scale``.

    ``limits`` is the (lowest, highest) real number that calibration saw. ``zero_points`` and
    ``scales`` have one entry per feature when the file scales per feature, else they are empty.
    """

    zero_point: float
    scale: float
    limits: tuple[float, float]
    zero_points: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    @property
    def per_feature(self) -> bool:
        """True when features have scales of their own."""
        return len(self.scales) > 1


@dataclass(frozen=True)
class NmsShape:
    """Shape of an output that is a list of boxes instead of a tensor."""

    number_of_classes: int
    max_bboxes_per_class: int
    max_bboxes_total: int
    max_accumulated_mask_size: int = 0


@dataclass(frozen=True)
class Stream:
    """One stream of the chip, before host-side operations (``parse-hef --parse-streams``).

    ``shape`` is what the model sees and ``hw_shape`` what crosses the bus, with padding; both
    in the order of height, width, features. ``order`` is the vendor's name of the layout on
    the bus (``NHCW``, ``FCR``, ``HAILO NMS ON CHIP``, ...), ``type`` is ``UINT8`` or ``UINT16``.
    ``hw_frame_size`` is in bytes. ``original_names`` are node names of the source model.
    """

    name: str
    direction: Direction
    network: str
    shape: Shape
    hw_shape: Shape
    order: str
    type: str
    hw_frame_size: int
    quantization: Quantization
    original_names: tuple[str, ...] = ()
    nms_shape: NmsShape | None = None
    context: int = 0
    #: Names of the tensors that share this stream (mux or picture planes), else empty.
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tensor:
    """One input or output as a program meets it (a virtual stream of HailoRT).

    Either ``shape`` or ``nms_shape`` is set. ``order`` and ``type`` are the vendor's words
    (``NHWC``, ``NC``, ``NV12``, ``HAILO NMS BY CLASS``; ``UINT8``, ``UINT16``, ``FLOAT32``).
    ``frame_size`` is what one frame takes on the host in that type, in bytes.
    """

    name: str
    direction: Direction
    network: str
    shape: Shape | None
    padded_shape: Shape | None
    nms_shape: NmsShape | None
    order: str
    type: str
    frame_size: int
    quantization: Quantization
    original_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoxDecoder:
    """How one detection head becomes boxes.

    ``anchors`` are (height, width) pairs: pixels for yolov5, fractions for ssd; empty for
    families without anchors. ``inputs`` maps a role (``reg``, ``cls``, ``obj``, ``encoded``)
    to the name of the stream that feeds it.
    """

    stride: int
    anchors: tuple[tuple[float, float], ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NmsOp:
    """Box decoding and non-maximum suppression that HailoRT runs on the host.

    ``kind`` is the name of the field in the file (``yolov8_nms_op``, ``yolo_nms_op``,
    ``yolox_nms_op``, ``ssd_nms_op``, ``iou_op``, ``yolo_seg_op``), ``family`` the word of the
    vendor's tools (``YOLOV8``). ``image`` is (height, width) in pixels or ``None``.
    ``background_index`` counts only with ``background_removal``. ``extra`` holds what only
    one family has (``regression_length``, ``input_division_factor``, ``mask_threshold``,
    ``centers_scale_factor``, ``bbox_dimensions_scale_factor``, ...).
    """

    name: str
    kind: str
    family: str
    output: str
    score_threshold: float
    iou_threshold: float
    max_boxes_per_class: int
    classes: int
    background_removal: bool
    background_index: int
    box_decoding_only: bool
    image: tuple[float, float] | None
    decoders: tuple[BoxDecoder, ...]
    inputs: tuple[str, ...]
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LogitsOp:
    """Softmax or argmax that HailoRT runs on the host; ``kind`` says which."""

    name: str
    kind: str
    input: str
    output: str


@dataclass(frozen=True)
class Context:
    """One load of the chip. ``actions`` counts configuration steps, ``layers`` edge layers."""

    index: int
    actions: int
    boundary_layers: int
    inter_context_layers: int
    ddr_layers: int
    cache_layers: int


@dataclass(frozen=True)
class NetworkView:
    """What HailoRT lists for one network of a group (``name`` empty: for all of them).

    ``problems`` says under ``"inputs"``, ``"outputs"``, ``"input_streams"`` and
    ``"output_streams"`` why it refuses to; that tuple is then empty.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_streams: tuple[Stream, ...]
    output_streams: tuple[Stream, ...]
    problems: Mapping[str, HefError] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkGroup:
    """One model of a HEF.

    ``networks`` are ``group/network`` names. ``streams`` is the chip's view (inputs first),
    ``inputs`` and ``outputs`` the program's. ``predicted_fps`` is the bottleneck rate that the
    compiler expects, ``operations`` its count of arithmetic operations a frame; both ``None``
    where the file does not say. ``latency`` is the compiler's estimate in milliseconds.
    ``problems`` has what HailoRT refuses when it lists the group: ``"inputs"``, ``"outputs"``,
    ``"input_streams"``, ``"output_streams"`` or, for all, ``"group"``; those are then empty.
    ``views`` list each network by itself, ``last_op`` is the op that the vendor's tool
    describes, ``declared_contexts`` the count of the first variant of the model (8L and 15M).
    """

    name: str
    networks: tuple[str, ...]
    contexts: tuple[Context, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    streams: tuple[Stream, ...]
    nms_ops: tuple[NmsOp, ...]
    logits_ops: tuple[LogitsOp, ...]
    predicted_fps: float | None
    latency: float | None
    operations: int | None
    transposed: bool
    problems: Mapping[str, HefError] = field(default_factory=dict)
    views: tuple[NetworkView, ...] = ()
    declared_contexts: int = 1
    last_op: NmsOp | LogitsOp | None = None

    @property
    def multi_context(self) -> bool:
        """True when the chip is loaded more than once a frame."""
        return self.declared_contexts > 1


@dataclass(frozen=True)
class Header:
    """The fixed part at the start of the file; ``None`` where the version has no such field."""

    version: int
    size: int
    proto_size: int
    ccws_size: int | None = None
    padding_size: int | None = None
    additional_info_size: int | None = None
    md5: bytes | None = None
    crc32: int | None = None
    xxh3_64: int | None = None
    proto_xxh3_64: int | None = None

    @property
    def stated(self) -> int:
        """How many bytes come after the header, as it says."""
        return self.proto_size + (self.ccws_size or 0) + (self.additional_info_size or 0)


@dataclass(frozen=True)
class Check:
    """One test of integrity. ``ok`` is ``None`` when it was not made.

    ``name`` is ``length``, ``md5``, ``crc32``, ``xxh3_64``, ``proto_xxh3_64`` or
    ``resource:NAME``; ``expected`` and ``found`` are for people (hexadecimal or bytes);
    ``offset`` is where the checked bytes begin. ``vendor`` says whether HailoRT makes it too.
    """

    name: str
    ok: bool | None
    expected: str
    found: str
    offset: int
    vendor: bool = True


@dataclass(frozen=True)
class Extension:
    """A feature that the file needs (or, ``optional``, would like) from HailoRT."""

    id: int
    name: str
    optional: bool = False
    known: bool = True


@dataclass(frozen=True)
class ExternalResource:
    """Bytes stored after the weights. ``offset`` counts from the start of that section."""

    name: str
    offset: int
    size: int
    xxh3_64: int


@dataclass(frozen=True)
class Hef:
    """All that a HEF says about itself.

    ``hw_arch`` is the name in the file's own schema (``PROTO__HW_ARCH__HAILO8L``) or ``None``
    for a number without a name, which ``hw_arch_id`` then still has. ``chips`` are the chips
    that HailoRT 5 lets it run on, best first (``("HAILO8L", "HAILO8")``).
    ``compiler_version`` is (major, minor, revision) from either field of the file, ``None``
    when neither has one; ``compiler`` is the whole text. ``timestamp`` is as stored (real
    compilers count milliseconds since 1970).
    ``emulated`` is true for files that hefsmith's emulator wrote: no chip can run those.
    """

    size: int
    header: Header
    checks: tuple[Check, ...]
    hw_arch_id: int
    hw_arch: str | None
    chips: tuple[str, ...]
    compiler: str
    compiler_version: tuple[int, int, int] | None
    sdk_version: tuple[int, int, int]
    format_version: int
    timestamp: int
    network_groups: tuple[NetworkGroup, ...]
    extensions: tuple[Extension, ...]
    resources: tuple[ExternalResource, ...]
    sections: Mapping[str, int]
    emulated: bool
    path: str | None = None

    def group(self, name: str | None = None) -> NetworkGroup:
        """Return the network group called ``name``, or the only one.

        Raises ``KeyError`` when there is no such group, or several and no name.
        """
        if name is None and len(self.network_groups) == 1:
            return self.network_groups[0]
        for group in self.network_groups:
            if group.name == name:
                return group
        raise KeyError(name)
