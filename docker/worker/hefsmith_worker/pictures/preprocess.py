"""The one definition of preprocessing, as plain data.

Sizes are (height, width) in pixels; ``mean`` and ``std`` are in 0..255 units, as the
vendor's ``normalization`` command takes them. The same object drives calibration, golden
samples, validation on the device and the bundle, so the stages cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.presets import (
    COLORS,
    INTERPOLATIONS,
    NORMALIZERS,
    PRESETS,
    RESIZES,
)


class PreprocessError(ValueError):
    """A preprocessing definition makes no sense; the message names the field."""


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes one network input.

    size
        (height, width) of the network input.
    resize
        ``stretch`` ignores the aspect ratio; ``letterbox`` keeps it and fills with ``pad``;
        ``center_crop`` and ``random_crop`` cut without scaling (a smaller picture is scaled up
        first until it covers the size); ``shorter_then_crop`` scales the shorter side to
        ``resize_to`` (default: until the size is covered) and cuts the centre; ``none`` takes
        only pictures that have the size already.
    pad
        Fill of the letterbox, 0..255: one value, or one per channel in the order of ``color``.
    interpolation
        Pillow's antialiased filters: nearest, bilinear, bicubic, area (box), lanczos.
    color
        Channel order of the array: rgb, bgr or gray (ITU-R 601 luma); ``data`` is for what is
        no picture (spectra, signals, features) and comes from arrays only.
    data_shape
        With ``data`` only: one row of the array, (height, width, channels) or (features,).
    mean, std
        Per channel (or one for all), 0..255 units, in the order of ``color``.
    normalize
        ``chip``: arrays stay raw uint8, the compiled network subtracts and divides.
        ``host``: the network gets float32 that :func:`hefsmith_worker.pictures.normalise` made;
        ``none``: nobody does, the network was trained on 0..255 (mean and std are not used).
    """

    size: Tuple[int, int]
    resize: str = "stretch"
    resize_to: Optional[int] = None
    pad: Tuple[int, ...] = (114,)
    interpolation: str = "bilinear"
    color: str = "rgb"
    mean: Tuple[float, ...] = (0.0,)
    std: Tuple[float, ...] = (255.0,)
    normalize: str = "chip"
    data_shape: Optional[Tuple[int, ...]] = None
    preset: Optional[str] = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _check_choice("resize", self.resize, RESIZES)
        _check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        _check_choice("color", self.color, COLORS)
        _check_choice("normalize", self.normalize, NORMALIZERS)
        if len(self.size) != 2 or any(side < 1 for side in self.size):
            msg = f"size: need [height, width] above 0, not {list(self.size)}"
            raise PreprocessError(msg)
        if (self.data_shape is None) == (self.color == "data"):
            msg = "color: data, and the shape of the input's arrays, go together"
            raise PreprocessError(msg)
        if self.resize_to is not None:
            if self.resize != "shorter_then_crop":
                msg = "resize_to: only resize: shorter_then_crop uses it"
                raise PreprocessError(msg)
            if self.resize_to < max(self.size):
                msg = (
                    f"resize_to: {self.resize_to} is less than the size {list(self.size)}, "
                    "so the crop would leave the picture"
                )
                raise PreprocessError(msg)
        for name in ("pad", "mean", "std"):
            count = len(getattr(self, name))
            if count not in (1, self.channels):
                msg = (
                    f"{name}: {counted(count, 'value')} for "
                    f"{counted(self.channels, 'channel')} ({self.color})"
                )
                raise PreprocessError(msg)
        if any(value < 0 or value > 255 for value in self.pad):
            msg = f"pad: values are 0..255, not {list(self.pad)}"
            raise PreprocessError(msg)
        if any(value <= 0 for value in self.std):
            msg = f"std: values must be above 0, not {list(self.std)}"
            raise PreprocessError(msg)

    @property
    def height(self) -> int:
        """Rows of the network input."""
        return self.size[0]

    @property
    def width(self) -> int:
        """Columns of the network input."""
        return self.size[1]

    @property
    def channels(self) -> int:
        """1 for gray, 3 for colours, else what the data have."""
        if self.data_shape is not None:
            return self.data_shape[-1]
        return 1 if self.color == "gray" else 3

    @property
    def channel_names(self) -> Tuple[str, ...]:
        """What to call the channels: R, G and B, grey, or their numbers from 1."""
        if self.color in ("rgb", "bgr"):
            return tuple(self.color.upper())
        if self.color == "gray":
            return ("grey",)
        return tuple(f"channel {number}" for number in range(1, self.channels + 1))

    @property
    def shape(self) -> Tuple[int, ...]:
        """(height, width, channels) of one prepared picture; (features,) of flat data."""
        if self.data_shape is not None:
            return self.data_shape
        return (self.size[0], self.size[1], self.channels)

    @property
    def offset_and_scale(self) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
        """Mean and std that are really applied, one of each per channel (0 and 1 for ``none``)."""
        if self.normalize == "none":
            return (0.0,) * self.channels, (1.0,) * self.channels
        return self.per_channel("mean"), self.per_channel("std")

    def per_channel(self, name: str) -> Tuple[float, ...]:
        """Return ``mean``, ``std`` or ``pad`` with one value for every channel."""
        values = tuple(float(value) for value in getattr(self, name))
        return values * self.channels if len(values) == 1 else values

    def to_dict(self) -> Dict[str, object]:
        """Return plain JSON data that :meth:`from_dict` reads back to an equal object."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **overrides: Any) -> Preprocess:
        """Read a recipe's ``preprocessing`` section; a preset gives what it leaves out.

        ``None`` means "not given". Raises :class:`PreprocessError` with the field's name.
        """
        given = {key: value for key, value in data.items() if value is not None}
        given.update({key: value for key, value in overrides.items() if value is not None})
        known = set(cls.__dataclass_fields__)
        for key in given:
            if key not in known:
                msg = f"{key}: unknown; known are {', '.join(sorted(known))}"
                raise PreprocessError(msg)
        merged: Dict[str, Any] = {}
        preset = given.get("preset")
        if preset is not None:
            _check_choice("preset", preset, tuple(PRESETS))
            merged.update(PRESETS[preset].values())
        merged.update(given)
        if merged.get("resize", "stretch") != "shorter_then_crop" and "resize_to" not in given:
            merged.pop("resize_to", None)
        if "size" not in merged:
            msg = "size: missing; give [height, width] of the network input"
            raise PreprocessError(msg)
        merged["size"] = _pair(merged["size"])
        if merged.get("data_shape") is not None:
            merged["data_shape"] = _data_shape(merged["data_shape"])
        for name, kind in (("pad", int), ("mean", float), ("std", float)):
            if name in merged:
                merged[name] = _numbers(name, merged[name], kind)
        return cls(**merged)

    def with_size(self, height: int, width: int) -> Preprocess:
        """Return the same preprocessing for another input size."""
        return replace(self, size=(height, width))


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        msg = f"{name}: {value!r} is not one of {', '.join(choices)}"
        raise PreprocessError(msg)


def _pair(value: Any) -> Tuple[int, int]:
    if _is_whole(value):
        return (int(value), int(value))
    if (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(_is_whole(side) for side in value)
    ):
        return (int(value[0]), int(value[1]))
    msg = f"size: need [height, width], not {value!r}"
    raise PreprocessError(msg)


def _data_shape(value: Any) -> Tuple[int, ...]:
    sides = tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(sides) in (1, 3) and all(_is_whole(side) and side > 0 for side in sides):
        return sides
    msg = f"data_shape: need [height, width, channels] or [features], not {value!r}"
    raise PreprocessError(msg)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(name: str, value: Any, kind: type) -> Tuple[Any, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, (int, float)) or one != one:
            msg = f"{name}: {one!r} is not a number"
            raise PreprocessError(msg)
        if abs(one) == float("inf") or (kind is int and one != int(one)):
            msg = f"{name}: {one!r} is not a whole number"
            raise PreprocessError(msg)
    return tuple(kind(one) for one in values)
