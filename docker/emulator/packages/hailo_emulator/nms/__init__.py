"""Non-maximum suppression as HailoRT does it: configuration, decoding, suppression."""

from __future__ import annotations
