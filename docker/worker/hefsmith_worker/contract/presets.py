"""Preprocessing of pictures: what can be chosen, what is taken by default, and the presets.

Means and deviations are in units of 0..255, as the vendor's ``normalization`` takes them; sizes
are (height, width) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Dict, Literal, Optional, Tuple, get_args

Resize = Literal["stretch", "letterbox", "center_crop", "random_crop", "shorter_then_crop", "none"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]
Color = Literal["rgb", "bgr", "gray", "data"]
Normalizer = Literal["chip", "host", "none"]

RESIZES: Tuple[str, ...] = get_args(Resize)
INTERPOLATIONS: Tuple[str, ...] = get_args(Interpolation)
COLORS: Tuple[str, ...] = get_args(Color)
NORMALIZERS: Tuple[str, ...] = get_args(Normalizer)

#: ImageNet statistics of torchvision's models, times 255.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Preset:
    """Values that a recipe gets by one name; ``None`` leaves one to the recipe or the default."""

    about: str
    size: Optional[Tuple[int, int]] = None
    resize: Optional[Resize] = None
    resize_to: Optional[int] = None
    pad: Optional[Tuple[int, ...]] = None
    interpolation: Optional[Interpolation] = None
    color: Optional[Color] = None
    mean: Optional[Tuple[float, ...]] = None
    std: Optional[Tuple[float, ...]] = None

    def values(self) -> Dict[str, object]:
        """Return what the preset sets."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name != "about" and getattr(self, one.name) is not None
        }


PRESETS: Dict[str, Preset] = {
    "torchvision": Preset(
        "torchvision's classifiers: shorter side to 256, centre 224, ImageNet statistics",
        size=(224, 224),
        resize="shorter_then_crop",
        resize_to=256,
        interpolation="bilinear",
        color="rgb",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "imagenet": Preset(
        "ImageNet statistics only; how the picture is fitted stays the recipe's word",
        color="rgb",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "ultralytics": Preset(
        "Ultralytics detection, segmentation, pose: letterbox with 114, divided by 255",
        size=(640, 640),
        resize="letterbox",
        pad=(114,),
        interpolation="bilinear",
        color="rgb",
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
    ),
    "ultralytics-classify": Preset(
        "Ultralytics classification: shorter side to the size, centre crop, divided by 255",
        size=(224, 224),
        resize="shorter_then_crop",
        interpolation="bilinear",
        color="rgb",
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
    ),
}
