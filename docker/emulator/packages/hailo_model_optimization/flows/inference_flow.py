"""Emulated: importable only."""

from __future__ import annotations

from hailo_model_optimization.saitama import not_emulated


class TorchInferenceModel:
    """A model on PyTorch."""

    get_batch_size = staticmethod(not_emulated)
