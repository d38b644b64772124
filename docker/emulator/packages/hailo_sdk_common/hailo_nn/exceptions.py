"""Emulated: errors of the network description (facts: hailo.md 5.2)."""

from __future__ import annotations


class HailoNNException(Exception):
    """A layer that the network does not have, or a network that makes no sense."""


class UnsupportedModelError(HailoNNException):
    """The model as a whole, or a constant in it, cannot be translated."""
