"""The core of the emulator: an open network compiler and its numbers, on ONNX Runtime.

The packages beside this one (``hailo_sdk_client``, ``hailo_sdk_common``, ``hailo_platform``)
carry the vendor's import names and signatures and hold no logic; what they do is here.
Nothing in it is the vendor's code, and nothing it computes is a measurement of a chip.
"""

from __future__ import annotations
