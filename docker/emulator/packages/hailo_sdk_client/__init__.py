"""Emulated: an open stand-in for Hailo's Dataflow Compiler, for its Python API.

Importing it loads numpy and nothing heavier; ONNX and ONNX Runtime are loaded by the first call
that needs them.
"""

from __future__ import annotations

from hailo_emulator.line import toolchain_version as _toolchain_version
from hailo_sdk_common.targets.inference_targets import SdkFineTune

from hailo_sdk_client.exposed_definitions import (
    CalibrationDataType,
    Dims,
    InferenceContext,
    NNFramework,
    States,
)
from hailo_sdk_client.runner.client_runner import ClientRunner

__version__ = _toolchain_version()
#: Says in words what this is; the vendor's package has no such name.
__emulated__ = True

__all__ = [
    "CalibrationDataType",
    "ClientRunner",
    "Dims",
    "InferenceContext",
    "NNFramework",
    "SdkFineTune",
    "States",
]
