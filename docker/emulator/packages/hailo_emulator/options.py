"""What a model script asks for, as values. ``script.py`` reads it, ``optimizer.py`` obeys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from hailo_emulator.conversions import Conversion

DEFAULT_BATCH_SIZE = 8


@dataclass(frozen=True)
class InputStep:
    """A conversion and the layer it follows (an input or another conversion).

    Without one it is for the input number ``place``; the command is for ``count`` inputs.
    """

    after: str | None
    conversion: Conversion
    place: int = 0
    count: int = 1


@dataclass(frozen=True)
class ActivationChange:
    """``change_output_activation``: ``layer`` is None for every output."""

    layer: str | None
    activation: str


@dataclass(frozen=True)
class NmsRequest:
    """``nms_postprocess``: ``config`` is the JSON's path, or None without one."""

    config: Path | None
    meta_arch: str | None
    engine: str | None
    bbox_decoding_only: bool = False
    overrides: dict[str, float | int | tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class LogitsRequest:
    """``logits_layer``: a softmax or argmax after an output."""

    name: str
    layer: str
    kind: str
    axis: int = 1


@dataclass(frozen=True)
class LayerPrecision:
    """``quantization_param(layers, precision_mode=a16_w16)``; layers are names or patterns.

    ``force_range`` is that of the layer's input number ``force_range_index``.
    """

    layers: tuple[str, ...]
    activation_bits: int | None = None
    weight_bits: int | None = None
    force_range: tuple[float, float] | None = None
    force_range_out: tuple[float, float] | None = None
    force_range_index: int = 0


@dataclass(frozen=True)
class Algorithm:
    """A pre- or post-quantisation algorithm: its name and its arguments as written."""

    name: str
    policy: str | None = None
    arguments: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ScriptOptions:
    """Everything a model script asks for."""

    input_steps: tuple[InputStep, ...] = ()
    activations: tuple[ActivationChange, ...] = ()
    nms: NmsRequest | None = None
    logits: tuple[LogitsRequest, ...] = ()
    calibration_size: int | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    optimization_level: int | None = None
    compression_level: int | None = None
    precisions: tuple[LayerPrecision, ...] = ()
    before: tuple[Algorithm, ...] = ()
    after: tuple[Algorithm, ...] = ()
    without_effect: tuple[str, ...] = ()

    def algorithm(self, name: str) -> Algorithm | None:
        """The last request for the algorithm of that name."""
        found = [a for a in (*self.before, *self.after) if a.name == name]
        return found[-1] if found else None
