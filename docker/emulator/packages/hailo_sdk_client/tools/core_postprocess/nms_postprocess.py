"""Emulated: what a wrong NMS configuration raises (facts: user_pains.md O05)."""

from __future__ import annotations


class NMSConfigPostprocessException(Exception):
    """The NMS configuration does not fit the network."""
