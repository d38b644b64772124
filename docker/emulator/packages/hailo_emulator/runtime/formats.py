"""The binding's enumerations and plain structures, with the library's own numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from hefsmith_worker.contract.chips import CHIPS

if TYPE_CHECKING:
    import numpy as np

#: y_min, x_min, y_max, x_max, score.
BBOX_PARAMS = 5
#: Sentinel of the library: it chooses the batch itself.
HAILO_DEFAULT_BATCH_SIZE = 0


class Named(IntEnum):
    """An enumeration that prints as the binding's do: ``FormatOrder.NHWC``, not ``1``."""

    __str__ = Enum.__str__


class FormatType(Named):
    """Element type of a stream at the host's side."""

    AUTO = 0
    UINT8 = 1
    UINT16 = 2
    FLOAT32 = 3


class FormatOrder(Named):
    """Order of a stream's elements."""

    AUTO = 0
    NHWC = 1
    NHCW = 2
    FCR = 3
    F8CR = 4
    NHW = 5
    NC = 6
    BAYER_RGB = 7
    TWELVE_BIT_BAYER_RGB = 8
    HAILO_NMS = 9
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
    HAILO_NMS_WITH_BYTE_MASK = 20
    HAILO_NMS_ON_CHIP = 21
    HAILO_NMS_BY_CLASS = 22
    HAILO_NMS_BY_SCORE = 23


class HailoStreamInterface(Named):
    """How the chip is attached."""

    PCIe = 0
    ETH = 1
    MIPI = 2
    INTEGRATED = 3


class HailoStreamDirection(Named):
    """From the host, or to it."""

    H2D = 0
    D2H = 1


class HailoSchedulingAlgorithm(Named):
    """Whether the library shares the chip among models."""

    NONE = 0
    ROUND_ROBIN = 1


class HailoPowerMode(Named):
    """Clock policy of the core."""

    PERFORMANCE = 0
    ULTRA_PERFORMANCE = 1


class DvmTypes(Named):
    """Where power is measured."""

    AUTO = 2147483647
    VDD_CORE = 0
    VDD_IO = 1
    MIPI_AVDD = 2
    MIPI_AVDD_H = 3
    USB_AVDD_IO = 4
    VDD_TOP = 5
    USB_AVDD_IO_HV = 6
    AVDD_H = 7
    SDIO_VDD_IO = 8
    OVERCURRENT_PROTECTION = 9


class PowerMeasurementTypes(Named):
    """What is measured."""

    AUTO = 2147483647
    SHUNT_VOLTAGE = 0
    BUS_VOLTAGE = 1
    POWER = 2
    CURRENT = 3


class DeviceArchitectureTypes(Named):
    """Chips by the library's numbers."""

    _ignore_ = "chip"  # type: ignore[mutable-override]
    for chip in CHIPS:
        if chip.device_number is not None:
            vars()[chip.shows] = chip.device_number


_DTYPES = {FormatType.UINT8: "uint8", FormatType.UINT16: "uint16", FormatType.FLOAT32: "float32"}


def dtype_of(format_type: FormatType) -> np.dtype[np.generic]:
    """Return numpy's type of a format type; AUTO has none."""
    # Here, because ``hailortcli`` reads this module to say what the device is, many times a day.
    import numpy as np

    return np.dtype(_DTYPES[format_type])


@dataclass(frozen=True)
class HailoFormat:
    """Type and order of a stream."""

    type: FormatType
    order: FormatOrder
    flags: int = 0


@dataclass(frozen=True)
class QuantInfo:
    """real = (quantised - ``qp_zp``) * ``qp_scale``."""

    qp_zp: float = 0.0
    qp_scale: float = 1.0
    limvals_min: float = 0.0
    limvals_max: float = 0.0


@dataclass(frozen=True)
class NmsShape:
    """Bounds of an NMS output."""

    number_of_classes: int
    max_bboxes_per_class: int
    max_accumulated_mask_size: int = 0

    @property
    def flat_size(self) -> int:
        """Floats of one frame by class: a count, then the boxes, for each class."""
        return self.number_of_classes * (1 + BBOX_PARAMS * self.max_bboxes_per_class)

    @property
    def bytes_by_score(self) -> int:
        """Bytes of one frame by score: a uint16 count, then packed records of 22."""
        return 2 + 22 * self.number_of_classes * self.max_bboxes_per_class


@dataclass(frozen=True)
class VStreamInfo:
    """A virtual stream as HEF and network group describe it."""

    name: str
    network_name: str
    direction: HailoStreamDirection
    format: HailoFormat
    dims: tuple[int, ...] = ()
    quant_infos: tuple[QuantInfo, ...] = (QuantInfo(),)
    nms: NmsShape | None = None
    original_names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def quant_info(self) -> QuantInfo:
        """Quantisation of the whole stream (of its first feature, where each has its own)."""
        return self.quant_infos[0]

    @property
    def nms_shape(self) -> NmsShape:
        """Bounds of an NMS stream."""
        if self.nms is None:
            msg = "nms_shape is availale only on nms order vstreams"  # the vendor's spelling
            raise RuntimeError(msg)
        return self.nms

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, features; features alone for NC; classes, 5, boxes for NMS."""
        if self.nms is not None:
            return (self.nms.number_of_classes, BBOX_PARAMS, self.nms.max_bboxes_per_class)
        return self.dims

    @property
    def by_score(self) -> bool:
        """True when boxes come best first, in one buffer of bytes."""
        return self.format.order is FormatOrder.HAILO_NMS_BY_SCORE

    @property
    def buffer_shape(self) -> tuple[int, ...]:
        """Shape of one frame's buffer at the host: flat for NMS, bytes for boxes by score."""
        if self.nms is None:
            return self.dims
        return (self.nms.bytes_by_score if self.by_score else self.nms.flat_size,)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of one frame's buffer at the host."""
        item = 1 if self.by_score else dtype_of(self.format.type).itemsize
        return math.prod(self.buffer_shape) * item

    def with_order(self, order: FormatOrder) -> VStreamInfo:
        """Return this stream with another order; AUTO is its own."""
        if order is FormatOrder.AUTO:
            return self
        return replace(self, format=replace(self.format, order=order))

    def with_type(self, kind: FormatType) -> VStreamInfo:
        """Return this stream with another element type."""
        return replace(self, format=replace(self.format, type=kind))

    def __repr__(self) -> str:
        return f'VStreamInfo("{self.name}")'
