"""Which public names ``hailo_platform`` has in which version of HailoRT.

Facts: ``__all__`` of ``hailo_platform/__init__.py`` at the tags v4.17.0 to v5.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from hailo_emulator.runtime.settings import read_setup

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Span:
    """The versions that have a name: from ``since``, before ``until``."""

    since: Version = (0, 0, 0)
    until: Version = (99, 0, 0)

    def holds(self, version: Version) -> bool:
        """Say whether ``version`` has the name."""
        return self.since <= version < self.until


_ALWAYS = Span()
_BEFORE_5_1 = Span(until=(5, 1, 0))
_FROM_5_1 = Span(since=(5, 1, 0))

#: Name -> the versions that have it.
PUBLIC = {
    **dict.fromkeys(
        [
            "AveragingFactor",
            "ConfigureParams",
            "Device",
            "DvmTypes",
            "Endianness",
            "FormatOrder",
            "FormatType",
            "HEF",
            "HailoCpuId",
            "HailoFormatFlags",
            "HailoPowerMode",
            "HailoRTException",
            "HailoRTStreamAbortedByUser",
            "HailoSchedulingAlgorithm",
            "HailoStreamDirection",
            "HailoStreamInterface",
            "InferVStreams",
            "InputVStreamParams",
            "InputVStreams",
            "MeasurementBufferIndex",
            "OutputVStreamParams",
            "OutputVStreams",
            "PowerMeasurementTypes",
            "SamplingPeriod",
            "VDevice",
            "join_drivers_path",
        ],
        _ALWAYS,
    ),
    **dict.fromkeys(
        [
            "EthernetDevice",
            "IspLightFrequency",
            "MipiClockSelection",
            "MipiDataTypeRx",
            "MipiIspImageInOrder",
            "MipiIspImageOutDataType",
            "MipiPixelsPerClock",
            "UDPRateLimiter",
        ],
        _BEFORE_5_1,
    ),
    "PcieDevice": Span(until=(5, 2, 0)),
    "AsyncInferJob": Span(since=(4, 18, 0)),
    "HailoCommunicationClosedException": Span(since=(4, 20, 0)),
    "HailoSession": _FROM_5_1,
    "HailoSessionListener": _FROM_5_1,
}


def present() -> list[str]:
    """Return the public names of the version that is played."""
    version = read_setup().hailort
    return sorted(name for name, span in PUBLIC.items() if span.holds(version))
