"""Emulated: importable only."""

from __future__ import annotations

from hailo_model_optimization.saitama import not_emulated

create_prefetch_dataloader = not_emulated
