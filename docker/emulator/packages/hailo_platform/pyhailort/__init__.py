"""The emulated binding's inner package, where the vendor has its own."""

from __future__ import annotations
