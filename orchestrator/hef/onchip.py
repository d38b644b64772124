"""NMS on the chip: its numbers, and which generation of chips has which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hef import formats
from orchestrator.hef.faults import MAX_NAME, invalid

if TYPE_CHECKING:
    from orchestrator.hef.metadata import Metadata
    from orchestrator.hef.model import Shape

_BBOX_PARAMS: Final = 5
_MAX_DEFUSED: Final = 9
_MAX_BURST: Final = 65536


@dataclass(frozen=True, slots=True)
class NmsInfo:
    """On-chip NMS; ``chunks`` is the division factor."""

    classes: int
    max_boxes: int
    bbox_size: int
    chunks: int
    burst_size: int
    is_defused: bool
    original_name: str

    @property
    def frame_size(self) -> int:
        """Size of a frame on the bus in bytes (32-bit arithmetic)."""
        per_class = 2 + self.bbox_size * max(self.burst_size, self.max_boxes)
        return (
            self.chunks * (self.classes * per_class) + self.bbox_size * self.burst_size
        ) & formats.U32


def nms_shape(nms: Any) -> Shape:
    """Return classes, numbers per box, and boxes: what HailoRT takes for the shape."""
    boxes = nms.max_output * nms.division_factor & formats.U32
    return (nms.classes & formats.U32, _BBOX_PARAMS, boxes)


def read_nms(nms: Any, metadata: Metadata) -> NmsInfo:
    """Read the numbers of an on-chip NMS. Raises ``HefError`` where HailoRT refuses them."""
    chunks = nms.division_factor & formats.U32
    size = nms.bbox_size & formats.U32
    if formats.NMS_BURST in metadata.needed:
        burst = nms.burst_size
        _check_burst_type(nms.burst_type, metadata.hw_arch)
        if (burst * size & formats.U32) > _MAX_BURST:
            message = f"an NMS burst of {burst} boxes is larger than {_MAX_BURST} bytes"
            raise invalid(message)
    else:
        burst = 1
        if nms.burst_type:
            message = f"NMS burst type {nms.burst_type} without the burst extension"
            raise invalid(message)
        _nms_generation(metadata.hw_arch)
    if nms.defuse.class_group & formats.U32 >= _MAX_DEFUSED:
        message = f"NMS class group {nms.defuse.class_group} (at most {_MAX_DEFUSED - 1})"
        raise invalid(message)
    if len(nms.defuse.original_name.encode()) > MAX_NAME:
        message = f"the name {nms.defuse.original_name!r} is longer than {MAX_NAME} bytes"
        raise invalid(message, 8, "hef.name-too-long")
    return NmsInfo(
        classes=nms.classes & formats.U32,
        max_boxes=nms.max_output & formats.U32,
        bbox_size=size,
        chunks=chunks or 1,
        burst_size=burst,
        is_defused=nms.is_defused,
        original_name=nms.defuse.original_name,
    )


def _check_burst_type(burst_type: int, hw_arch: int) -> None:
    if burst_type not in ((1,) if _nms_generation(hw_arch) == 8 else (2, 3)):
        message = f"NMS burst type {burst_type} does not go with architecture {hw_arch}"
        raise invalid(message)


def _nms_generation(hw_arch: int) -> int:
    if (generation := formats.NMS_GENERATIONS.get(hw_arch)) is not None:
        return generation
    message = f"architecture {hw_arch} has no on-chip NMS that HailoRT knows"
    raise invalid(message, 8)
