"""Emulated: importable only."""

from __future__ import annotations

from hailo_model_optimization.saitama import not_emulated

build_saitama_model_from_runner = not_emulated
