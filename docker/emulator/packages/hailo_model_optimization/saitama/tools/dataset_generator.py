"""Emulated: importable only."""

from __future__ import annotations

from hailo_model_optimization.saitama import not_emulated


class DatasetGenerator:
    """Frames for PyTorch."""

    torch_to_np = staticmethod(not_emulated)
