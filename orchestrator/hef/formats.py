"""Tables of the format: chips, layouts of data, extensions. Facts from HailoRT v5.2.0."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from hefsmith_worker.contract import chips

U32: Final = 0xFFFF_FFFF

#: How the compiler version of an emulated file begins; no real one does.
EMULATED: Final = "emulated"

#: Number in the file -> name in the vendor's schema. 5 was HAILO10H until HailoRT 5.1.0.
HW_ARCHS: Final = {
    code.number: f"PROTO__HW_ARCH__{code.name}" for chip in chips.CHIPS for code in chip.codes
}
#: Numbers of chips whose files hold one variant of the model per layout of clusters.
MULTI_LAYOUT: Final = frozenset(
    code.number for chip in chips.CHIPS if chip.multi_layout for code in chip.codes
)
UNKNOWN_CHIP: Final = "UNKNOWN ARCHITECTURE"

#: Number in the file -> generation of the on-chip NMS unit.
NMS_GENERATIONS: Final = {
    code.number: code.nms for chip in chips.CHIPS for code in chip.codes if code.nms is not None
}


def compatible_chips(hw_arch: int) -> tuple[str, ...]:
    """Return the chips that a file for ``hw_arch`` runs on under HailoRT 5.2, best first."""
    return chips.devices_for(hw_arch) or (UNKNOWN_CHIP,)


class Order(IntEnum):
    """Order of the numbers of a frame (``hailo_format_order_t``)."""

    AUTO = 0
    NHWC = 1
    NHCW = 2
    FCR = 3
    F8CR = 4
    NHW = 5
    NC = 6
    BAYER_RGB = 7
    BAYER_RGB_12_BIT = 8
    RGB888 = 10
    NCHW = 11
    YUY2 = 12
    NV12 = 13
    NV21 = 14
    YYUV = 15
    YYVU = 16
    RGB4 = 17
    I420 = 18
    YYYYUV = 19
    NMS_WITH_BYTE_MASK = 20
    NMS_ON_CHIP = 21
    NMS_BY_CLASS = 22
    NMS_BY_SCORE = 23


_ORDER_TEXTS: Final = {
    Order.BAYER_RGB: "BAYER RGB",
    Order.BAYER_RGB_12_BIT: "12 BIT BAYER RGB",
    Order.RGB888: "RGB 888",
    Order.NMS_WITH_BYTE_MASK: "HAILO NMS WITH BYTE MASK",
    Order.NMS_ON_CHIP: "HAILO NMS ON CHIP",
    Order.NMS_BY_CLASS: "HAILO NMS BY CLASS",
    Order.NMS_BY_SCORE: "HAILO NMS BY SCORE",
}

#: ``format`` of an edge layer -> order on the chip. Others are refused with status 8.
DEVICE_ORDERS: Final = {
    0: Order.NHWC,
    1: Order.NHCW,
    2: Order.NC,
    3: Order.FCR,
    4: Order.BAYER_RGB,
    5: Order.NHW,
    6: Order.NMS_ON_CHIP,
    7: Order.F8CR,
    8: Order.RGB888,
    11: Order.YUY2,
    13: Order.NHWC,
    14: Order.YYUV,
    15: Order.YYVU,
    16: Order.YYYYUV,
}
#: Order on the chip -> order that a program meets, where they differ.
_HOST_ORDERS: Final = {
    Order.NHCW: Order.NHWC,
    Order.RGB888: Order.NHWC,
    Order.YYUV: Order.NV12,
    Order.YYVU: Order.NV21,
    Order.YYYYUV: Order.I420,
    Order.NMS_ON_CHIP: Order.NMS_BY_CLASS,
}
#: Picture planes (field ``format`` of a planes layer) -> order; others are refused (26).
PLANE_ORDERS: Final = {0: Order.NV12, 1: Order.NV21, 2: Order.I420}


def host_order(order: int) -> int:
    """Return the order that a program meets for ``order`` on the chip."""
    return _HOST_ORDERS.get(order, order)  # type: ignore[call-overload, no-any-return]


def order_text(order: int) -> str:
    """Return the vendor's word for an order."""
    try:
        known = Order(order)
    except ValueError:
        return "INVALID_FORMAT_ORDER"
    if known is Order.AUTO:
        return "INVALID_FORMAT_ORDER"
    return _ORDER_TEXTS.get(known, known.name)


class Type(IntEnum):
    """Type of one number (``hailo_format_type_t``)."""

    AUTO = 0
    UINT8 = 1
    UINT16 = 2
    FLOAT32 = 3


_TYPE_BYTES: Final = {Type.UINT16: 2, Type.FLOAT32: 4}


