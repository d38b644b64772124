"""hefsmith's open stand-in for HailoRT's Python binding. No Hailo software, no Hailo chip.

It has the vendor's import names, order of calls, checks and exceptions, and computes with ONNX
Runtime what an emulated HEF carries. Which chip, version and fault it plays is chosen by the
environment; see ``hailo_emulator/runtime/settings.py`` and docker/emulator/README.md.
"""

from __future__ import annotations

from hailo_emulator.runtime.settings import read_setup as _read_setup

from hailo_platform.pyhailort import _pyhailort
from hailo_platform.pyhailort.pyhailort import (
    HEF,
    AsyncInferJob,
    ConfigureParams,
    Device,
    DvmTypes,
    FormatOrder,
    FormatType,
    HailoCommunicationClosedException,
    HailoPowerMode,
    HailoRTException,
    HailoRTStreamAbortedByUser,
    HailoSchedulingAlgorithm,
    HailoStreamDirection,
    HailoStreamInterface,
    InferVStreams,
    InputVStreamParams,
    OutputVStreamParams,
    PowerMeasurementTypes,
    VDevice,
)

#: True here, absent in the vendor's package: how our own programs tell the two apart.
__emulated__ = True
__version__ = _read_setup().version

if _pyhailort.__version__ != __version__:
    _text = (
        f"_pyhailort version ({_pyhailort.__version__}) does not match pyhailort version "
        f"({__version__})"
    )
    raise ImportError(_text)

__all__ = [
    "HEF",
    "AsyncInferJob",
    "ConfigureParams",
    "Device",
    "DvmTypes",
    "FormatOrder",
    "FormatType",
    "HailoCommunicationClosedException",
    "HailoPowerMode",
    "HailoRTException",
    "HailoRTStreamAbortedByUser",
    "HailoSchedulingAlgorithm",
    "HailoStreamDirection",
    "HailoStreamInterface",
    "InferVStreams",
    "InputVStreamParams",
    "OutputVStreamParams",
    "PowerMeasurementTypes",
    "VDevice",
]
