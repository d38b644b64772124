"""Numbers of affine quantisation, shared by compiler and device so that both round alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Quantization:
    """``value = (integer - zero_point) * scale`` with unsigned integers of ``bits`` bits."""

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def levels(self) -> int:
        """The largest integer: 255 or 65535."""
        return (1 << self.bits) - 1

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that can be told."""
        return (
            float((0 - self.zero_point) * self.scale),
            float((self.levels - self.zero_point) * self.scale),
        )


def quantize(
    values: NDArray[np.float32], quantization: Quantization
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the integers nearest to ``values`` (ties to even, as ONNX does), clipped.

    The division is done in float32, which is what the graph itself does.
    """
    scaled = np.rint(np.asarray(values, np.float32) / np.float32(quantization.scale))
    clipped = np.clip(scaled + np.float32(quantization.zero_point), 0, quantization.levels)
    if quantization.bits == 8:
        return np.asarray(clipped, np.float32).astype(np.uint8)
    return np.asarray(clipped, np.float32).astype(np.uint16)


def dequantize(
    integers: NDArray[np.uint8] | NDArray[np.uint16], quantization: Quantization
) -> NDArray[np.float32]:
    """Return the float32 values of ``integers``, bit for bit those of the graph."""
    shifted = integers.astype(np.float32) - np.float32(quantization.zero_point)
    return np.asarray(shifted * np.float32(quantization.scale), np.float32)


def choose_quantization(low: float, high: float, bits: int = 8) -> Quantization:
    """Return the finest asymmetric quantisation that holds ``[low, high]`` and zero.

    A range of no width (a constant zero) gets scale 1/levels, so that nothing divides by zero.
    """
    low, high = min(0.0, float(low)), max(0.0, float(high))
    levels = (1 << bits) - 1
    if not (np.isfinite(low) and np.isfinite(high)):
        msg = f"range [{low}, {high}] is not finite"
        raise ValueError(msg)
    width = high - low
    scale = float(np.float32(width / levels)) if width > 0 else 0.0
    if scale < float(np.finfo(np.float32).tiny):
        return Quantization(float(np.float32(1.0 / levels)), 0, bits)
    zero_point = int(np.clip(np.rint(-low / scale), 0, levels))
    return Quantization(scale, zero_point, bits)
