"""Emulated: what quantisation raises, under the vendor's names (facts: hailo.md 5.2)."""

from __future__ import annotations


class AccelerasException(Exception):
    """Base of the errors of quantisation."""


class BadInputsShape(AccelerasException):
    """Calibration or inference data of another shape than the network's input.

    The text is the vendor's: the shape is that of one sample, without the batch.
    """

    def __init__(
        self, layer_name: str, hn_shape: tuple[int, ...], inputs_shape: tuple[int, ...]
    ) -> None:
        super().__init__(
            f"Data shape {inputs_shape} for layer {layer_name} doesn't match "
            f"network's input shape {hn_shape}"
        )


class AccelerasInitializationError(AccelerasException):
    """Quantisation cannot start (no calibration data, an unusable array)."""


class NegativeSlopeExponentNonFixable(AccelerasException):
    """A layer's range is too wide for its bits."""
