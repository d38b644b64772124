"""A resolved NMS configuration: what a compiled network carries (keys: hailo.md 6.5)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Decoder:
    """One detection head. ``reg``, ``cls``, ``obj``, ``encoded`` are names of streams.

    ``w`` and ``h`` are anchors: pixels (yolov5) or fractions of the image (ssd).
    """

    name: str
    stride: int = 0
    reg: str = ""
    cls: str = ""
    obj: str = ""
    encoded: str = ""
    w: tuple[float, ...] = ()
    h: tuple[float, ...] = ()

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that this head reads."""
        return tuple(name for name in (self.encoded, self.reg, self.cls, self.obj) if name)


@dataclass(frozen=True)
class NmsConfig:
    """``classes`` counts what is reported: the background, when removed, is not among it.

    ``image_dims`` is (height, width) in pixels. ``engine`` is ``cpu`` (HailoRT on the host) or
    ``nn_core`` (on the chip); the result is the same here.
    """

    output: str
    meta_arch: str
    engine: str
    score_threshold: float
    iou_threshold: float
    classes: int
    max_proposals_per_class: int
    image_dims: tuple[int, int]
    decoders: tuple[Decoder, ...]
    regression_length: int = 16
    background_removal: bool = False
    background_removal_index: int = 0
    centers_scale_factor: float = 10.0
    bbox_dimensions_scale_factor: float = 5.0
    bbox_decoding_only: bool = False

    @property
    def streams(self) -> tuple[str, ...]:
        """All streams that the decoders read."""
        return tuple(name for decoder in self.decoders for name in decoder.streams)

    def as_json(self) -> dict[str, object]:
        """Return what :meth:`from_json` reads."""
        return asdict(self)

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> NmsConfig:
        """Read what :meth:`as_json` wrote."""
        values = dict(entry)
        values["image_dims"] = tuple(int(n) for n in entry["image_dims"])
        values["decoders"] = tuple(
            Decoder(**{**d, "w": tuple(d["w"]), "h": tuple(d["h"])}) for d in entry["decoders"]
        )
        return NmsConfig(**values)
