"""Emulated: the vendor's public enumerations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hailo_sdk_client.runner.client_runner import ClientRunner


class States(Enum):
    """How far a network has come."""

    UNINITIALIZED = "uninitialized"
    ORIGINAL_MODEL = "original_model"
    HAILO_MODEL = "hailo_model"
    FP_OPTIMIZED_MODEL = "fp_optimized_model"
    QUANTIZED_MODEL = "quantized_model"
    COMPILED_MODEL = "compiled_model"
    COMPILED_SLIM_MODEL = "compiled_slim_model"


class InferenceContext(Enum):
    """What computes: the float graph, the graph after the script, the quantised one, a chip."""

    SDK_NATIVE = "sdk_native"
    SDK_FP_OPTIMIZED = "sdk_fp_optimized"
    SDK_QUANTIZED = "sdk_quantized"
    SDK_BIT_EXACT = "sdk_bit_exact"
    SDK_HAILO_HW = "sdk_hailo_hw"


@dataclass(frozen=True)
class ContextInfo:
    """What ``infer_context`` hands out; only ``infer`` reads it."""

    infer_context: InferenceContext
    runner: ClientRunner
    nms_score_threshold: float | None = None


class CalibrationDataType(Enum):
    """The form of calibration data."""

    auto = "auto"
    np_array = "np_array"
    dataset = "dataset"
    named_dict = "named_dict"
    npy_file = "npy_file"
    npy_dir = "npy_dir"


class NNFramework(Enum):
    """Where a model comes from."""

    TENSORFLOW = "tf"
    TENSORFLOW2 = "tf2"
    TENSORFLOW_LITE = "tflite"
    ONNX = "onnx"


class Dims(StrEnum):
    """Axes, for input formats."""

    BATCH = "batch"
    STACK = "stack"
    CHANNELS = "channels"
    HEIGHT = "height"
    WIDTH = "width"
    GROUPS = "groups"


class JoinAction(Enum):
    """How two networks become one."""

    NONE = "none"
    AUTO_JOIN_INPUTS = "auto_join_inputs"
    AUTO_CHAIN_NETWORKS = "auto_chain_networks"
    CUSTOM = "custom"


class JoinOutputLayersOrder(Enum):
    """In which order the outputs of a joined network stand."""

    NEW_OUTPUTS_LAST = "new_outputs_last"
    NEW_OUTPUTS_FIRST = "new_outputs_first"
    NEW_OUTPUTS_IN_PLACE = "new_outputs_in_place"
