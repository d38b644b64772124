"""Names of the binding that programs import and that no PCIe module on a Pi can use.

Enumerations hold the library's numbers. Classes can be imported; using one fails with status 7,
HAILO_NOT_IMPLEMENTED. Facts: ``hailort.h`` and ``hailo_platform/__init__.py``, 4.17 to 5.2.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hailo_emulator.runtime.device import Device
from hailo_emulator.runtime.formats import Named
from hailo_emulator.runtime.status import fail, log

if TYPE_CHECKING:
    from collections.abc import Iterable


def _enumeration(name: str, members: Iterable[tuple[str, int]], text: str) -> Any:
    base: Any = Named  # called, it makes an enumeration; a checker sees a member's look-up
    made = base(name, list(members), module=__name__)
    made.__doc__ = text
    return made


def _counted(*names: str) -> list[tuple[str, int]]:
    return [(name, number) for number, name in enumerate(names)]


_PERIODS = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
SamplingPeriod = _enumeration(
    "SamplingPeriod",
    _counted(*(f"PERIOD_{time}us" for time in _PERIODS)),
    "Time between two power samples.",
)
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
AveragingFactor = _enumeration(
    "AveragingFactor",
    _counted(*(f"AVERAGE_{count}" for count in _AVERAGES)),
    "Power samples of one value.",
)
MeasurementBufferIndex = _enumeration(
    "MeasurementBufferIndex",
    _counted(*(f"MEASUREMENT_BUFFER_INDEX_{index}" for index in range(4))),
    "Where the firmware keeps power samples.",
)
Endianness = _enumeration(
    "Endianness", _counted("BIG_ENDIAN", "LITTLE_ENDIAN"), "Order of bytes of a sensor's register."
)
HailoFormatFlags = _enumeration(
    "HailoFormatFlags", [("NONE", 0), ("TRANSPOSED", 2)], "Flags of a stream's format."
)
HailoCpuId = _enumeration("HailoCpuId", _counted("CPU0", "CPU1"), "Processors of the chip.")
MipiPixelsPerClock = _enumeration(
    "MipiPixelsPerClock",
    [(f"PIXELS_PER_CLOCK_{count}", number) for number, count in enumerate((1, 2, 4))],
    "Width of a MIPI input.",
)
_RATES = (
    80, 100, 120, 160, 200, 240, 280, 320, 360, 400, 480, 560, 640, 720, 800, 880, 1040, 1200,
    1350, 1500, 1750, 2000, 2250, 2500,
)  # fmt: skip
MipiClockSelection = _enumeration(
    "MipiClockSelection",
    [
        *_counted(*(f"SELECTION_{low}_TO_{high}_MBPS" for low, high in pairwise(_RATES))),
        ("SELECTION_AUTOMATIC", 0x3F),
    ],
    "Rate of a MIPI input.",
)
MipiDataTypeRx = _enumeration(
    "MipiDataTypeRx",
    [
        ("RGB_444", 0x20), ("RGB_555", 0x21), ("RGB_565", 0x22), ("RGB_666", 0x23),
        ("RGB_888", 0x24), ("RAW_6", 0x28), ("RAW_7", 0x29), ("RAW_8", 0x2A), ("RAW_10", 0x2B),
        ("RAW_12", 0x2C), ("RAW_14", 0x2D),
    ],
    "Pixels of a MIPI input.",
)  # fmt: skip
MipiIspImageInOrder = _enumeration(
    "MipiIspImageInOrder",
    _counted("B_FIRST", "GB_FIRST", "GR_FIRST", "R_FIRST"),
    "First pixel of a Bayer pattern.",
)
MipiIspImageOutDataType = _enumeration(
    "MipiIspImageOutDataType",
    [("RGB_888", 0x24), ("YUV_422", 0x1E)],
    "Pixels behind the image processor.",
)
IspLightFrequency = _enumeration(
    "IspLightFrequency",
    _counted("LIGHT_FREQ_60_HZ", "LIGHT_FREQ_50_HZ"),
    "Frequency of the mains.",
)


class _Unavailable:
    """A class that can be imported, and not used here."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._refuse()

    @classmethod
    def _refuse(cls) -> None:
        fail("HAILO_NOT_IMPLEMENTED", f"{cls.__name__} is not emulated", check=False)


class EthernetDevice(_Unavailable):
    """A device on a network cable."""

    @classmethod
    def scan_devices(cls, *args: object, **kwargs: object) -> None:
        """Fail: nothing is searched on the network."""
        cls._refuse()


class UDPRateLimiter(_Unavailable):
    """Limits the rate to a device on a network cable."""


class HailoSession(_Unavailable):
    """A connection to a program on a Hailo-10H."""

    @classmethod
    def connect(cls, port: int, device_id: str = "") -> None:
        """Fail: no program runs on an emulated chip."""
        cls._refuse()


class HailoSessionListener(_Unavailable):
    """Waits for connections on a Hailo-10H."""


class PcieDevice(Device):
    """The older name of a device on PCIe; the vendor's warns, too."""

    def __init__(self, device_info: str | None = None) -> None:
        log(
            "warning",
            "HailoHWObject is deprecated! Please use VDevice/Device object.",
            source="HailoRT Python",
        )
        super().__init__(device_info)

    @staticmethod
    def scan_devices() -> list[str]:
        """Return the identifiers of all devices."""
        return Device.scan()


def join_drivers_path(path: str) -> str:
    """Return a path below the package's folder of drivers."""
    import hailo_platform

    return str(Path(str(hailo_platform.__file__)).parent / "drivers" / path)