def type_text(kind: int) -> str:
    """Return the vendor's word for a type."""
    try:
        return Type(kind).name
    except ValueError:
        return "INVALID_FORMAT_TYPE"


def type_bytes(kind: int) -> int:
    """Return the size of one number in bytes; HailoRT counts 1 for what it does not know."""
    return _TYPE_BYTES.get(kind, 1)  # type: ignore[call-overload, no-any-return]


#: Extensions: number, name, and the first HailoRT that understands it (4.17 = all we judge).
EXTENSIONS: Final = {
    0: ("ABBALE", (4, 17)),
    1: ("POSTED_WRITES", (4, 17)),
    2: ("DDR", (4, 17)),
    3: ("PADDED_DDR_BUFFERS", (4, 17)),
    4: ("IS_MULTI_CONTEXTS", (4, 17)),
    5: ("COMPRESSED_PARAMS", (4, 17)),
    6: ("TRANSPOSE_COMPONENT", (4, 17)),
    9: ("IS_NMS_MULTI_CONTEXT", (4, 17)),
    10: ("OFFLOAD_ARGMAX", (4, 17)),
    11: ("HW_PADDING", (4, 17)),
    12: ("KO_RUN_ASAP", (4, 17)),
    13: ("HAILO_NET_FLOW", (4, 17)),
    14: ("HAILO_NET_FLOW_YOLOV5_NMS", (4, 17)),
    15: ("HAILO_NET_FLOW_YOLOX_NMS", (4, 17)),
    16: ("HAILO_NET_FLOW_SSD_NMS", (4, 17)),
    17: ("HAILO_NET_FLOW_IOU_NMS", (4, 17)),
    18: ("WRITE_DATA_BY_TYPE", (4, 17)),
    19: ("NMS_OUTPUT_BURST", (4, 17)),
    20: ("DUAL_DIRECTION_STREAM_INDEX", (4, 17)),
    21: ("HAILO_NET_FLOW_ARGMAX", (4, 17)),
    22: ("HAILO_NET_FLOW_SOFTMAX", (4, 17)),
    23: ("ALIGNED_FORMAT_TYPE", (4, 17)),
    24: ("HAILO_NET_FLOW_YOLOV5_SEG_NMS", (4, 17)),
    25: ("OUTPUT_SCALE_PER_FEATURE", (4, 17)),
    26: ("PERIPH_CALCULATION_IN_HAILORT", (4, 17)),
    27: ("HAILO_NET_FLOW_YOLOV8_NMS", (4, 17)),
    28: ("BATCH_REGISTER_CONFIG", (4, 17)),
    29: ("HAILO_NET_FLOW_BBOX_DECODING", (4, 17)),
    30: ("CCW_PTR_SQUEEZE", (4, 21)),
    31: ("EXTERNAL_RESOURCES", (4, 21)),
    32: ("SHARED_CONFIG", (4, 21)),
    33: ("CSM_CRC", (5, 1)),
    34: ("ENABLE_CONFIG_CHANNELS", (5, 1)),
    35: ("STRICT_RUNTIME_VERSIONING", (5, 0)),
}
#: Names of numbers that HailoRT knows but refuses as a needed extension, or only has as optional.
_OTHER_EXTENSIONS: Final = {7: "TEST_ONE", 8: "MULTI_NETWORK_VARIABLE_BATCH_SIZE"}

PADDED_DDR, MULTI_CONTEXT, MULTI_NETWORK, HW_PADDING = 3, 4, 8, 11
NET_FLOW, NMS_BURST, SCALE_PER_FEATURE, PERIPH_IN_HAILORT = 13, 19, 25, 26
BOX_DECODING, EXTERNAL_RESOURCES, STRICT_VERSIONING = 29, 31, 35

#: NMS family -> the extension that a file with such an op must name.
NMS_EXTENSIONS: Final = {
    "yolov5": 14,
    "yolox": 15,
    "ssd": 16,
    "iou": 17,
    "yolov5_seg": 24,
    "yolov8": 27,
}


def extension_name(number: int) -> str | None:
    """Return the name of an extension, ``None`` for a number that nobody knows."""
    if number in EXTENSIONS:
        return EXTENSIONS[number][0]
    return _OTHER_EXTENSIONS.get(number)


def shape_size(shape: tuple[int, int, int], bytes_each: int, row_alignment: int = 1) -> int:
    """Return the size of a frame in bytes, in HailoRT's 32-bit arithmetic."""
    height, width, features = shape
    row = width * features & U32
    row += -row % row_alignment
    return (height * row & U32) * bytes_each & U32


def align(value: int, step: int) -> int:
    """Return ``value`` rounded up to a multiple of ``step``."""
    return value + -value % step
