"""HEF files on any machine: read, verify, compare, write emulated ones. No Hailo software.

    from orchestrator.hef import read_hef

    hef = read_hef(Path("yolov8n.hef"))
    for tensor in hef.group().outputs:
        print(tensor.name, tensor.shape, tensor.quantization.scale)

Importing this package loads the standard library only; protobuf and xxhash are loaded by the
first call that needs them.
"""

from __future__ import annotations

from orchestrator.hef.compare import Change, compare_hefs
from orchestrator.hef.compatibility import Compatibility, Reason, check_compatibility
from orchestrator.hef.errors import (
    HefCorruptError,
    HefError,
    HefInvalidError,
    HefTooLargeError,
    HefTruncatedError,
    HefUnreadableError,
    HefVersionError,
    ModelFileError,
    NotAHefError,
    ResourceNotFoundError,
)
from orchestrator.hef.model import (
    BoxDecoder,
    Check,
    Context,
    Direction,
    Extension,
    ExternalResource,
    Header,
    Hef,
    LogitsOp,
    NetworkGroup,
    NetworkView,
    NmsOp,
    NmsShape,
    Quantization,
    Shape,
    Stream,
    Tensor,
)
from orchestrator.hef.reader import Examination, examine_hef, read_hef
from orchestrator.hef.resources import read_resource
from orchestrator.hef.specs import DecoderSpec, NetworkSpec, NmsSpec, StreamSpec
from orchestrator.hef.writer import write_emulated_hef

__all__ = [
    "BoxDecoder",
    "Change",
    "Check",
    "Compatibility",
    "Context",
    "DecoderSpec",
    "Direction",
    "Examination",
    "Extension",
    "ExternalResource",
    "Header",
    "Hef",
    "HefCorruptError",
    "HefError",
    "HefInvalidError",
    "HefTooLargeError",
    "HefTruncatedError",
    "HefUnreadableError",
    "HefVersionError",
    "LogitsOp",
    "ModelFileError",
    "NetworkGroup",
    "NetworkSpec",
    "NetworkView",
    "NmsOp",
    "NmsShape",
    "NmsSpec",
    "NotAHefError",
    "Quantization",
    "Reason",
    "ResourceNotFoundError",
    "Shape",
    "Stream",
    "StreamSpec",
    "Tensor",
    "check_compatibility",
    "compare_hefs",
    "examine_hef",
    "read_hef",
    "read_resource",
    "write_emulated_hef",
]
